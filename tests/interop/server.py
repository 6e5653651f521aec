"""The server under test, as a process of its own, and what it says of itself."""

import json
import os
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request

from spans import NotAsItShouldBe, check_same, read_lines

DEADLINE_SECONDS = 60
POLL_SECONDS = 0.02
# A producer is pointed at the server by the test alone, and never goes through a proxy to reach this machine.
FOREIGN_VARIABLE = re.compile(r"(AWS|OTEL|TRACEDIFF|ROTEL|TRAEFIK|CADDY)_.*|.*_proxy", re.IGNORECASE)


def clean_environment(**variables):
    inherited = {key: text for key, text in os.environ.items() if not FOREIGN_VARIABLE.fullmatch(key)}
    return {**inherited, **variables}


def wait_until(what, condition, process=None):
    """Gives back the first value of `condition()` that is not false."""
    end = time.monotonic() + DEADLINE_SECONDS
    while True:
        value = condition()
        if value:
            return value
        if process is not None and process.poll() is not None:
            raise NotAsItShouldBe(f"while waiting until {what}: the process ended with {process.returncode}")
        if time.monotonic() > end:
            raise NotAsItShouldBe(f"not within {DEADLINE_SECONDS} s: {what}")
        time.sleep(POLL_SECONDS)


class Process:
    """A process with its output in a file; leaving the `with` kills it if it still runs."""

    def __init__(self, name, command, folder, environment=None):
        self.name = name
        self.log = folder / f"{name}.log"
        self.errors = folder / f"{name}.errors.log"
        with open(self.log, "wb") as out, open(self.errors, "wb") as errors:
            self.process = subprocess.Popen(
                [str(word) for word in command],
                cwd=folder,
                env=environment or clean_environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=errors,
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def wait_until(self, what, condition):
        try:
            return wait_until(what, condition, self.process)
        except NotAsItShouldBe as error:
            raise NotAsItShouldBe(f"{self.name}: {error}\n{self.output()}") from error

    def stop(self):
        """Ends it as an operator does; it must end well."""
        self.process.send_signal(signal.SIGTERM)
        self.expect_end()

    def expect_end(self):
        try:
            code = self.process.wait(timeout=DEADLINE_SECONDS)
        except subprocess.TimeoutExpired:
            raise NotAsItShouldBe(f"{self.name} does not end\n{self.output()}") from None
        if code != 0:
            raise NotAsItShouldBe(f"{self.name} ended with {code}\n{self.output()}")

    def output(self):
        return (self.log.read_text(errors="replace") + self.errors.read_text(errors="replace"))[-3000:]


class Server(Process):
    """`tracediff serve` on free ports, with its data in a folder of `folder`."""

    def __init__(self, binary, folder, arguments=(), environment=None):
        self.binary = binary
        self.data = folder / "data"
        ports = [f"--{port}=127.0.0.1:0" for port in ("listen", "otlp-grpc", "otlp-http")]
        command = [binary, "serve", *ports, "--data-dir", self.data, *arguments]
        super().__init__("tracediff", command, folder, environment)

    def __enter__(self):
        try:
            self.wait_until("the server listens", lambda: "\ndata " in self.log.read_text())
        except NotAsItShouldBe:
            self.__exit__()
            raise
        addresses = dict(line.split(maxsplit=1) for line in self.log.read_text().splitlines())
        self.grpc = addresses["OTLP/gRPC"]
        self.http = addresses["OTLP/HTTP"]
        self.api = addresses["API"]
        return self

    def endpoint(self, protocol):
        """For `OTEL_EXPORTER_OTLP_ENDPOINT`."""
        return f"http://{self.grpc}" if protocol == "grpc" else self.http

    def get(self, path):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(self.api + path, timeout=DEADLINE_SECONDS) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError as error:
            raise NotAsItShouldBe(f"GET {path}: {error.code} {error.read().decode()}") from error

    def status(self):
        return json.loads(self.get("/api/status"))

    def trace(self, trace_id):
        return json.loads(self.get(f"/api/traces/{trace_id}"))

    def requests(self):
        """How many requests came, by `(protocol, encoding, outcome)`."""
        pattern = r'^tracediff_requests_total\{protocol="(.*)",encoding="(.*)",status="(.*)"\} (\d+)$'
        found = re.findall(pattern, self.get("/metrics"), re.MULTILINE)
        return {(protocol, encoding, outcome): int(count) for protocol, encoding, outcome, count in found}

    def received_bytes(self):
        """The sizes of all requests as they came: compressed, if they were."""
        counts = re.findall(r"^tracediff_received_bytes_total\{.*\} (\d+)$", self.get("/metrics"), re.MULTILINE)
        return sum(int(count) for count in counts)

    def export(self, source):
        done = subprocess.run(
            [self.binary, "spans", "export", "--source", str(source), "--out", "-"],
            env=clean_environment(),
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS,
        )
        if done.returncode != 0:
            raise NotAsItShouldBe(f"spans export --source {source} ended with {done.returncode}: {done.stderr}")
        return read_lines(done.stdout)

    def check_holds(self, expected, partial=False):
        """The server has exactly the spans of `expected`, by every way of asking; then it is stopped, and its folder
        has them too."""
        count = len(expected)
        self.wait_until(f"{count} spans are stored", lambda: self.status()["spans"] >= count)
        found = self.status()
        if found["spans"] != count or found["last_failure"] is not None:
            raise NotAsItShouldBe(f"{count} spans were sent, and the status is {found}")
        if not partial:
            starts = [int(span["startTimeUnixNano"]) for span in expected.values()]
            if (found["first_start_ns"], found["last_start_ns"]) != (min(starts), max(starts)):
                raise NotAsItShouldBe(f"spans start from {min(starts)} to {max(starts)}, and the status is {found}")
        trace_ids = sorted({span["traceId"] for span in expected.values()})
        check_same("GET /api/traces", expected, [self.trace(trace_id) for trace_id in trace_ids], partial)
        check_same("spans export of the server", expected, self.export(self.api), partial)
        self.stop()
        if self.errors.read_text():
            raise NotAsItShouldBe(f"the server complained: {self.errors.read_text()}")
        check_same("spans export of the folder", expected, self.export(self.data), partial)
