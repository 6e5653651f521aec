//! For tests: spans as text, and arbitrary spans as far as a format can hold them.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use tracediff_core::model::{
    Attribute, SpanBatch, SpanBatchBuilder, SpanCore, SpanId, TraceId, ValueRef,
};

use crate::decoded::Decoded;
use crate::error::DecodeError;

/// What a decoder made of bytes: its counts and the spans as [`dump`] shows them, or the error.
pub(crate) fn outcome(
    decode: impl FnOnce(&mut SpanBatchBuilder) -> Result<Decoded, DecodeError>,
) -> String {
    let mut builder = SpanBatchBuilder::new();
    match decode(&mut builder) {
        Err(error) => {
            assert!(builder.finish().is_empty(), "an error keeps nothing");
            format!("error: {error}")
        }
        Ok(decoded) => {
            let batches = builder.finish();
            let rows: usize = batches.iter().map(SpanBatch::len).sum();
            assert_eq!(rows as u64, decoded.spans);
            let mut text: String = batches.iter().map(dump).collect();
            if let Some(why) = decoded.first_rejection {
                text.push_str(&format!("rejected {}: {why}\n", decoded.rejected));
            }
            text
        }
    }
}

/// Every row as text, in order. Attributes are sorted, for the order of columns does not matter.
pub(crate) fn dump(batch: &SpanBatch) -> String {
    (0..batch.len()).map(|row| dump_row(batch, row)).collect()
}

/// Every row as text, in an order that depends on the rows only.
pub(crate) fn dump_sorted(batches: &[SpanBatch]) -> String {
    let mut rows: Vec<String> = batches
        .iter()
        .flat_map(|batch| (0..batch.len()).map(|row| dump_row(batch, row)))
        .collect();
    rows.sort();
    rows.concat()
}

fn dump_row(batch: &SpanBatch, row: usize) -> String {
    let mut text = format!(
        "{}/{} < {} | {}: {} | kind {} status {}",
        batch.trace_id(row),
        batch.span_id(row),
        batch
            .parent_span_id(row)
            .map_or("-".to_owned(), |id| id.to_string()),
        batch.service().text(row).unwrap(),
        batch.operation().text(row).unwrap(),
        batch.kind(row),
        batch.status(row),
    );
    if let Some(message) = batch.status_message(row) {
        text.push_str(&format!(" {message:?}"));
    }
    text.push_str(&format!(
        " | {} +{}",
        batch.start_ns(row),
        batch.duration_ns(row)
    ));
    if let Some(state) = batch.trace_state(row) {
        text.push_str(&format!(" | {state}"));
    }
    if let Some(weight) = batch.weight(row) {
        text.push_str(&format!(" x{weight}"));
    }
    text.push('\n');
    for line in dump_attributes(&batch.attributes(row), true) {
        text.push_str(&format!("  {line}\n"));
    }
    for event in batch.events(row) {
        let attributes = dump_attributes(&event.attributes, false).join(" ");
        text.push_str(&format!(
            "  event {} {:?} {attributes}\n",
            event.time_ns, event.name
        ));
    }
    for link in batch.links(row) {
        let attributes = dump_attributes(&link.attributes, false).join(" ");
        text.push_str(&format!(
            "  link {}/{} {:?} {attributes}\n",
            link.trace_id, link.span_id, link.trace_state
        ));
    }
    text
}

fn dump_attributes(attributes: &[Attribute<'_>], with_origin: bool) -> Vec<String> {
    let mut lines: Vec<String> = attributes
        .iter()
        .map(|a| {
            let origin = if with_origin {
                format!("{}.", a.origin.name())
            } else {
                String::new()
            };
            format!("{origin}{}={}:{}", a.key, a.text, a.value_type.name())
        })
        .collect();
    lines.sort();
    lines
}

/// A value that owns its text.
#[derive(Debug, Clone)]
pub(crate) enum SampleValue {
    String(String),
    Int(i64),
    Double(f64),
    Bool(bool),
    Bytes(Vec<u8>),
    Array(String),
    Map(String),
}

impl SampleValue {
    fn borrow(&self) -> ValueRef<'_> {
        match self {
            Self::String(text) => ValueRef::String(text.as_bytes()),
            Self::Int(value) => ValueRef::Int(*value),
            Self::Double(value) => ValueRef::Double(*value),
            Self::Bool(value) => ValueRef::Bool(*value),
            Self::Bytes(bytes) => ValueRef::Bytes(bytes),
            Self::Array(text) => ValueRef::Array(text),
            Self::Map(text) => ValueRef::Map(text),
        }
    }
}

type SampleAttributes = Vec<(String, SampleValue)>;

