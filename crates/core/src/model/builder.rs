//! Builds span batches row by row, straight into dictionary columns: what the decoders write to.
//!
//! A request is all or nothing: [`SpanBatchBuilder::commit`] keeps what was appended since the last commit,
//! [`SpanBatchBuilder::rollback`] takes it back.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, Float64Array, ListArray, RecordBatch, TimestampNanosecondArray, UInt8Array,
    UInt64Array,
};
use arrow_buffer::{BooleanBuffer, NullBuffer, ScalarBuffer};
use arrow_schema::Field;
use thiserror::Error;

use super::batch::SpanBatch;
use super::columns::{AttributeColumns, NONE, nullable};
use super::ids::{SpanId, TraceId};
use super::interner::Interner;
use super::nested::{Events, Limit, Links, dictionary, ids};
use super::sampling::adjusted_count;
use super::schema;
use super::value::{Origin, ValueRef};

/// A span's own columns; attributes, events and links are set one by one.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct SpanCore<'a> {
    /// Never zero in a sound span.
    pub trace_id: TraceId,
    /// Never zero in a sound span.
    pub span_id: SpanId,
    /// Zero at a root.
    pub parent_span_id: SpanId,
    /// The span's name, bytes that should be UTF-8.
    pub operation: &'a [u8],
    /// OpenTelemetry's number: 0 unspecified, 1 internal, 2 server, 3 client, 4 producer, 5 consumer.
    pub kind: u8,
    /// OpenTelemetry's number: 0 unset, 1 ok, 2 error.
    pub status: u8,
    /// What the status says, empty for nothing.
    pub status_message: &'a [u8],
    /// W3C `tracestate`, empty for none; a sampling threshold in it becomes the weight.
    pub trace_state: &'a [u8],
    /// Nanoseconds since the epoch.
    pub start_ns: u64,
    /// Nanoseconds since the epoch. An end before the start counts as a duration of zero.
    pub end_ns: u64,
}

/// What was odd in the spans of a builder; oddities are data, never errors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Oddities {
    /// Spans that ended before they started; their duration is taken as zero.
    pub negative_durations: u64,
    /// Distinct texts that were not UTF-8; bad sequences were replaced by U+FFFD.
    pub invalid_utf8: u64,
    /// Spans without a service name; they are in service `unknown_service`.
    pub without_service: u64,
    /// Spans that had ended before the time that was set as [late](SpanBatchBuilder::call_late).
    pub late: u64,
}

impl Oddities {
    /// Adds another's counts.
    pub fn add(&mut self, other: Self) {
        self.negative_durations += other.negative_durations;
        self.invalid_utf8 += other.invalid_utf8;
        self.without_service += other.without_service;
        self.late += other.late;
    }
}

/// A place between two spans of a builder (see [`SpanBatchBuilder::mark`]).
#[derive(Debug, Clone, Copy, Default)]
pub struct Mark {
    rows: usize,
    oddities: Oddities,
    starts_ns: Option<(i64, i64)>,
}

/// Why a request does not fit into a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TooLarge {
    /// The 32-bit offsets of its columns would not reach all of its text.
    #[error("the request holds more than {MAX_REQUEST_BYTES} bytes of text; send it in parts")]
    Text,
    /// A few bytes that name a key make a column as long as the batch.
    #[error(
        "the request's spans, times all attribute keys that any of them or its resource has, take more than \
         {limit_bytes} bytes of memory; send fewer spans at a time, or give them fewer keys"
    )]
    Columns {
        /// What they may take: see [`SpanBatchBuilder::limit_columns`].
        limit_bytes: usize,
    },
}

/// Text that one request may add to a batch.
pub const MAX_REQUEST_BYTES: usize = 1 << 30;

/// Rows after which a commit seals the batch: few enough that dictionaries of texts that hardly repeat stay in the
/// processor's second-level cache. With sixteen times as many, decoding takes half as long again.
const TARGET_ROWS: usize = 1 << 13;
/// Codes over all columns after which a commit seals the batch.
const TARGET_CODES: usize = 1 << 25;
/// Text after which a commit seals the batch.
const TARGET_TEXT_BYTES: usize = 1 << 27;
/// The service of spans whose resource names none, as the semantic conventions say.
pub const UNKNOWN_SERVICE: &str = "unknown_service";

