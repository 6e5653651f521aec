"""Segments on storage that speaks S3: the real binary, a real server of it, and what happens while that is away."""

import json
import re
import socket
import subprocess
import threading
import urllib.error
import urllib.request

from server import DEADLINE_SECONDS, Process, Server, clean_environment
from spans import NotAsItShouldBe

BUCKET = "traces"
SPANS_A_REQUEST = 20
# So many bytes that a few requests reach the bound on what is in no segment yet.
LARGE_TEXT_BYTES = 400_000
LARGE_SPANS = 100
BOUND_BYTES = 192 << 20


class Gate:
    """Connections to this port go on to another one, until it is shut: then there is nobody."""

    def __init__(self, port):
        self.to = port
        self.connections = []
        self.listener = None
        self.port = 0
        self.open()

    def open(self):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", self.port))
        self.port = self.listener.getsockname()[1]
        self.listener.listen()
        threading.Thread(target=self.accept, args=[self.listener], daemon=True).start()

    def shut(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # It ended by itself.
        self.connections.clear()

    def accept(self, listener):
        while True:
            try:
                near, _ = listener.accept()
                far = socket.create_connection(("127.0.0.1", self.to))
            except OSError:
                return
            self.connections += [near, far]
            for source, target in [(near, far), (far, near)]:
                threading.Thread(target=copy, args=[source, target], daemon=True).start()


def copy(source, target):
    try:
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # One of both sides is gone, and so will the other be.


class Storage(Process):
    """A server of S3 with one empty bucket."""

    def __init__(self, installer, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        command = [installer.venv / "bin" / "moto_server", "--host", "127.0.0.1", "--port", str(self.port)]
        super().__init__("moto", command, folder)

    def __enter__(self):
        try:
            self.wait_until("the storage listens", self.has_bucket)
        except NotAsItShouldBe:
            self.__exit__()
            raise
        self.gate = Gate(self.port)
        return self

    def has_bucket(self):
        try:
            return self.ask("PUT", f"/{BUCKET}") is not None
        except urllib.error.URLError:
            return False

    def ask(self, method, path):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=DEADLINE_SECONDS) as answer:
            return answer.read().decode()

    def objects(self):
        return re.findall(r"<Key>(.*?)</Key>", self.ask("GET", f"/{BUCKET}?list-type=2"))

    def environment(self):
        return clean_environment(
            AWS_ENDPOINT_URL=f"http://127.0.0.1:{self.gate.port}",
            AWS_ALLOW_HTTP="true",
            AWS_REGION="us-east-1",
            AWS_ACCESS_KEY_ID="somebody",
            AWS_SECRET_ACCESS_KEY="something",
        )


def request(first, count=SPANS_A_REQUEST, text="short"):
    """Spans with the numbers from `first` on, each a trace of its own."""
    spans = [
        {
            "traceId": f"{number:032x}",
            "spanId": f"{number:016x}",
            "name": "work",
            "startTimeUnixNano": str(1_700_000_000_000_000_000 + number),
            "endTimeUnixNano": str(1_700_000_000_000_001_000 + number),
            "attributes": [{"key": "text", "value": {"stringValue": f"{number} {text}"}}],
        }
        for number in range(first, first + count)
    ]
    return {"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}


def send(server, body):
    """The status of the answer, and what it says."""
    headers = {"Content-Type": "application/json"}
    sent = urllib.request.Request(f"{server.http}/v1/traces", json.dumps(body).encode(), headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(sent, timeout=DEADLINE_SECONDS) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def must_take(server, body):
    answer = send(server, body)
    if answer[0] != 200:
        raise NotAsItShouldBe(f"a request was answered with {answer}")


def check_numbers(what, lines, expected):
    spans = [
        int(span["spanId"], 16)
        for line in lines
        for resource in line["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]
    if sorted(spans) != sorted(expected):
        missing, odd = len(set(expected) - set(spans)), len(spans) - len(set(spans) & set(expected))
        raise NotAsItShouldBe(f"{what}: {missing} spans are missing, {odd} are there twice or were not sent")


def serving(binary, folder, storage, *arguments):
    return Server(binary, folder, [*arguments, "--head-age", "50ms"], storage.environment())


def exported(server, source, environment):
    done = subprocess.run(
        [server.binary, "spans", "export", "--source", str(source), "--out", "-"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
    )
    if done.returncode != 0:
        raise NotAsItShouldBe(f"spans export --source {source} ended with {done.returncode}: {done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def wait_for_segments(server, spans):
    """Until all spans are in segments."""

    def is_done():
        head = re.search(r"^tracediff_store_head_spans (\d+)", server.get("/metrics"), re.MULTILINE)
        return int(head[1]) == 0 and server.status()["spans"] == spans

    server.wait_until(f"{spans} spans are in segments", is_done)


def check_bucket(binary, installer, folder):
    """Spans go there, are merged there, and are read from there: by the server, by one that was killed in between, and
    by the folder."""
    with Storage(installer, folder) as storage:
        environment = storage.environment()
        url = f"s3://{BUCKET}/shop/one"
        sent = []
        with serving(binary, folder, storage, "--segments", url) as server:
            for number in range(12):
                first = 1 + number * SPANS_A_REQUEST
                must_take(server, request(first))
                sent += range(first, first + SPANS_A_REQUEST)
                wait_for_segments(server, len(sent))
            server.wait_until("segments are merged", lambda: server.status()["segments"] < 12)
            check_numbers("the server", exported(server, server.api, environment), sent)
            must_take(server, request(1_000))
            sent += range(1_000, 1_000 + SPANS_A_REQUEST)
            server.process.kill()
            server.process.wait()
        # The folder remembers where its segments are.
        with serving(binary, folder, storage) as server:
            check_numbers("after a kill", exported(server, server.api, environment), sent)
            server.stop()
        check_numbers("the folder", exported(server, folder / "data", environment), sent)
        objects = storage.objects()
        if not objects or not all(name.startswith("shop/one/") for name in objects):
            raise NotAsItShouldBe(f"objects are {objects}")
        if (folder / "data" / "data").exists():
            raise NotAsItShouldBe("there are segments in the folder, too")
        # Bounds hold there as well: the oldest go, and their objects with them.
        with serving(binary, folder, storage, "--retention-bytes", "1") as server:
            server.wait_until("no segment is left", lambda: server.status()["segments"] == 0)
            # An object goes when neither of the last two manifests names it.
            for number in range(3):
                must_take(server, request(2_000 + number * SPANS_A_REQUEST))
                server.wait_until("it has gone", lambda: server.status()["spans"] == 0)
            parquet = lambda: [name for name in storage.objects() if name.endswith(".parquet")]  # noqa: E731
            server.wait_until("objects have gone", lambda: len(parquet()) <= 2)
            server.stop()
        manifests = [name for name in storage.objects() if "/manifest/" in name]
        if len(manifests) > 3:
            raise NotAsItShouldBe(f"manifests stay: {manifests}")
    return f"{len(sent)} spans in {len(objects)} objects"


def check_away(binary, installer, folder):
    """Spans are taken in until the bound, reads say why they fail, and all goes on by itself."""
    with Storage(installer, folder) as storage:
        environment = storage.environment()
        with serving(binary, folder, storage, "--segments", f"s3://{BUCKET}") as server:
            must_take(server, request(1))
            sent = list(range(1, 1 + SPANS_A_REQUEST))
            wait_for_segments(server, len(sent))
            server.process.kill()
            server.process.wait()
        with serving(binary, folder, storage) as server:
            storage.gate.shut()
            # Nothing of the segment was read yet, and nothing can be.
            try:
                server.trace(f"{1:032x}")
                raise NotAsItShouldBe("a span was read from storage that is away")
            except NotAsItShouldBe as error:
                if "500" not in str(error) or "cannot be read" not in str(error):
                    raise
                told = str(error)
            text = "x" * LARGE_TEXT_BYTES
            most = BOUND_BYTES // (LARGE_TEXT_BYTES * LARGE_SPANS) + 20
            for number in range(most):
                first = 1_000 + number * LARGE_SPANS
                status, said = send(server, request(first, LARGE_SPANS, text))
                if status == 429:
                    break
                if status != 200:
                    raise NotAsItShouldBe(f"a request was answered with {status}: {said}")
                sent += range(first, first + LARGE_SPANS)
            else:
                raise NotAsItShouldBe(f"{most} large requests were taken in, and none was refused")
            if "wait to be moved into segments" not in said:
                raise NotAsItShouldBe(f"the refusal says {said}")
            server.wait_until("the failure is told", lambda: server.status()["last_failure"])
            failure = server.status()["last_failure"]
            logs = sorted((folder / "data" / "log").glob("*.log"))
            if not logs:
                raise NotAsItShouldBe("the log was cut")
            storage.gate.open()
            wait_for_segments(server, len(sent))
            must_take(server, request(90_000))
            sent += range(90_000, 90_000 + SPANS_A_REQUEST)
            check_numbers("the server", exported(server, server.api, environment), sent)
            # It ends while storage is away, and its log has what is in no segment.
            storage.gate.shut()
            must_take(server, request(95_000))
            sent += range(95_000, 95_000 + SPANS_A_REQUEST)
            server.stop()
        storage.gate.open()
        with serving(binary, folder, storage) as server:
            check_numbers("the server after it", exported(server, server.api, environment), sent)
            server.stop()
    return f"{len(sent)} spans; read: {told.splitlines()[0][:90]}…; housekeeping: {failure[:60]}…"


def check_wrong_places(binary, installer, folder):
    """What is wrong with a place is said at the start, and the folder can be used for another one."""
    with Storage(installer, folder) as storage:

        def refused(name, said, *arguments, **variables):
            command = [binary, "serve", "--data-dir", folder / name, *arguments]
            ports = [f"--{port}=127.0.0.1:0" for port in ("listen", "otlp-grpc", "otlp-http")]
            done = subprocess.run(
                [str(word) for word in [*command, *ports]],
                env={**storage.environment(), **variables},
                capture_output=True,
                text=True,
                timeout=DEADLINE_SECONDS,
            )
            if done.returncode == 0 or said not in done.stderr:
                raise NotAsItShouldBe(f"{arguments}: ended with {done.returncode}: {done.stderr}")

        refused("data", "it names no bucket", "--segments", "s3:///shop")
        refused("data", "does not begin with s3://", "--segments", "s3:/traces")
        refused("data", "NoSuchBucket", "--segments", "s3://tarces/shop")
        away = "http://127.0.0.1:9"
        refused("data", "segments cannot be kept at s3://traces", "--segments", "s3://traces", AWS_ENDPOINT_URL=away)
        url = f"s3://{BUCKET}/shop"
        with serving(binary, folder, storage, "--segments", url) as server:
            must_take(server, request(1))
            server.stop()
        refused("other", "belong to another data folder", "--segments", url)
        refused("data", f"are at {url}, not at s3://{BUCKET}/elsewhere", "--segments", f"s3://{BUCKET}/elsewhere")
    return "6 are refused"