/// A span with its resource and scope.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    service: String,
    resource: SampleAttributes,
    scope: SampleAttributes,
    attributes: SampleAttributes,
    ids: (u128, u64, u64),
    operation: String,
    kind: u8,
    status: (u8, String),
    trace_state: String,
    start: u64,
    duration: u64,
    events: Vec<(u64, String, SampleAttributes)>,
    links: Vec<(u128, u64, SampleAttributes)>,
}

/// What a format can hold of a span.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Holds {
    /// The unit of its times.
    pub(crate) unit_ns: u64,
    /// The kinds it knows.
    pub(crate) kinds: &'static [u8],
    /// Whether attributes have types, and which: all, scalars without bytes, or text only.
    pub(crate) values: Values,
    /// Whether resources and scopes have attributes beside the service and the scope's name and version.
    pub(crate) resources: bool,
    pub(crate) scope_attributes: bool,
    pub(crate) trace_states: bool,
    pub(crate) events: bool,
    pub(crate) links: bool,
    pub(crate) link_attributes: bool,
}

/// Types of attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Values {
    All,
    NoArrays,
    Json,
    Text,
}

/// Spans as far as the format holds them.
pub(crate) fn samples(holds: Holds) -> impl Strategy<Value = Vec<Sample>> {
    vec(sample(holds), 1..12)
}

/// Puts the spans into batches.
pub(crate) fn build(samples: &[Sample], holds: Holds) -> Vec<SpanBatch> {
    let mut builder = SpanBatchBuilder::new();
    for sample in samples {
        append(sample, holds, &mut builder);
    }
    builder.commit().unwrap();
    builder.finish()
}

fn append(sample: &Sample, holds: Holds, builder: &mut SpanBatchBuilder) {
    builder.begin_resource();
    builder.resource_attribute(b"service.name", ValueRef::String(sample.service.as_bytes()));
    for (key, value) in &sample.resource {
        builder.resource_attribute(key.as_bytes(), value.borrow());
    }
    builder.begin_scope();
    for (key, value) in &sample.scope {
        builder.scope_attribute(key.as_bytes(), value.borrow());
    }
    for (key, value) in &sample.attributes {
        builder.span_attribute(key.as_bytes(), value.borrow());
    }
    for (time, name, attributes) in &sample.events {
        for (key, value) in attributes {
            builder.event_attribute(key.as_bytes(), value.borrow());
        }
        builder.event(time * holds.unit_ns, name.as_bytes());
    }
    for (trace_id, span_id, attributes) in &sample.links {
        for (key, value) in attributes {
            builder.link_attribute(key.as_bytes(), value.borrow());
        }
        let ids = (
            TraceId(trace_id.to_be_bytes()),
            SpanId(span_id.to_be_bytes()),
        );
        builder.link(ids.0, ids.1, b"");
    }
    let (trace_id, span_id, parent) = sample.ids;
    builder.end_span(&SpanCore {
        trace_id: TraceId(trace_id.to_be_bytes()),
        span_id: SpanId(span_id.to_be_bytes()),
        parent_span_id: SpanId(parent.to_be_bytes()),
        operation: sample.operation.as_bytes(),
        kind: sample.kind,
        status: sample.status.0,
        status_message: sample.status.1.as_bytes(),
        trace_state: sample.trace_state.as_bytes(),
        start_ns: sample.start * holds.unit_ns,
        end_ns: (sample.start + sample.duration) * holds.unit_ns,
    });
}

fn sample(holds: Holds) -> impl Strategy<Value = Sample> {
    let core = (
        select(vec!["cart", "frontend", "grüße \"q\""]),
        (1..5u128, 1..u64::MAX, prop_oneof![Just(0u64), 1..u64::MAX]),
        text(),
        select(holds.kinds),
        status(),
        (1..1_000_000_000_000u64, 0..1_000_000u64),
        select(if holds.trace_states {
            vec!["", "ot=th:8", "vendor=1"]
        } else {
            vec![""]
        }),
    );
    let most = |yes: bool, most: usize| if yes { most } else { 0 };
    let values = holds.values;
    let resource = attributes(attribute("r", values), most(holds.resources, 3));
    let scope = (
        proptest::option::of(text()),
        attributes(attribute("s", values), most(holds.scope_attributes, 2)),
    );
    let event = (
        1..1_000_000u64,
        nonempty_text(),
        attributes(event_attribute(values), 2),
    );
    let events = vec(event, 0..=most(holds.events, 3));
    let link = (
        1000..u128::MAX,
        1..u64::MAX,
        attributes(attribute("l", values), most(holds.link_attributes, 2)),
    );
    let links = vec(link, 0..=most(holds.links, 2));
    (
        core,
        resource,
        scope,
        attributes(attribute("a", values), 4),
        events,
        links,
    )
        .prop_map(
            |(core, resource, (scope_name, mut scope), attributes, events, links)| {
                let (service, ids, operation, kind, status, (start, duration), trace_state) = core;
                if let Some(name) = scope_name.filter(|name| !name.is_empty()) {
                    scope.push(("otel.scope.name".to_owned(), SampleValue::String(name)));
                }
                Sample {
                    service: service.to_owned(),
                    resource,
                    scope,
                    attributes,
                    ids,
                    operation,
                    kind,
                    status,
                    trace_state: trace_state.to_owned(),
                    start,
                    duration,
                    events,
                    links,
                }
            },
        )
}

