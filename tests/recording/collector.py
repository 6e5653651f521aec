"""A collector as small as it can be: takes OTLP over HTTP, as JSON or as protobuf, and writes each export request
as one line of OTLP/JSON to the file named on the command line.

The two SDKs of the recording send different encodings. Both go through the protobuf message, so that every line of a
file follows the one OTLP/JSON mapping: lowerCamelCase names, ids in hex, enums and 32-bit integers as numbers, 64-bit
integers as strings. It changes no span but for the attributes in DROPPED_ATTRIBUTES, and names no folder of the
machine it ran on: what the variable HIDDEN_PATH holds is written as `/srv/shop`.

Prints `listening on PORT` once it serves, and stops at SIGTERM.
"""

import base64
import gzip
import json
import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock

from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

# What a collector's attributes processor would drop too: details of the connection that are the same on every span
# or a port that no one will ask for. Without them the fixtures are a third smaller.
DROPPED_ATTRIBUTES = {
    "client.address",
    "client.port",
    "network.peer.address",
    "network.peer.port",
    "network.protocol.version",
    "server.address",
    "url.scheme",
}

HIDDEN_PATH = os.environ["HIDDEN_PATH"]
ID_FIELDS = ("traceId", "spanId", "parentSpanId")

write_lock = Lock()


def each_span(request):
    for resource_spans in request.get("resourceSpans", []):
        for scope_spans in resource_spans.get("scopeSpans", []):
            yield from scope_spans.get("spans", [])


def convert_ids(request, convert):
    """OTLP/JSON writes ids in hex; protobuf's own JSON mapping writes them in base64."""
    for span in each_span(request):
        for holder in [span, *span.get("links", [])]:
            for field in ID_FIELDS:
                if holder.get(field):
                    holder[field] = convert(holder[field])


def parse_request(body, content_type):
    if content_type.startswith("application/json"):
        request = json.loads(body)
        convert_ids(request, lambda text: base64.b64encode(bytes.fromhex(text)).decode())
        return ParseDict(request, ExportTraceServiceRequest())
    if content_type.startswith("application/x-protobuf"):
        return ExportTraceServiceRequest.FromString(body)
    raise ValueError(f"content type {content_type!r} is neither application/json nor application/x-protobuf")


def line_of(message):
    request = MessageToDict(message, use_integers_for_enums=True)
    convert_ids(request, lambda text: base64.b64decode(text).hex())
    for span in each_span(request):
        kept = [pair for pair in span.get("attributes", []) if pair["key"] not in DROPPED_ATTRIBUTES]
        span["attributes"] = kept
    return json.dumps(request, separators=(",", ":"), ensure_ascii=False).replace(HIDDEN_PATH, "/srv/shop")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.read_body()
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        content_type = self.headers.get("content-type", "")
        try:
            if self.path != "/v1/traces":
                raise ValueError(f"{self.path} is not served here: only /v1/traces is")
            line = line_of(parse_request(body, content_type))
        except (ValueError, ParseError) as error:
            print(f"a request was refused: {error}", file=sys.stderr, flush=True)
            self.answer(400, content_type, b"")
            return
        with write_lock:
            output.write(line + "\n")
            output.flush()
        # An empty response message says that everything was taken.
        self.answer(200, content_type, b"{}" if content_type.startswith("application/json") else b"")

    def read_body(self):
        # The JavaScript exporter does not say how long its body is: it sends it in chunks.
        if self.headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(self.headers["content-length"]))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(chunks)

    def answer(self, status, content_type, body):
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    output = open(sys.argv[1], "w", encoding="utf-8")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(f"listening on {server.server_port}", flush=True)
    server.serve_forever()
