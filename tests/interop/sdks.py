"""The cases of the two SDKs, straight to the server and through a collector."""

import copy
import json
import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from server import DEADLINE_SECONDS, Process, Server, clean_environment
from spans import NotAsItShouldBe, check_comparison_notices, expect_story, read_documents

HERE = Path(__file__).resolve().parent
SERVICE = "interop ☂ story"
# The instance's id is given too, or Python's SDK draws one.
RESOURCE = {"service.version": "1.4.0", "service.instance.id": "story-0", "deployment.environment.name": "prüfung, 1"}


@dataclass(frozen=True)
class Sdk:
    name: str
    language: str
    exception_extras: dict
    has_scope_attributes: bool
    sends_trace_state_of_links: bool
    whole_doubles_are_ints: bool
    # Attributes that this SDK cannot say, and why.
    cannot_say: dict


PYTHON = Sdk("python", "python", {"exception.escaped": "False"}, True, False, False, {})
JAVASCRIPT = Sdk(
    "javascript",
    "nodejs",
    {},
    False,
    True,
    True,
    {
        "int.largest": "no number of JavaScript is this one",
        "array.mixed": "the SDK takes arrays of one type only",
        "bytes": "the SDK takes no bytes",
        "map": "the SDK takes no maps",
    },
)

# Attributes that come without a value, because JSON has no such numbers and the SDK writes `null`.
WRITTEN_AS_NULL = {("javascript", "http/json"): {"double.not_a_number", "double.infinite"}}

def story_of(sdk, protocol):
    """The story as far as the SDK can tell it, and what of it should be stored."""
    story = json.loads((HERE / "story.json").read_text())
    leave_out(story, sdk.cannot_say)
    stored = copy.deepcopy(story)
    leave_out(stored, WRITTEN_AS_NULL.get((sdk.name, protocol), set()))
    if not sdk.has_scope_attributes:
        del stored["scope"]["attributes"]
    if sdk.whole_doubles_are_ints:
        for entry in stored["spans"]:
            for item in entry.get("attributes", []):
                number = float(item["value"].get("doubleValue", "nan"))
                if number.is_integer() and abs(number) < 2**63:
                    item["value"] = {"intValue": str(int(number))}
    return story, stored


def leave_out(story, keys):
    for entry in story["spans"]:
        if "attributes" in entry:
            entry["attributes"] = [item for item in entry["attributes"] if item["key"] not in keys]


