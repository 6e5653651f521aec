//! Writes the records of a request as spans, those of one instance together under its resource.

use tracediff_core::model::sampling::{randomness, threshold_of_probability, threshold_text};
use tracediff_core::model::{SpanBatchBuilder, SpanCore, SpanId, TraceId, ValueRef};

use crate::load::stream;
use crate::plan::{Exception, Plan, PropertyPlan, ValuesPlan};
use crate::random::{Random, Streams};
use crate::request::Record;
use crate::settings::Settings;

/// The name of the instrumentation scope of all spans.
const SCOPE: &[u8] = b"tracediff-simulate";

/// Consistent probability sampling: the root decides by its trace id, and every span tells the threshold.
#[derive(Debug)]
pub(crate) struct Sampler {
    threshold: u64,
    trace_state: Vec<u8>,
}

impl Sampler {
    pub(crate) fn new(probability: Option<f64>) -> Self {
        let threshold = threshold_of_probability(probability.unwrap_or(1.0));
        let trace_state = probability.map(|_| format!("ot=th:{}", threshold_text(threshold)));
        Self {
            threshold,
            trace_state: trace_state.unwrap_or_default().into_bytes(),
        }
    }

    pub(crate) fn keeps(&self, trace_id: &TraceId) -> bool {
        randomness(trace_id) >= self.threshold
    }
}

/// Writes spans into a builder.
#[derive(Debug)]
pub(crate) struct Emitter {
    pub(crate) sampler: Sampler,
    /// The error of each host's clock.
    skews_ns: Vec<i64>,
    /// What was drawn for each property: the place of a value, or the number of an identifier.
    drawn: Vec<u64>,
    /// Trace, instance and place of each record, in the order in which spans are written.
    order: Vec<u64>,
    text: Vec<u8>,
}

impl Emitter {
    pub(crate) fn new(settings: &Settings, hosts: u32, streams: &Streams) -> Self {
        let mut random = streams.stream(stream::CLOCKS);
        let skew = |_| (random.normal() * settings.clock_skew_us * 1e3) as i64;
        Self {
            sampler: Sampler::new(settings.sampling_probability),
            skews_ns: (0..hosts).map(skew).collect(),
            drawn: Vec::new(),
            order: Vec::new(),
            text: Vec::new(),
        }
    }

    /// Draws the properties of a request: one draw for each, whatever they are.
    pub(crate) fn draw(&mut self, properties: &[PropertyPlan], random: &mut Random) {
        self.drawn.clear();
        self.drawn
            .extend(properties.iter().map(|p| match &p.values {
                ValuesPlan::OneOf { choice, .. } => choice.draw(random) as u64,
                ValuesPlan::Identifier(_) => random.bits(),
            }));
    }

    /// Writes the records of those traces that are kept, and gives the number of spans written.
    pub(crate) fn write(
        &mut self,
        plan: &Plan,
        traces: &[TraceId],
        records: &[Record],
        builder: &mut SpanBatchBuilder,
    ) -> usize {
        self.order.clear();
        for (place, record) in (0u64..).zip(records) {
            if !record.is_silent && self.sampler.keeps(&traces[record.trace as usize]) {
                let resource = u64::from(record.trace) << 16 | u64::from(record.instance);
                self.order.push(resource << 32 | place);
            }
        }
        self.order.sort_unstable();
        let mut resource = u64::MAX;
        for i in 0..self.order.len() {
            let key = self.order[i];
            let record = &records[key as u32 as usize];
            if key >> 32 != resource {
                resource = key >> 32;
                begin_resource(plan, record, builder);
            }
            self.write_span(plan, traces, records, record, builder);
        }
        self.order.len()
    }

    fn write_span(
        &mut self,
        plan: &Plan,
        traces: &[TraceId],
        records: &[Record],
        record: &Record,
        builder: &mut SpanBatchBuilder,
    ) {
        let shape = &plan.shapes[record.shape as usize];
        let outcome = &plan.outcomes[record.outcome as usize];
        let host = plan.instances[record.instance as usize].host;
        let skew_ns = self.skews_ns[host as usize];
        let end_ns = record.end_ns.saturating_add_signed(skew_ns);
        for attribute in shape.attributes.iter().chain(&outcome.attributes) {
            builder.span_attribute(&attribute.key, attribute.value.as_ref());
        }
        for property in &shape.records {
            self.write_property(plan, *property as usize, builder);
        }
        if record.resend > 0 {
            let resend = ValueRef::Int(record.resend.into());
            builder.span_attribute(b"http.request.resend_count", resend);
        }
        if let Some(exception) = &outcome.exception {
            let Exception {
                exception_type,
                message,
            } = exception;
            builder.event_attribute(b"exception.type", ValueRef::String(exception_type));
            builder.event_attribute(b"exception.message", ValueRef::String(message));
            builder.event(end_ns, b"exception");
        }
        if let Some(linked) = record.link.map(|place| &records[place as usize]) {
            let trace_id = traces[linked.trace as usize];
            builder.link(trace_id, span_id(linked.span_id), &self.sampler.trace_state);
        }
        builder.end_span(&SpanCore {
            trace_id: traces[record.trace as usize],
            span_id: span_id(record.span_id),
            parent_span_id: span_id(record.parent),
            operation: &shape.name,
            kind: shape.kind,
            status: if outcome.is_error { 2 } else { 0 },
            status_message: &outcome.message,
            trace_state: &self.sampler.trace_state,
            start_ns: record.start_ns.saturating_add_signed(skew_ns),
            end_ns,
        });
    }

    fn write_property(&mut self, plan: &Plan, number: usize, builder: &mut SpanBatchBuilder) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let property = &plan.properties[number];
        let drawn = self.drawn[number];
        match &property.values {
            ValuesPlan::OneOf { values, .. } => {
                builder.span_attribute(&property.key, values[drawn as usize].as_ref());
            }
            ValuesPlan::Identifier(prefix) => {
                self.text.clear();
                self.text.extend_from_slice(prefix);
                let digits = (0..16).rev().map(|i| HEX[(drawn >> (4 * i)) as usize & 15]);
                self.text.extend(digits);
                builder.span_attribute(&property.key, ValueRef::String(&self.text));
            }
        }
    }
}

fn begin_resource(plan: &Plan, record: &Record, builder: &mut SpanBatchBuilder) {
    builder.begin_resource();
    for attribute in &plan.instances[record.instance as usize].attributes {
        builder.resource_attribute(&attribute.key, attribute.value.as_ref());
    }
    builder.begin_scope();
    builder.scope_attribute(b"otel.scope.name", ValueRef::String(SCOPE));
}

fn span_id(id: u64) -> SpanId {
    SpanId(id.to_be_bytes())
}
