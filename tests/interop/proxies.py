"""The cases of two HTTP proxies that trace the requests they forward: Caddy and Traefik, with OpenTelemetry's Go SDK.

A request comes with a `traceparent`, so that its trace is known, and what it is forwarded to notes the `traceparent`
that the proxy gives it, so that the proxy's last span is known. The rest is what OpenTelemetry's conventions for HTTP
say of such a request.
"""

import http.client
import http.server
import json
import secrets
import socket
import threading

from sdks import free_address, listens
from server import DEADLINE_SECONDS, Process, Server, clean_environment
from spans import NotAsItShouldBe, read_documents

STATUS_BY_PATH = {"/found": 200, "/missing": 404, "/broken": 503}
SERVICE = "interop-proxy"
USER_AGENT = "interop/1.0"


class Backend:
    """What the proxies forward to: answers as `STATUS_BY_PATH` says, and keeps the trace headers."""

    def __enter__(self):
        self.parents = {}
        parents = self.parents

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                _, trace_id, span_id, _ = self.headers["traceparent"].split("-")
                parents[trace_id] = span_id
                self.send_response(STATUS_BY_PATH[self.path])
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=DEADLINE_SECONDS)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self.path))


def send_request(connection, path, trace_id, span_id, flags):
    headers = {"traceparent": f"00-{trace_id}-{span_id}-{flags}", "user-agent": USER_AGENT.encode()}
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


def send_requests(connect):
    """One request for each path; gives back `(trace id, parent's id)` by path."""
    sent = {path: (secrets.token_hex(16), secrets.token_hex(8)) for path in STATUS_BY_PATH}
    for path, ids in sent.items():
        status = send_request(connect(), path, *ids, "01")
        if status != STATUS_BY_PATH[path]:
            raise NotAsItShouldBe(f"the proxy answers {status} to {path}")
    return sent


def expect_span(trace_id, parent, name, kind, path, error, scope):
    status = STATUS_BY_PATH[path]
    return {
        "traceId": trace_id,
        "parentSpanId": parent,
        "traceState": "",
        "name": name,
        "kind": kind,
        "attributes": {
            "http.request.method": ("string", "GET"),
            "http.response.status_code": ("int", status),
            "user_agent.original": ("string", USER_AGENT),
        },
        "events": [],
        "links": [],
        "status": {"code": 2 if error else 0, "message": ""},
        "resource": {
            "service.name": ("string", SERVICE),
            "telemetry.sdk.language": ("string", "go"),
            "telemetry.sdk.name": ("string", "opentelemetry"),
        },
        "scope": {"name": scope},
    }


def check_times(expected, server):
    """Partial comparison has no times: nobody tells them. They are in order at least, and the status knows them."""
    first = None
    for trace_id in {span["traceId"] for span in expected.values()}:
        for group in server.trace(trace_id)["resourceSpans"]:
            for span in (span for scope in group["scopeSpans"] for span in scope["spans"]):
                start, end = int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"])
                first = min(first or start, start)
                if not 0 < start < end:
                    raise NotAsItShouldBe(f"the span {span['spanId']} lasts from {start} to {end}")
    if server.status()["first_start_ns"] != first:
        raise NotAsItShouldBe(f"the first span starts at {first}, and the status is {server.status()}")


def check_protocol(server, protocol):
    requests = server.requests()
    if set(requests) != {(protocol, "protobuf", "ok")}:
        raise NotAsItShouldBe(f"requests should have come over {protocol} as protobuf; they came as {requests}")