/// Builds [`SpanBatch`]es. See the module's description.
#[derive(Debug, Default)]
pub struct SpanBatchBuilder {
    trace_ids: Vec<[u8; 16]>,
    span_ids: Vec<[u8; 8]>,
    parent_span_ids: Vec<[u8; 8]>,
    services: Interner,
    service_codes: Vec<i32>,
    operations: Interner,
    operation_codes: Vec<i32>,
    kinds: Vec<u8>,
    statuses: Vec<u8>,
    status_messages: Interner,
    status_message_codes: Vec<i32>,
    trace_states: Interner,
    trace_state_codes: Vec<i32>,
    /// The weight that each trace state code tells.
    trace_state_weights: Vec<Option<f64>>,
    starts_ns: Vec<i64>,
    durations_ns: Vec<u64>,
    weights: Vec<f64>,
    weight_known: Vec<bool>,
    events: Events,
    links: Links,
    attributes: AttributeColumns,
    resource_service: Option<u32>,
    committed: Mark,
    oddities: Oddities,
    /// Earliest and latest start since they were last taken.
    starts_of_all_ns: Option<(i64, i64)>,
    limit: Limit,
    late_before_ns: u64,
    /// Distinct texts of committed spans that were mended, since the last batch was sealed.
    unsealed_invalid_utf8: u64,
    sealed: Vec<SpanBatch>,
}

impl SpanBatchBuilder {
    /// An empty builder.
    pub fn new() -> Self {
        Self::default()
    }

    /// Rows of the batch that is being built.
    pub fn rows(&self) -> usize {
        self.trace_ids.len()
    }

    /// What was odd in committed spans.
    pub fn oddities(&self) -> Oddities {
        let mut oddities = self.committed.oddities;
        oddities.invalid_utf8 += self.unsealed_invalid_utf8;
        oddities
    }

    /// Bounds what the columns of attributes, of events and of links each may take in memory, from the next request on; at
    /// most, and where nothing is said, [`MAX_REQUEST_BYTES`]. Spans that are in the builder already count too.
    pub fn limit_columns(&mut self, limit_bytes: usize) {
        self.limit = Limit(limit_bytes.min(MAX_REQUEST_BYTES));
        self.attributes.limit(self.limit);
        self.events.attributes.limit = self.limit;
        self.links.attributes.limit = self.limit;
    }

    /// Spans that end before this time, in nanoseconds since the epoch, count as late from here on.
    pub fn call_late(&mut self, before_ns: u64) {
        self.late_before_ns = before_ns;
    }

    /// Earliest and latest start of the spans that were committed since this was last called, in nanoseconds since the
    /// epoch.
    pub fn take_extent_ns(&mut self) -> Option<(i64, i64)> {
        self.starts_of_all_ns = None;
        self.committed.starts_ns.take()
    }

    /// Starts a resource: spans from here on have its attributes and none of the resource before.
    pub fn begin_resource(&mut self) {
        self.attributes.begin_resource(self.rows());
        self.resource_service = None;
    }

    /// Sets an attribute of the current resource.
    pub fn resource_attribute(&mut self, key: &[u8], value: ValueRef<'_>) {
        if key == schema::SERVICE_NAME.as_bytes() {
            self.resource_service = Some(self.services.intern(value.text().as_bytes()));
        } else {
            self.attributes
                .set_shared(self.rows(), key, Origin::Resource, value);
        }
    }

    /// Starts an instrumentation scope inside the current resource.
    pub fn begin_scope(&mut self) {
        self.attributes.begin_scope(self.rows());
    }

    /// Sets an attribute of the current scope; its name and version are `otel.scope.name` and `otel.scope.version`.
    pub fn scope_attribute(&mut self, key: &[u8], value: ValueRef<'_>) {
        self.attributes
            .set_shared(self.rows(), key, Origin::Scope, value);
    }

    /// Sets an attribute of the span that the next [`end_span`](Self::end_span) completes. A key set twice keeps
    /// its last value.
    pub fn span_attribute(&mut self, key: &[u8], value: ValueRef<'_>) {
        self.attributes.set(self.rows(), key, Origin::Span, value);
    }

    /// Adds an attribute to the event that the next [`event`](Self::event) completes.
    pub fn event_attribute(&mut self, key: &[u8], value: ValueRef<'_>) {
        if key == schema::EXCEPTION_TYPE.as_bytes() && !self.attributes.is_set(key) {
            self.attributes.set(self.rows(), key, Origin::Event, value);
        }
        self.events.attributes.push(Origin::Event, key, value);
    }

    /// Completes an event of the current span.
    pub fn event(&mut self, time_ns: u64, name: &[u8]) {
        self.events.push(time_ns.min(i64::MAX as u64) as i64, name);
    }

    /// Adds an attribute to the link that the next [`link`](Self::link) completes.
    pub fn link_attribute(&mut self, key: &[u8], value: ValueRef<'_>) {
        self.links.attributes.push(Origin::Span, key, value);
    }

    /// Completes a link of the current span.
    pub fn link(&mut self, trace_id: TraceId, span_id: SpanId, trace_state: &[u8]) {
        self.links.push(trace_id, span_id, trace_state);
    }

