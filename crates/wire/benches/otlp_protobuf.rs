//! How fast OTLP protobuf becomes span batches, on one core: prost's owned messages, these pushed into the builder,
//! and the walk that this crate has instead; and how fast batches become requests. Elements are spans.

#![expect(
    clippy::expect_used,
    reason = "the requests are made here, and are sound"
)]

use std::hint::black_box;

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tracediff_core::model::{SpanBatchBuilder, SpanCore, SpanId, TraceId, ValueRef};
use tracediff_wire::{decode_otlp_protobuf, encode_otlp_protobuf};

#[path = "otlp_protobuf/traffic.rs"]
mod traffic;

const SPANS: usize = 100_000;

fn benches(criterion: &mut Criterion) {
    let requests = traffic::requests(SPANS);
    let bytes: usize = requests.iter().map(Vec::len).sum();
    println!(
        "{SPANS} spans in {} requests, {} bytes a span",
        requests.len(),
        bytes / SPANS
    );
    let mut group = criterion.benchmark_group("otlp_protobuf");
    group.sample_size(20);
    group.sampling_mode(SamplingMode::Flat);
    group.throughput(Throughput::ElementsAndBytes {
        elements: SPANS as u64,
        bytes: bytes as u64,
    });
    group.bench_function("prost", |b| {
        b.iter(|| {
            for request in &requests {
                black_box(decode_prost(request));
            }
        });
    });
    group.bench_function("prost + append", |b| {
        let mut builder = SpanBatchBuilder::new();
        b.iter(|| {
            for request in &requests {
                append_prost(&mut builder, &decode_prost(request));
                builder.commit().expect("small requests");
            }
            black_box(builder.finish())
        });
    });
    group.bench_function("walk", |b| {
        let mut builder = SpanBatchBuilder::new();
        b.iter(|| {
            for request in &requests {
                decode_otlp_protobuf(request, 0, &mut builder).expect("sound requests");
            }
            black_box(builder.finish())
        });
    });
    let batches = {
        let mut builder = SpanBatchBuilder::new();
        for request in &requests {
            decode_otlp_protobuf(request, 0, &mut builder).expect("sound requests");
        }
        builder.finish()
    };
    group.bench_function("encode", |b| {
        b.iter(|| {
            for batch in &batches {
                black_box(encode_otlp_protobuf(batch));
            }
        });
    });
    group.finish();
}

fn decode_prost(request: &[u8]) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest::decode(request).expect("sound requests")
}

fn append_prost(builder: &mut SpanBatchBuilder, request: &ExportTraceServiceRequest) {
    for resource_spans in &request.resource_spans {
        builder.begin_resource();
        for attribute in resource_spans.resource.iter().flat_map(|r| &r.attributes) {
            builder.resource_attribute(attribute.key.as_bytes(), value(attribute));
        }
        for scope_spans in &resource_spans.scope_spans {
            builder.begin_scope();
            if let Some(scope) = &scope_spans.scope {
                builder
                    .scope_attribute(b"otel.scope.name", ValueRef::String(scope.name.as_bytes()));
                builder.scope_attribute(
                    b"otel.scope.version",
                    ValueRef::String(scope.version.as_bytes()),
                );
            }
            for span in &scope_spans.spans {
                append_span(builder, span);
            }
        }
    }
}

fn append_span(builder: &mut SpanBatchBuilder, span: &Span) {
    for attribute in &span.attributes {
        builder.span_attribute(attribute.key.as_bytes(), value(attribute));
    }
    for event in &span.events {
        for attribute in &event.attributes {
            builder.event_attribute(attribute.key.as_bytes(), value(attribute));
        }
        builder.event(event.time_unix_nano, event.name.as_bytes());
    }
    let status = span.status.as_ref();
    builder.end_span(&SpanCore {
        trace_id: TraceId::from_slice(&span.trace_id).unwrap_or_default(),
        span_id: SpanId::from_slice(&span.span_id).unwrap_or_default(),
        parent_span_id: SpanId::from_slice(&span.parent_span_id).unwrap_or_default(),
        operation: span.name.as_bytes(),
        kind: span.kind as u8,
        status: status.map_or(0, |s| s.code as u8),
        status_message: status.map_or(b"", |s| s.message.as_bytes()),
        trace_state: span.trace_state.as_bytes(),
        start_ns: span.start_time_unix_nano,
        end_ns: span.end_time_unix_nano,
    });
}

fn value(attribute: &KeyValue) -> ValueRef<'_> {
    match attribute.value.as_ref().and_then(|v| v.value.as_ref()) {
        Some(Value::StringValue(text)) => ValueRef::String(text.as_bytes()),
        Some(Value::IntValue(number)) => ValueRef::Int(*number),
        Some(Value::DoubleValue(number)) => ValueRef::Double(*number),
        Some(Value::BoolValue(truth)) => ValueRef::Bool(*truth),
        other => panic!("the traffic has no such value: {other:?}"),
    }
}

criterion_group!(otlp_protobuf, benches);
criterion_main!(otlp_protobuf);
