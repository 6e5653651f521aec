"""Plays a story with OpenTelemetry's SDK for Python: `python_sdk.py STORY.json`.

Where the spans go, how, and under which service name is read by the SDK from its own environment variables; only the
choice between the two exporters is made here, as the SDK's distribution makes it. On stdout it tells, as JSON, what
only the SDK knows: the ids and times it gave to the spans, and the text of stack traces.
"""

import base64
import builtins
import json
import os
import sys

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.version import __version__
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator


def build_exporter():
    protocol = os.environ["OTEL_EXPORTER_OTLP_PROTOCOL"]
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    elif protocol == "http/protobuf":
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    else:
        sys.exit(f"there is no exporter for {protocol}")
    return OTLPSpanExporter()


def read_value(value):
    """An attribute's value as Python has it."""
    if not value:
        return None
    [(kind, content)] = value.items()
    if kind == "arrayValue":
        return [read_value(item) for item in content["values"]]
    if kind == "kvlistValue":
        return {item["key"]: read_value(item["value"]) for item in content["values"]}
    if kind == "bytesValue":
        return base64.b64decode(content)
    return {"stringValue": str, "intValue": int, "doubleValue": float, "boolValue": bool}[kind](content)


def read_attributes(entry):
    return {attribute["key"]: read_value(attribute["value"]) for attribute in entry.get("attributes", [])}


def add_event(span, event):
    exception = event.get("exception")
    if exception is None:
        span.add_event(event["name"], read_attributes(event))
        return
    try:
        raise getattr(builtins, exception["type"])(exception["message"])
    except Exception as error:
        span.record_exception(error)


def start_span(tracer, entry, spans):
    """`spans` has a list for each entry of the story before this one; all refer to the first of a list."""
    if "remoteParent" in entry:
        context = TraceContextTextMapPropagator().extract(entry["remoteParent"])
    elif "parent" in entry:
        context = trace.set_span_in_context(spans[entry["parent"]][0])
    else:
        context = None
    links = [
        trace.Link(spans[link["to"]][0].get_span_context(), read_attributes(link)) for link in entry.get("links", [])
    ]
    span = tracer.start_span(
        entry["name"],
        context=context,
        kind=trace.SpanKind(entry["kind"] - 1),
        attributes=read_attributes(entry),
        links=links,
    )
    for event in entry.get("events", []):
        add_event(span, event)
    if "status" in entry:
        status = entry["status"]
        # The SDK numbers its codes as OTLP does.
        span.set_status(trace.StatusCode(status["code"]), status.get("message"))
    return span


def tell(span):
    stack_traces = [event.attributes.get("exception.stacktrace") for event in span.events]
    return {
        "traceId": format(span.context.trace_id, "032x"),
        "spanId": format(span.context.span_id, "016x"),
        "startTimeUnixNano": str(span.start_time),
        "endTimeUnixNano": str(span.end_time),
        "eventTimesUnixNano": [str(event.timestamp) for event in span.events],
        "stackTraces": [text for text in stack_traces if text is not None],
    }


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        story = json.load(file)
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(build_exporter()))
    scope = story["scope"]
    tracer = provider.get_tracer(scope["name"], scope["version"], attributes=read_attributes(scope))
    spans = []
    for entry in story["spans"]:
        spans.append([start_span(tracer, entry, spans) for _ in range(entry.get("times", 1))])
    for group in reversed(spans):
        for span in reversed(group):
            span.end()
    provider.shutdown()
    json.dump({"version": __version__, "spans": [[tell(span) for span in group] for group in spans]}, sys.stdout)


main()