    /// Completes a span with all that was set since the span before.
    pub fn end_span(&mut self, span: &SpanCore<'_>) {
        let row = self.rows();
        self.trace_ids.push(span.trace_id.0);
        self.span_ids.push(span.span_id.0);
        self.parent_span_ids.push(span.parent_span_id.0);
        let service = self.resource_service.unwrap_or_else(|| {
            self.oddities.without_service += 1;
            self.services.intern(UNKNOWN_SERVICE.as_bytes())
        });
        self.service_codes.push(service as i32);
        self.operation_codes
            .push(self.operations.intern(span.operation) as i32);
        self.kinds.push(if span.kind <= 5 { span.kind } else { 0 });
        self.statuses
            .push(if span.status <= 2 { span.status } else { 0 });
        self.status_message_codes
            .push(if span.status_message.is_empty() {
                NONE
            } else {
                self.status_messages.intern(span.status_message) as i32
            });
        self.push_trace_state(span.trace_state);
        self.oddities.late += u64::from(span.end_ns < self.late_before_ns);
        let start_ns = span.start_ns.min(i64::MAX as u64) as i64;
        self.starts_ns.push(start_ns);
        let (first_ns, last_ns) = self.starts_of_all_ns.unwrap_or((start_ns, start_ns));
        self.starts_of_all_ns = Some((first_ns.min(start_ns), last_ns.max(start_ns)));
        self.durations_ns
            .push(span.end_ns.checked_sub(span.start_ns).unwrap_or_else(|| {
                self.oddities.negative_durations += 1;
                0
            }));
        self.attributes.end_row(row);
        self.events.end_row();
        self.links.end_row();
    }

    fn push_trace_state(&mut self, trace_state: &[u8]) {
        if trace_state.is_empty() {
            self.trace_state_codes.push(NONE);
            self.weights.push(1.0);
            self.weight_known.push(false);
            return;
        }
        let code = self.trace_states.intern(trace_state);
        if code as usize == self.trace_state_weights.len() {
            let text = String::from_utf8_lossy(trace_state);
            self.trace_state_weights.push(adjusted_count(&text));
        }
        let weight = self.trace_state_weights[code as usize];
        self.trace_state_codes.push(code as i32);
        self.weights.push(weight.unwrap_or(1.0));
        self.weight_known.push(weight.is_some());
    }

    /// Keeps all spans since the last commit, and seals the batch where it has grown large.
    pub fn commit(&mut self) -> Result<(), TooLarge> {
        self.attributes.commit(self.rows());
        if let Some(error) = self.too_large() {
            self.rollback();
            return Err(error);
        }
        self.committed = self.mark();
        self.interners().for_each(Interner::commit);
        self.unsealed_invalid_utf8 = self.interners().map(|texts| texts.invalid_utf8).sum();
        let codes = self.rows() * (self.attributes.len() + 4);
        if self.rows() >= TARGET_ROWS
            || codes >= TARGET_CODES
            || self.text_bytes() >= TARGET_TEXT_BYTES
        {
            self.seal();
        }
        Ok(())
    }

    fn too_large(&mut self) -> Option<TooLarge> {
        if self.attributes.is_too_large()
            || self.events.attributes.is_too_large()
            || self.links.attributes.is_too_large()
        {
            return Some(TooLarge::Columns {
                limit_bytes: self.limit.0,
            });
        }
        let is_too_large = self.text_bytes() > MAX_REQUEST_BYTES + TARGET_TEXT_BYTES
            || self.interners().any(|interner| interner.is_too_large());
        is_too_large.then_some(TooLarge::Text)
    }

    /// Every set of distinct texts of the batch that is being built.
    fn interners(&mut self) -> impl Iterator<Item = &mut Interner> {
        self.attributes.interners().chain([
            &mut self.services,
            &mut self.operations,
            &mut self.status_messages,
            &mut self.trace_states,
            &mut self.events.names,
            &mut self.events.attributes.keys,
            &mut self.links.trace_states,
            &mut self.links.attributes.keys,
        ])
    }

    /// Takes back all spans since the last commit.
    pub fn rollback(&mut self) {
        self.rewind(self.committed);
        self.begin_resource();
        self.attributes.rollback();
        self.events.attributes.rollback();
        self.links.attributes.rollback();
        self.interners().for_each(Interner::rollback);
        let trace_states = self.trace_states.len();
        self.trace_state_weights.truncate(trace_states);
    }

    /// The end of the spans so far, to which [`rewind`](Self::rewind) goes back. A commit makes it void.
    pub fn mark(&self) -> Mark {
        Mark {
            rows: self.rows(),
            oddities: self.oddities,
            starts_ns: self.starts_of_all_ns,
        }
    }

    /// Takes back all spans since `mark`, inside one request. The resource and the scope stay.
    pub fn rewind(&mut self, mark: Mark) {
        self.discard_span();
        if self.rows() > mark.rows {
            self.truncate(mark.rows);
        }
        self.oddities = mark.oddities;
        self.starts_of_all_ns = mark.starts_ns;
    }

