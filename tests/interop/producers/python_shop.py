"""A shop of two services with OpenTelemetry's SDK for Python: `python_shop.py FOLDER`, until SIGTERM.

Requests come at a steady pace. Once there is a file `slow` in the folder, the checkout takes three times as long. Times
of spans are made up, so that they do not depend on how busy the machine is; where they go is read by the SDK from its
own environment variables.
"""

import random
import signal
import sys
import threading
import time
from pathlib import Path

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

REQUESTS_PER_SECOND = 40
MS = 1_000_000


def service(name):
    provider = TracerProvider(resource=Resource.create({"service.name": name}))
    processor = BatchSpanProcessor(OTLPSpanExporter(), schedule_delay_millis=500, max_queue_size=100_000)
    provider.add_span_processor(processor)
    return provider


def span(provider, name, kind, start_ns, duration_ns, parent=None, **attributes):
    context = trace.set_span_in_context(parent) if parent else None
    made = provider.get_tracer("shop").start_span(
        name, context=context, kind=kind, start_time=start_ns, attributes=attributes
    )
    made.end(start_ns + duration_ns)
    return made


def request(frontend, checkout, is_slow):
    start_ns = time.time_ns()
    work_ns = int(random.lognormvariate(0, 0.2) * (60 if is_slow else 20) * MS)
    kinds = trace.SpanKind
    root = span(frontend, "POST /cart", kinds.SERVER, start_ns, work_ns + 10 * MS)
    call = span(frontend, "POST", kinds.CLIENT, start_ns + 4 * MS, work_ns + 2 * MS, root)
    route = random.choice(["/pay", "/confirm"])
    span(checkout, f"POST {route}", kinds.SERVER, start_ns + 5 * MS, work_ns, call, **{"http.route": route})


def main():
    folder = Path(sys.argv[1])
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    providers = [service("frontend"), service("checkout")]
    while not stop.wait(1 / REQUESTS_PER_SECOND):
        request(*providers, (folder / "slow").exists())
    for provider in providers:
        provider.shutdown()


main()
