"""Requests that Schemathesis makes up from the API's own description: none may be answered with a server's error."""

import json
import re
import subprocess
import time
import urllib.request

from server import DEADLINE_SECONDS, Server, clean_environment
from spans import NotAsItShouldBe

# Always the same requests: a failure can be looked into.
SEED = 1
EXAMPLES = 40
TIMEOUT_SECONDS = 300
# It never ends by itself.
LEFT_OUT = "/api/events"


def check_description(binary, installer, folder):
    with Server(binary, folder) as server:
        fill(binary, server, folder)
        command = [installer.python.parent / "schemathesis", "run", f"{server.api}/api/openapi.json"]
        command += ["--checks", "not_a_server_error", "--phases", "examples,coverage,fuzzing", "--exclude-path", LEFT_OUT]
        command += ["--max-examples", str(EXAMPLES), "--seed", str(SEED), "--no-color"]
        done = subprocess.run(
            [str(word) for word in command],
            cwd=folder,
            env=clean_environment(),
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
        )
        if done.returncode != 0:
            raise NotAsItShouldBe(f"Schemathesis ended with {done.returncode}:\n{done.stdout[-8000:]}{done.stderr[-2000:]}")
        [(generated, passed)] = re.findall(r"(\d+) generated, (\d+) passed", done.stdout) or [("0", "0")]
        if generated != passed or int(generated) < 1000:
            raise NotAsItShouldBe(f"of {generated} requests {passed} passed; there should be thousands:\n{done.stdout[-8000:]}")
        server.stop()
    return f"{generated} requests"


def fill(binary, server, folder):
    """A query with two snapshots and their diff."""
    spans = folder / "spans.jsonl"
    start = int(time.time()) - 300
    simulate = [binary, "simulate", "--out", spans, "--minutes", "4", "--start", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(start))]
    subprocess.run([str(word) for word in simulate], check=True, capture_output=True, timeout=DEADLINE_SECONDS)
    for line in spans.read_bytes().splitlines():
        post(f"{server.http}/v1/traces", line)
    side = {"query": "service = cart", "settle": "0s", "scheduled": False}
    query_id = json.loads(post(f"{server.api}/api/queries", json.dumps(side).encode()))["_id"]
    for begin in [start, start + 120]:
        window = {"from": begin, "to": begin + 120}
        post(f"{server.api}/api/queries/{query_id}/snapshots", json.dumps(window).encode())
    server.wait_until("there is a diff", lambda: json.loads(server.get("/api/diffs")))


def post(url, body):
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method="POST")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=DEADLINE_SECONDS) as answer:
        return answer.read()
