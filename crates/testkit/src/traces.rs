//! Traces for tests: parsed from text, repeated, changed, and written in every format that can be read.

mod parse;

use std::time::Duration;

use tracediff_core::model::{SpanBatch, SpanBatchBuilder, SpanCore, SpanId, TraceId, ValueRef};
use tracediff_wire::{
    encode_jaeger, encode_lightstep, encode_otlp_json, encode_otlp_protobuf,
    encode_otlp_protobuf_delimited, encode_zipkin,
};

/// When the first trace of a text begins unless it says otherwise: 2026-01-05T10:00:00Z.
pub const START_NS: u64 = 1_767_607_200_000_000_000;

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Text.
    Text(String),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Double(f64),
    /// `true` or `false`.
    Bool(bool),
}

/// A span, with every field open to tests that want it odd.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// The trace's id as a number, from 1.
    pub trace: u64,
    /// The span's id as a number, from 1 in every trace.
    pub id: u64,
    /// The parent's id; 0 at a root.
    pub parent: u64,
    /// The resource's `service.name`.
    pub service: String,
    /// The span's name.
    pub operation: String,
    /// OpenTelemetry's number: 0 unspecified, 1 internal, 2 server, 3 client, 4 producer, 5 consumer.
    pub kind: u8,
    /// Whether its status is error; else it is unset.
    pub is_error: bool,
    /// Nanoseconds since the epoch.
    pub start_ns: u64,
    /// Nanoseconds since the epoch.
    pub end_ns: u64,
    /// W3C `tracestate`, empty for none.
    pub trace_state: String,
    /// Attributes of the resource beside `service.name`.
    pub resource: Vec<(String, Value)>,
    /// Attributes of the span.
    pub attributes: Vec<(String, Value)>,
}

/// A set of traces.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Traces {
    /// All spans, trace by trace.
    pub spans: Vec<Span>,
}

impl Traces {
    /// The traces of a text: a span a line, indentation is parenthood, a line without indentation begins a trace.
    ///
    /// ```text
    /// web: GET /cart 120ms error app.tier=gold @1.5s
    ///   cart: load 40ms client @10ms resource:service.version=1.4
    /// ```
    ///
    /// A line is `SERVICE: OPERATION DURATION` and then, in any order: `error`; a kind (`server`, `client`, …);
    /// `@OFFSET`, from the parent's start (0 if left out) or, at a root, from [`START_NS`] (n seconds for the n-th
    /// trace, counted from 0); `KEY=VALUE` for an attribute and `resource:KEY=VALUE` for one of the resource, where
    /// quotes hold text with spaces or digits together; `trace=`, `id=` and `parent=` with numbers in place of those that
    /// follow from the place in the text; `tracestate=`. Blank lines and lines that begin with `#` are passed over.
    pub fn parse(text: &str) -> Self {
        Self {
            spans: parse::parse(text),
        }
    }

    /// These traces `count` times, each time with new trace ids and `every` later.
    pub fn repeat(&self, count: u64, every: Duration) -> Self {
        let mut all = Self::default();
        for number in 0..count {
            let mut copy = self.clone();
            copy.shift(every * number as u32);
            all = all.and(copy);
        }
        all
    }

    /// These traces and others, which get ids of their own.
    pub fn and(mut self, other: Self) -> Self {
        let last = self.spans.iter().map(|s| s.trace).max().unwrap_or(0);
        self.spans.extend(other.spans.into_iter().map(|mut span| {
            span.trace += last;
            span
        }));
        self
    }

    /// Moves everything to a later time.
    pub fn shift(&mut self, by: Duration) {
        for span in &mut self.spans {
            span.start_ns += by.as_nanos() as u64;
            span.end_ns += by.as_nanos() as u64;
        }
    }

    /// Changes every span.
    pub fn edit(mut self, change: impl FnMut(&mut Span)) -> Self {
        self.spans.iter_mut().for_each(change);
        self
    }

    /// One batch of all spans.
    pub fn batch(&self) -> SpanBatch {
        batch(&self.spans)
    }

    /// OTLP JSON, one request a line and one trace a request, as the Collector's file exporter writes.
    pub fn otlp_json_lines(&self) -> String {
        self.requests()
            .map(|request| encode_otlp_json(&request) + "\n")
            .collect()
    }

    /// One OTLP JSON document over many lines.
    pub fn otlp_json_document(&self) -> String {
        pretty(&encode_otlp_json(&self.batch()))
    }

    /// One OTLP protobuf request.
    pub fn otlp_protobuf(&self) -> Vec<u8> {
        encode_otlp_protobuf(&self.batch())
    }

    /// OTLP protobuf requests of one trace each, each with its length before it.
    pub fn otlp_protobuf_delimited(&self) -> Vec<u8> {
        self.requests()
            .flat_map(|request| encode_otlp_protobuf_delimited(&request))
            .collect()
    }

    /// Jaeger JSON, as the UI downloads it.
    pub fn jaeger(&self) -> String {
        pretty(&encode_jaeger(&self.batch()))
    }

    /// Zipkin v2 JSON.
    pub fn zipkin(&self) -> String {
        pretty(&encode_zipkin(&self.batch()))
    }

    /// Lightstep stored traces.
    pub fn lightstep(&self) -> String {
        pretty(&encode_lightstep(&self.batch()))
    }

    fn requests(&self) -> impl Iterator<Item = SpanBatch> {
        self.spans.chunk_by(|a, b| a.trace == b.trace).map(batch)
    }
}

fn pretty(json: &str) -> String {
    let value: serde_json::Value =
        serde_json::from_str(json).unwrap_or_else(|error| panic!("no JSON: {error}: {json}"));
    format!("{value:#}\n")
}

fn batch(spans: &[Span]) -> SpanBatch {
    let mut builder = SpanBatchBuilder::new();
    for span in spans {
        assert!(
            span.start_ns <= span.end_ns,
            "a batch has durations, which are never negative: change what is written instead"
        );
        builder.begin_resource();
        builder.resource_attribute(b"service.name", ValueRef::String(span.service.as_bytes()));
        for (key, value) in &span.resource {
            builder.resource_attribute(key.as_bytes(), value.borrow());
        }
        for (key, value) in &span.attributes {
            builder.span_attribute(key.as_bytes(), value.borrow());
        }
        builder.end_span(&SpanCore {
            trace_id: TraceId(u128::from(span.trace).to_be_bytes()),
            span_id: SpanId(span.id.to_be_bytes()),
            parent_span_id: SpanId(span.parent.to_be_bytes()),
            operation: span.operation.as_bytes(),
            kind: span.kind,
            status: if span.is_error { 2 } else { 0 },
            status_message: b"",
            trace_state: span.trace_state.as_bytes(),
            start_ns: span.start_ns,
            end_ns: span.end_ns,
        });
    }
    builder
        .commit()
        .unwrap_or_else(|error| panic!("too many spans for one batch: {error}"));
    match &builder.finish()[..] {
        [batch] => batch.clone(),
        batches => panic!("expected one batch, got {}", batches.len()),
    }
}

impl Value {
    fn borrow(&self) -> ValueRef<'_> {
        match self {
            Self::Text(text) => ValueRef::String(text.as_bytes()),
            Self::Int(number) => ValueRef::Int(*number),
            Self::Double(number) => ValueRef::Double(*number),
            Self::Bool(value) => ValueRef::Bool(*value),
        }
    }
}
