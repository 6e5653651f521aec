// Starts OpenTelemetry's JavaScript SDK. It is loaded before server.js (node --require), because the
// instrumentations can only patch `http` and `express` before anyone has loaded them.
// Everything about the resource comes from OTEL_ environment variables; record.py sets them.
'use strict';

const { NodeSDK } = require('@opentelemetry/sdk-node');
const { OTLPTraceExporter } = require('@opentelemetry/exporter-trace-otlp-http');
const { HttpInstrumentation } = require('@opentelemetry/instrumentation-http');
const { ExpressInstrumentation, ExpressLayerType } = require('@opentelemetry/instrumentation-express');

const sdk = new NodeSDK({
  traceExporter: new OTLPTraceExporter(), // OTLP over HTTP with a JSON body
  instrumentations: [
    new HttpInstrumentation({
      // server.js says the route it calls in `urlTemplate`: a client span named only `GET` would hide which call it was.
      startOutgoingSpanHook: (options) => (options.urlTemplate ? { 'url.template': options.urlTemplate } : {}),
      requestHook: (span, request) => {
        const template = span.attributes['url.template'];
        if (template) span.updateName(`${request.method} ${template}`);
      },
    }),
    // Express is instrumented for `http.route` alone; a span for each layer it passes would be noise.
    new ExpressInstrumentation({
      ignoreLayersType: [ExpressLayerType.MIDDLEWARE, ExpressLayerType.ROUTER, ExpressLayerType.REQUEST_HANDLER],
    }),
  ],
});

sdk.start();

// The last batch of spans leaves before the process does.
process.on('SIGTERM', () => {
  sdk.shutdown().then(
    () => process.exit(0),
    (error) => {
      console.error('the last spans could not be sent:', error);
      process.exit(1);
    },
  );
});
