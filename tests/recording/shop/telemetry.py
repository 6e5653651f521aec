"""Starts OpenTelemetry's Python SDK for a service of the shop and serves it.

Both Python services need the same few steps, in the same order. Everything about the resource comes from OTEL_
environment variables; record.py sets them.
"""

import os
import signal
import sys

from flask import Flask
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from werkzeug.serving import WSGIRequestHandler, make_server


class QuietHandler(WSGIRequestHandler):
    """Serves without a log line for each request."""

    def log_request(self, *args):
        pass


def start(app: Flask):
    """Traces the requests that `app` serves, and sends the spans as OTLP over HTTP with a protobuf body."""
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    FlaskInstrumentor().instrument_app(app)


def serve(app: Flask):
    """Serves until SIGTERM, then sends the last spans. Prints `listening on PORT` once it serves."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server = make_server("127.0.0.1", int(os.environ.get("PORT", "0")), app, threaded=True, request_handler=QuietHandler)
    print(f"listening on {server.server_port}", flush=True)
    try:
        server.serve_forever()
    finally:
        trace.get_tracer_provider().shutdown()