    /// Forgets what was set since the last [`end_span`](Self::end_span): the span turned out to be none.
    pub fn discard_span(&mut self) {
        let rows = self.rows();
        self.attributes.discard_row(rows);
        self.events.truncate(rows);
        self.links.truncate(rows);
    }

    fn truncate(&mut self, rows: usize) {
        self.trace_ids.truncate(rows);
        self.span_ids.truncate(rows);
        self.parent_span_ids.truncate(rows);
        self.service_codes.truncate(rows);
        self.operation_codes.truncate(rows);
        self.kinds.truncate(rows);
        self.statuses.truncate(rows);
        self.status_message_codes.truncate(rows);
        self.trace_state_codes.truncate(rows);
        self.starts_ns.truncate(rows);
        self.durations_ns.truncate(rows);
        self.weights.truncate(rows);
        self.weight_known.truncate(rows);
        self.events.truncate(rows);
        self.links.truncate(rows);
        self.attributes.truncate(rows);
    }

    /// The sealed batches so far, leaving what is not sealed in the builder.
    pub fn take_sealed(&mut self) -> Vec<SpanBatch> {
        std::mem::take(&mut self.sealed)
    }

    /// All committed spans as batches; the builder is empty afterwards.
    pub fn finish(&mut self) -> Vec<SpanBatch> {
        self.rollback();
        if self.rows() > 0 {
            self.seal();
        }
        self.take_sealed()
    }

    fn text_bytes(&mut self) -> usize {
        let texts: usize = self.interners().map(|texts| texts.text_bytes()).sum();
        texts + self.events.bytes() + self.links.bytes() + self.attributes.bytes()
    }

    /// Turns the rows into a batch. Resource and scope are forgotten, so this happens only between requests.
    fn seal(&mut self) {
        self.committed.oddities.invalid_utf8 += self.unsealed_invalid_utf8;
        let overflow = self.attributes.take_overflow();
        let attributes = self.attributes.take(self.rows());
        let mut taken = std::mem::take(self);
        self.sealed = std::mem::take(&mut taken.sealed);
        self.attributes = std::mem::take(&mut taken.attributes);
        self.committed.oddities = taken.committed.oddities;
        self.oddities = taken.committed.oddities;
        self.committed.starts_ns = taken.committed.starts_ns;
        self.starts_of_all_ns = taken.committed.starts_ns;
        self.limit_columns(taken.limit.0);
        self.late_before_ns = taken.late_before_ns;
        self.sealed.push(taken.into_batch(overflow, attributes));
    }

    fn into_batch(mut self, overflow: ListArray, attributes: Vec<(Field, ArrayRef)>) -> SpanBatch {
        let rows = self.rows();
        let parents =
            BooleanBuffer::collect_bool(rows, |row| self.parent_span_ids[row] != [0; 8]).into();
        let parent_ids = ids(self.parent_span_ids);
        let parent_ids =
            arrow_array::FixedSizeBinaryArray::new(8, parent_ids.values().clone(), Some(parents));
        let known = NullBuffer::from(self.weight_known);
        let weights = Float64Array::new(ScalarBuffer::from(self.weights), Some(known));
        let mut fields = schema::core_fields();
        let mut arrays: Vec<ArrayRef> = vec![
            Arc::new(ids(self.trace_ids)),
            Arc::new(ids(self.span_ids)),
            Arc::new(parent_ids),
            Arc::new(dictionary(
                self.service_codes.into(),
                self.services.take_values(),
            )),
            Arc::new(dictionary(
                self.operation_codes.into(),
                self.operations.take_values(),
            )),
            Arc::new(UInt8Array::from(self.kinds)),
            Arc::new(UInt8Array::from(self.statuses)),
            Arc::new(dictionary(
                nullable(self.status_message_codes),
                self.status_messages.take_values(),
            )),
            Arc::new(dictionary(
                nullable(self.trace_state_codes),
                self.trace_states.take_values(),
            )),
            Arc::new(TimestampNanosecondArray::from(self.starts_ns).with_timezone("UTC")),
            Arc::new(UInt64Array::from(self.durations_ns)),
            Arc::new(weights),
            Arc::new(self.events.take()),
            Arc::new(self.links.take()),
            Arc::new(overflow),
        ];
        for (field, array) in attributes {
            fields.push(field);
            arrays.push(array);
        }
        let schema = Arc::new(arrow_schema::Schema::new(fields));
        #[expect(
            clippy::expect_used,
            reason = "every column was built here with one entry per row"
        )]
        let batch = RecordBatch::try_new(schema, arrays).expect("columns fit the schema");
        #[expect(
            clippy::expect_used,
            reason = "the schema is the one that SpanBatch reads"
        )]
        SpanBatch::try_from(batch).expect("the schema is that of a span batch")
    }
}