class Sdks:
    """The server's binary, and where the SDKs are installed."""

    def __init__(self, binary, installer):
        self.binary = binary
        self.installer = installer

    def play(self, sdk, story, protocol, compression, endpoint, folder):
        """Runs the producer to its end; gives back what it tells."""
        path = folder / "story.json"
        path.write_text(json.dumps(story))
        variables = {
            "OTEL_SERVICE_NAME": SERVICE,
            # Percent-coded, as OpenTelemetry's specification asks for in this variable.
            "OTEL_RESOURCE_ATTRIBUTES": ",".join(f"{key}={quote(text)}" for key, text in RESOURCE.items()),
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        }
        # Python's gRPC exporter does not know the word `none`.
        if compression != "none":
            variables["OTEL_EXPORTER_OTLP_COMPRESSION"] = compression
        if sdk is PYTHON:
            command = [self.installer.python, HERE / "producers" / "python_sdk.py", path]
        else:
            command = ["node", self.installer.modules / "producer.js", path]
        with Process(f"{sdk.name}-sdk", command, folder, clean_environment(**variables)) as producer:
            producer.expect_end()
            # Neither SDK fails when an export does: it only says so.
            if producer.errors.read_text():
                raise NotAsItShouldBe(f"the SDK complained: {producer.output()}")
            return json.loads(producer.log.read_text())

    def check_direct(self, sdk, protocol, compression, folder):
        story, stored = story_of(sdk, protocol)
        with Server(self.binary, folder) as server:
            told = self.play(sdk, story, protocol, compression, server.endpoint(protocol), folder)
            expected = self.expect(sdk, stored, told)
            encoding = "json" if protocol == "http/json" else "protobuf"
            check_way(server, expected, protocol.split("/")[0], encoding, compression)
            trace_id = told["spans"][1][0]["traceId"]
            check_sensitivity(expected, server.trace(trace_id))
            server.check_holds(expected)
        return f"{len(expected)} spans"

    def check_rotel(self, protocol, folder):
        """Python's SDK sends to rotel, which sends to the server. It compresses with gzip whatever it is told."""
        story, stored = story_of(PYTHON, "grpc")
        receivers = [free_address(), free_address()]
        [agent] = self.installer.venv.glob("lib/python*/site-packages/rotel/rotel-agent")
        with Server(self.binary, folder) as server:
            variables = {
                "ROTEL_OTLP_GRPC_ENDPOINT": receivers[0],
                "ROTEL_OTLP_HTTP_ENDPOINT": receivers[1],
                "ROTEL_EXPORTER": "otlp",
                "ROTEL_OTLP_EXPORTER_ENDPOINT": server.endpoint(protocol),
                "ROTEL_OTLP_EXPORTER_PROTOCOL": protocol,
            }
            with Process("rotel", [agent, "start"], folder, clean_environment(**variables)) as rotel:
                for receiver in receivers:
                    rotel.wait_until(f"{receiver} listens", lambda: listens(receiver))
                own = "grpc" if protocol == "grpc" else "http/protobuf"
                receiver = receivers[0] if own == "grpc" else receivers[1]
                told = self.play(PYTHON, story, own, "none", f"http://{receiver}", folder)
                expected = self.expect(PYTHON, stored, told)
                rotel.wait_until("rotel has sent all", lambda: server.status()["spans"] >= len(expected))
                rotel.stop()
            check_way(server, expected, protocol, "protobuf", "gzip")
            server.check_holds(expected)
        return f"{len(expected)} spans"

    def expect(self, sdk, stored, told):
        resource = {
            "service.name": SERVICE,
            **RESOURCE,
            "telemetry.sdk.name": "opentelemetry",
            "telemetry.sdk.language": sdk.language,
        }
        expected = expect_story(stored, told, resource, sdk.exception_extras)
        if not sdk.sends_trace_state_of_links:
            for link in (link for span in expected.values() for link in span["links"]):
                link["traceState"] = ""
        return expected


def check_way(server, expected, protocol, encoding, compression):
    """The requests came the way that was asked for, and no other, and were compressed if they should be."""
    requests = server.requests()
    if set(requests) != {(protocol, encoding, "ok")}:
        raise NotAsItShouldBe(f"requests should have come over {protocol} as {encoding}; they came as {requests}")
    # In either encoding a span has its own id, its trace's, two times of eight bytes and its name, at least.
    least = sum(16 + 8 + 2 * 8 + len(span["name"].encode()) for span in expected.values())
    received = server.received_bytes()
    if (received < least) != (compression != "none"):
        raise NotAsItShouldBe(f"with compression {compression} {received} bytes came, {least} is the least without")


def check_sensitivity(expected, document):
    """On the trace with everything in it, but with one of its 700 equal spans instead of all."""
    repeated = "line of the cart"
    kept = None
    for group in document["resourceSpans"]:
        for scope_spans in group["scopeSpans"]:
            spans = scope_spans["spans"]
            kept = kept or next((span for span in spans if span["name"] == repeated), None)
            scope_spans["spans"] = [span for span in spans if span["name"] != repeated or span is kept]
    ids = read_documents([document]).keys()
    check_comparison_notices({key: span for key, span in expected.items() if key in ids}, document)


def free_address():
    """An address for a process that cannot say which port it took. Another process may take it first; then the one
    that should have it does not start, and says so."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"


def listens(address):
    host, port = address.split(":")
    try:
        with socket.create_connection((host, int(port)), timeout=DEADLINE_SECONDS):
            return True
    except OSError:
        return False