def check_caddy(binary, installer, protocol, folder):
    with Backend() as backend, Server(binary, folder) as server:
        listener = folder / "caddy.sock"
        (folder / "Caddyfile").write_text(
            f"""{{
    admin off
    auto_https off
}}
http:// {{
    bind unix/{listener}
    tracing {{
        span "GET /{{http.request.host}} ☂"
        span_attributes {{
            shop.path {{http.request.uri.path}}
        }}
    }}
    reverse_proxy {backend.url}
}}
"""
        )
        variables = {
            "OTEL_SERVICE_NAME": SERVICE,
            "OTEL_PROPAGATORS": "tracecontext",
            "OTEL_EXPORTER_OTLP_ENDPOINT": server.endpoint(protocol),
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
            "HOME": str(folder),
        }
        command = [installer.venv / "bin" / "caddy", "run", "--config", "Caddyfile", "--adapter", "caddyfile"]
        with Process("caddy", command, folder, clean_environment(**variables)) as caddy:
            caddy.wait_until("caddy listens", lambda: listener.exists() and unix_listens(listener))
            sent = send_requests(lambda: UnixConnection(listener))
            # It sends what is left when it ends.
            caddy.stop()
        expected = {}
        for path, (trace_id, parent) in sent.items():
            span = expect_span(
                trace_id,
                parent,
                "GET /localhost ☂",
                2,
                path,
                STATUS_BY_PATH[path] >= 500,
                "go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp",
            )
            span["attributes"].update({"shop.path": ("string", path), "url.path": ("string", path)})
            expected[backend.parents[trace_id]] = span
        check_protocol(server, protocol.split("/")[0])
        check_times(expected, server)
        server.check_holds(expected, partial=True)
    return f"{len(expected)} spans"


def unix_listens(path):
    try:
        UnixConnection(path).connect()
    except OSError:
        return False
    return True


def check_traefik(binary, installer, protocol, folder):
    with Backend() as backend, Server(binary, folder) as server:
        address = free_address()
        routes = {
            "routers": {"shop": {"rule": "PathPrefix(`/`)", "entryPoints": ["web"], "service": "shop"}},
            "services": {"shop": {"loadBalancer": {"servers": [{"url": backend.url}]}}},
        }
        # JSON is YAML, too.
        (folder / "routes.yml").write_text(json.dumps({"http": routes}))
        exporter = {
            "grpc": [f"--tracing.otlp.grpc.endpoint={server.grpc}", "--tracing.otlp.grpc.insecure=true"],
            "http": [f"--tracing.otlp.http.endpoint={server.http}/v1/traces"],
        }[protocol]
        command = [
            installer.venv / "bin" / "traefik",
            f"--entrypoints.web.address={address}",
            "--providers.file.filename=routes.yml",
            "--global.checknewversion=false",
            "--global.sendanonymoususage=false",
            f"--tracing.servicename={SERVICE}",
            *exporter,
        ]
        with Process("traefik", command, folder) as traefik:
            traefik.wait_until("traefik listens", lambda: listens(address))
            traefik.wait_until("traefik has read its routes", lambda: forwards(address))
            sent = send_requests(lambda: connect(address))
            # It sends what is left when it ends.
            traefik.stop()
        expected = {}
        for path, (trace_id, parent) in sent.items():
            forwarded = backend.parents[trace_id]
            taken = parent_of(forwarded, server.trace(trace_id))
            scope = "github.com/traefik/traefik"
            # OpenTelemetry's conventions: an answer of 404 is an error to who asked, but not to who answered.
            status = STATUS_BY_PATH[path]
            span = expect_span(trace_id, parent, "GET", 2, path, status >= 500, scope)
            span["attributes"].update({"url.path": ("string", path), "entry_point": ("string", "web")})
            expected[taken] = span
            span = expect_span(trace_id, taken, "ReverseProxy", 3, path, status >= 400, scope)
            span["attributes"]["url.full"] = ("string", backend.url + path)
            expected[forwarded] = span
        check_protocol(server, protocol)
        check_times(expected, server)
        server.check_holds(expected, partial=True)
    return f"{len(expected)} spans"


def parent_of(span_id, trace):
    """Only the store knows the id of the proxy's first span. It must be the parent of its last one."""
    spans = read_documents([trace])
    return spans[span_id]["parentSpanId"]


def connect(address):
    return http.client.HTTPConnection(address, timeout=DEADLINE_SECONDS)


def forwards(address):
    """Whether the proxy knows its routes yet. It is asked by a request that is not to be traced."""
    status = send_request(connect(address), "/found", secrets.token_hex(16), secrets.token_hex(8), "00")
    return status == STATUS_BY_PATH["/found"]
