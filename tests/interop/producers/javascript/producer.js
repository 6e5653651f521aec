// Plays a story with OpenTelemetry's SDK for JavaScript: `node producer.js STORY.json`.
//
// Where the spans go, how, and under which service name is read by the SDK from its own environment variables; only
// the choice between the three exporters is made here, as the SDK's distribution makes it. On stdout it tells, as
// JSON, what only the SDK knows: the ids and times it gave to the spans, and the text of stack traces.

"use strict";

const { readFileSync } = require("node:fs");
const { DiagConsoleLogger, DiagLogLevel, ROOT_CONTEXT, defaultTextMapGetter, diag, trace } = require("@opentelemetry/api");
const { W3CTraceContextPropagator } = require("@opentelemetry/core");
const { detectResources, defaultResource, envDetector } = require("@opentelemetry/resources");
const { BatchSpanProcessor, NodeTracerProvider } = require("@opentelemetry/sdk-trace-node");

const EXPORTERS = {
  grpc: "@opentelemetry/exporter-trace-otlp-grpc",
  "http/json": "@opentelemetry/exporter-trace-otlp-http",
  "http/protobuf": "@opentelemetry/exporter-trace-otlp-proto",
};

function buildExporter() {
  const { OTLPTraceExporter } = require(EXPORTERS[process.env.OTEL_EXPORTER_OTLP_PROTOCOL]);
  return new OTLPTraceExporter();
}

/** An attribute's value as JavaScript has it, which has one type for all numbers. */
function readValue(value) {
  const [[kind, content] = ["nothing", null]] = Object.entries(value);
  if (kind === "arrayValue") return content.values.map(readValue);
  return kind === "intValue" || kind === "doubleValue" ? Number(content) : content;
}

function readAttributes(entry) {
  return Object.fromEntries((entry.attributes ?? []).map(({ key, value }) => [key, readValue(value)]));
}

function addEvent(span, event) {
  if (event.exception === undefined) {
    span.addEvent(event.name, readAttributes(event));
    return;
  }
  const error = new Error(event.exception.message);
  error.name = event.exception.type;
  span.recordException(error);
}

/** `spans` has a list for each entry of the story before this one; all refer to the first of a list. */
function startSpan(tracer, entry, spans) {
  let context = ROOT_CONTEXT;
  if (entry.remoteParent !== undefined) {
    context = new W3CTraceContextPropagator().extract(context, entry.remoteParent, defaultTextMapGetter);
  } else if (entry.parent !== undefined) {
    context = trace.setSpan(context, spans[entry.parent][0]);
  }
  const links = (entry.links ?? []).map((link) => ({
    context: spans[link.to][0].spanContext(),
    attributes: readAttributes(link),
  }));
  const options = { kind: entry.kind - 1, attributes: readAttributes(entry), links };
  const span = tracer.startSpan(entry.name, options, context);
  for (const event of entry.events ?? []) addEvent(span, event);
  // The SDK numbers its codes as OTLP does.
  if (entry.status !== undefined) span.setStatus(entry.status);
  return span;
}

function nanoseconds([seconds, rest]) {
  return String(BigInt(seconds) * 1_000_000_000n + BigInt(rest));
}

function tell(span) {
  const { traceId, spanId } = span.spanContext();
  const stackTraces = span.events.map((event) => event.attributes?.["exception.stacktrace"]);
  return {
    traceId,
    spanId,
    startTimeUnixNano: nanoseconds(span.startTime),
    endTimeUnixNano: nanoseconds(span.endTime),
    eventTimesUnixNano: span.events.map((event) => nanoseconds(event.time)),
    stackTraces: stackTraces.filter((text) => text !== undefined),
  };
}

async function main() {
  // The SDK says nothing of an export that failed unless it is told where.
  diag.setLogger(new DiagConsoleLogger(), DiagLogLevel.WARN);
  const story = JSON.parse(readFileSync(process.argv[2], "utf8"));
  const resource = defaultResource().merge(detectResources({ detectors: [envDetector] }));
  const provider = new NodeTracerProvider({
    resource,
    spanProcessors: [new BatchSpanProcessor(buildExporter())],
  });
  const tracer = provider.getTracer(story.scope.name, story.scope.version);
  const spans = [];
  for (const entry of story.spans) {
    spans.push(Array.from({ length: entry.times ?? 1 }, () => startSpan(tracer, entry, spans)));
  }
  for (const group of spans.toReversed()) {
    for (const span of group.toReversed()) span.end();
  }
  await provider.shutdown();
  const version = resource.attributes["telemetry.sdk.version"];
  process.stdout.write(JSON.stringify({ version, spans: spans.map((group) => group.map(tell)) }));
}

main();
