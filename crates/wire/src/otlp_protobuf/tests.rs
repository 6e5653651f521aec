//! What the tests share: rows of a batch in a form that compares, and requests to try.

mod errors;
mod framing;
mod model;
mod requests;
mod round_trip;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use tracediff_core::model::{Attribute, SpanBatch, SpanBatchBuilder};

use super::decode_otlp_protobuf;
use crate::decoded::Decoded;
use crate::error::DecodeError;

/// An attribute: origin, key, type, text.
type AttributeRow = (&'static str, String, &'static str, String);

/// A span with all that a batch tells of it.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
struct Row {
    trace_id: String,
    span_id: String,
    parent_span_id: Option<String>,
    service: String,
    operation: String,
    kind: u8,
    status: u8,
    status_message: String,
    trace_state: String,
    start_ns: i64,
    duration_ns: u64,
    weight: Option<f64>,
    /// In the order of the alphabet, because columns have none.
    attributes: Vec<AttributeRow>,
    events: Vec<(i64, String, Vec<AttributeRow>)>,
    links: Vec<(String, String, String, Vec<AttributeRow>)>,
}

fn attribute_row(attribute: &Attribute<'_>) -> AttributeRow {
    let Attribute {
        key,
        origin,
        value_type,
        text,
    } = attribute;
    (
        origin.name(),
        (*key).to_owned(),
        value_type.name(),
        (*text).to_owned(),
    )
}

fn attribute_rows(attributes: &[Attribute<'_>]) -> Vec<AttributeRow> {
    attributes.iter().map(attribute_row).collect()
}

fn row(batch: &SpanBatch, row: usize) -> Row {
    let mut attributes = attribute_rows(&batch.attributes(row));
    attributes.sort();
    Row {
        trace_id: batch.trace_id(row).to_string(),
        span_id: batch.span_id(row).to_string(),
        parent_span_id: batch.parent_span_id(row).map(|id| id.to_string()),
        service: batch.service().text(row).unwrap().to_owned(),
        operation: batch.operation().text(row).unwrap().to_owned(),
        kind: batch.kind(row),
        status: batch.status(row),
        status_message: batch.status_message(row).unwrap_or_default().to_owned(),
        trace_state: batch.trace_state(row).unwrap_or_default().to_owned(),
        start_ns: batch.start_ns(row),
        duration_ns: batch.duration_ns(row),
        weight: batch.weight(row),
        attributes,
        events: batch
            .events(row)
            .iter()
            .map(|e| (e.time_ns, e.name.to_owned(), attribute_rows(&e.attributes)))
            .collect(),
        links: batch
            .links(row)
            .iter()
            .map(|l| {
                (
                    l.trace_id.to_string(),
                    l.span_id.to_string(),
                    l.trace_state.to_owned(),
                    attribute_rows(&l.attributes),
                )
            })
            .collect(),
    }
}

fn rows(batches: &[SpanBatch]) -> Vec<Row> {
    let all = batches.iter();
    all.flat_map(|batch| (0..batch.len()).map(move |i| row(batch, i)))
        .collect()
}

/// Decodes one request into a batch of its own.
fn decode(bytes: &[u8]) -> Result<(Decoded, Vec<SpanBatch>), DecodeError> {
    let mut builder = SpanBatchBuilder::new();
    let decoded = decode_otlp_protobuf(bytes, 0, &mut builder)?;
    Ok((decoded, builder.finish()))
}

fn prost_decode(bytes: &[u8]) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest::decode(bytes).unwrap()
}
