"""From a real SDK's spans to the diff that names what was made slow: as README says it, with a restart in between."""

import json
import re
import signal
import subprocess
import urllib.request

from sdks import HERE, free_address
from server import DEADLINE_SECONDS, Process, Server, clean_environment
from spans import NotAsItShouldBe

README = HERE.parents[1] / "README.md"


def check_differ(binary, installer, folder):
    """Snapshots by the clock and their diffs; the server ends once as it should, and once by SIGKILL."""
    address = free_address()
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{address}"}
    command = [installer.python, HERE / "producers" / "python_shop.py", folder]
    with Process("shop", command, folder, clean_environment(**variables)) as shop:
        with serve(binary, folder, address) as server:
            query_id = create_query(server)
            began_ns = server.wait_until("spans come", lambda: server.status()["first_start_ns"])
            is_full = lambda row: int(row["fromNs"]) >= began_ns and row["status"] == "ready"
            server.wait_until("a window is full", lambda: any(map(is_full, snapshots(server, query_id))))
            diffs = wait_for(server, query_id, lambda diff: True)
            server.stop()
        is_early = [diff["verdict"] for diff in diffs]
        if "regressed" in is_early:
            raise NotAsItShouldBe(f"nothing was slow yet: {diffs}")
        (folder / "slow").touch()
        with serve(binary, folder, address) as server:
            server.wait_until("a snapshot after the restart", lambda: len(snapshots(server, query_id)) > 2)
            server.process.send_signal(signal.SIGKILL)
            server.process.wait()
        with serve(binary, folder, address) as server:
            known = {diff["_id"]: diff for diff in diffs}
            regressed = wait_for(server, query_id, lambda diff: diff["verdict"] == "regressed")
            kept = {diff["_id"]: diff for diff in regressed if diff["_id"] in known}
            if kept != known:
                raise NotAsItShouldBe(f"diffs were {known}, and are {kept} after the restarts")
            check_once("snapshot", [(row["fromNs"], row["toNs"]) for row in snapshots(server, query_id)])
            check_once("diff", [(row["baselineId"], row["candidateId"]) for row in regressed])
            [found] = [diff for diff in regressed if diff["verdict"] == "regressed"][:1]
            if found["culprits"][:1] != ["checkout"]:
                raise NotAsItShouldBe(f"checkout was slow, and the diff says: {found}")
            keys = [key["key"] for key in found["diffs"]]
            if "http.route" not in keys:
                raise NotAsItShouldBe(f"http.route was asked for, and the diff has {keys}")
            server.stop()
        shop.stop()
    return found["sentence"]


def serve(binary, folder, address):
    """On the port that the shop knows. The log of the one before makes way, for it is read for the addresses."""
    (folder / "tracediff.log").unlink(missing_ok=True)
    return Server(binary, folder, [f"--otlp-http={address}"])


def create_query(server):
    """With the README's own command; only its times are made shorter then."""
    [line] = re.findall(r"^curl -s (localhost:4000/api/queries -d '.*')$", README.read_text(), re.MULTILINE)
    line = "curl -s " + line.replace("http://", "").replace("localhost:4000", server.api)
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=DEADLINE_SECONDS)
    query = json.loads(done.stdout or "{}")
    if query.get("groupByKeys") != ["http.route"]:
        raise NotAsItShouldBe(f"{line} ended with {done.returncode}: {done.stdout}{done.stderr}")
    # Half a minute is the least that a change is confirmed by. The shop becomes slow somewhere between two ticks: windows
    # with a tick between them are all before and all after.
    body = {**query, "interval": "10s", "window": "30s", "settle": "2s", "baseline": {"ago": "40s"}}
    path = f"{server.api}/api/queries/{query['_id']}"
    request = urllib.request.Request(path, json.dumps(body).encode(), method="PUT")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=DEADLINE_SECONDS) as answer:
        return json.load(answer)["_id"]


def snapshots(server, query_id):
    return json.loads(server.get(f"/api/snapshots?limit=1000&queryId={query_id}"))


def wait_for(server, query_id, wanted):
    """All diffs, as soon as one is as wanted."""

    def found():
        diffs = json.loads(server.get(f"/api/diffs?limit=1000&queryId={query_id}"))
        return diffs if any(wanted(diff) for diff in diffs) else None

    return server.wait_until("there is such a diff", found)


def check_once(what, keys):
    if len(keys) != len(set(keys)):
        raise NotAsItShouldBe(f"a {what} is there twice: {sorted(keys)}")