/// Attributes whose keys differ: a key set twice is kept only once by some formats.
fn attributes(
    one: impl Strategy<Value = (String, SampleValue)>,
    most: usize,
) -> impl Strategy<Value = SampleAttributes> {
    vec(one, 0..=most).prop_map(|mut attributes| {
        let mut keys = std::collections::HashSet::new();
        attributes.retain(|(key, _)| keys.insert(key.clone()));
        attributes
    })
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        select(vec!["", "GET /a", "\"quoted\" \\ \n\t\u{1}", "ünïcödé 🦀"]).prop_map(str::to_owned),
        "[ -~]{0,8}",
    ]
}

fn nonempty_text() -> impl Strategy<Value = String> {
    text().prop_map(|text| format!("e{text}"))
}

/// A status without a message where there is no error: other formats have no place for it.
fn status() -> impl Strategy<Value = (u8, String)> {
    prop_oneof![
        Just((0, String::new())),
        Just((1, String::new())),
        text().prop_map(|message| (2, message)),
    ]
}

fn attribute(prefix: &'static str, values: Values) -> impl Strategy<Value = (String, SampleValue)> {
    let key = (0..4).prop_map(move |n| format!("{prefix}.key \"{n}\""));
    (key, value(values))
}

fn event_attribute(values: Values) -> impl Strategy<Value = (String, SampleValue)> {
    let key = select(vec!["exception.type", "exception.message", "x"]).prop_map(str::to_owned);
    (key, value(values))
}

fn value(values: Values) -> BoxedStrategy<SampleValue> {
    let texts = text().prop_map(SampleValue::String);
    if values == Values::Text {
        return texts.boxed();
    }
    let json = prop_oneof![
        texts,
        any::<i64>().prop_map(SampleValue::Int),
        any::<f64>()
            .prop_filter("finite", |f| f.is_finite())
            .prop_map(SampleValue::Double),
        any::<bool>().prop_map(SampleValue::Bool),
    ];
    let arrays = prop_oneof![
        select(vec![
            "[]",
            r#"["a\n",1,-2.5,1e300,true,null,[[]],{"k":{}}]"#
        ])
        .prop_map(|text| SampleValue::Array(text.to_owned())),
        select(vec!["{}", r#"{"a":{"bytesValue":"AAE="},"":[0.1]}"#])
            .prop_map(|text| SampleValue::Map(text.to_owned())),
    ];
    if values == Values::Json {
        return prop_oneof![json, arrays].boxed();
    }
    let others = prop_oneof![
        vec(any::<u8>(), 0..5).prop_map(SampleValue::Bytes),
        select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY]).prop_map(SampleValue::Double),
    ];
    if values == Values::NoArrays {
        return prop_oneof![json, others].boxed();
    }
    prop_oneof![json, others, arrays].boxed()
}

/// Feeds a decoder bytes that may be anything, and mutilated forms of a sound document: it must not panic, and must
/// keep nothing where it fails (which [`outcome`] checks).
pub(crate) fn hostile(document: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let cut = (0..=document.len()).prop_map(move |end| document.as_bytes()[..end].to_vec());
    let changed = (0..document.len(), any::<u8>()).prop_map(move |(at, byte)| {
        let mut bytes = document.as_bytes().to_vec();
        bytes[at] = byte;
        bytes
    });
    let values = [
        "null",
        "[]",
        "{}",
        "-1",
        "1e999",
        "\"\\ud800\"",
        "true",
        "[[{}]]",
    ];
    let replaced = (0..document.len(), select(values.to_vec())).prop_map(move |(at, value)| {
        // Replaces what stands behind the next colon up to the next comma.
        let colon = document[at..].find(':').map_or(at, |i| at + i + 1);
        let end = document[colon..]
            .find([',', '}', ']'])
            .map_or(colon, |i| colon + i);
        [
            &document.as_bytes()[..colon],
            value.as_bytes(),
            &document.as_bytes()[end..],
        ]
        .concat()
    });
    prop_oneof![vec(any::<u8>(), 0..64), cut, changed, replaced]
}
