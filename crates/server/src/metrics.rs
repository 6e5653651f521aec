//! What Prometheus is told: of the ports, counted here, and of the store, read off it when asked.

use std::fmt::Error;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use tracediff_store::{Readings, Store};

use crate::connections::Purpose;
use crate::memory::Memory;

/// Upper bounds of the duration histogram, in seconds: from a write to memory to the default timeout of exporters.
const DURATION_BUCKETS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
];

/// By what requests are counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    protocol: &'static str,
    encoding: &'static str,
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProtocolLabels {
    protocol: &'static str,
    encoding: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PortLabels {
    port: &'static str,
}

/// How a request came: over which protocol, and written how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Channel {
    pub(crate) protocol: &'static str,
    pub(crate) encoding: &'static str,
}

/// The counters of the ports, and all that is shown beside them.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    seconds: Family<ProtocolLabels, Histogram, fn() -> Histogram>,
    received: Family<ProtocolLabels, Counter>,
    connections: Family<PortLabels, Gauge>,
}

impl Metrics {
    pub(crate) fn new(store: Store, memory: Memory) -> Self {
        let mut registry = Registry::with_prefix("tracediff");
        let requests = Family::default();
        let seconds = Family::new_with_constructor(duration_histogram as fn() -> Histogram);
        let received = Family::default();
        let connections = Family::default();
        registry.register(
            "requests",
            "Requests with spans, by what became of them",
            requests.clone(),
        );
        registry.register_with_unit(
            "request_duration",
            "From a request's headers to its answer",
            Unit::Seconds,
            seconds.clone(),
        );
        registry.register_with_unit(
            "received",
            "Bodies of requests, as they were sent",
            Unit::Bytes,
            received.clone(),
        );
        registry.register(
            "connections",
            "Connections that are open",
            connections.clone(),
        );
        registry.register_collector(Box::new(Read { store, memory }));
        Self {
            registry,
            requests,
            seconds,
            received,
            connections,
        }
    }

    /// A request was answered.
    pub(crate) fn answered(&self, channel: Channel, status: &'static str, took: Duration) {
        let Channel { protocol, encoding } = channel;
        self.requests
            .get_or_create(&RequestLabels {
                protocol,
                encoding,
                status,
            })
            .inc();
        self.seconds
            .get_or_create(&ProtocolLabels { protocol, encoding })
            .observe(took.as_secs_f64());
    }

    /// A body was read.
    pub(crate) fn received(&self, channel: Channel, bytes: usize) {
        let Channel { protocol, encoding } = channel;
        self.received
            .get_or_create(&ProtocolLabels { protocol, encoding })
            .inc_by(bytes as u64);
    }

    /// The gauge of a port's connections.
    pub(crate) fn open_connections(&self, purpose: Purpose) -> Open {
        let port = purpose.word();
        Open(
            self.connections
                .get_or_create(&PortLabels { port })
                .to_owned(),
        )
    }

    /// Everything in the text form of OpenMetrics.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

fn duration_histogram() -> Histogram {
    Histogram::new(DURATION_BUCKETS)
}

/// A gauge that counts what is open.
#[derive(Debug)]
pub(crate) struct Open(Gauge);

impl Open {
    /// Counts one more until the value is dropped.
    pub(crate) fn one_more(&self) -> Counted {
        self.0.inc();
        Counted(self.0.clone())
    }
}

/// One of what is open.
#[derive(Debug)]
pub(crate) struct Counted(Gauge);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// What is read when it is asked for.
#[derive(Debug)]
struct Read {
    store: Store,
    memory: Memory,
}

impl Collector for Read {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        encode_readings(&self.store.readings(), &mut encoder)?;
        let free = i64::try_from(self.memory.free_bytes()).unwrap_or(i64::MAX);
        let free = ConstGauge::new(free);
        let metric = encoder.encode_descriptor(
            "in_flight_free",
            "Memory that further requests may take",
            Some(&Unit::Bytes),
            MetricType::Gauge,
        )?;
        free.encode(metric)
    }
}

/// The store's readings. A field added there does not compile until it is here.
fn encode_readings(readings: &Readings, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
    let Readings {
        requests,
        spans,
        late_spans,
        rejected_spans,
        refused_requests,
        log_syncs,
        log_bytes,
        unflushed_bytes,
        head_spans,
        segments,
        segment_bytes,
        segment_spans,
        keeping_failures,
    } = *readings;
    let counters = [
        ("store_requests", "Requests accepted", requests),
        ("store_spans", "Spans accepted", spans),
        (
            "store_late_spans",
            "Spans accepted longer than the settle time after they ended",
            late_spans,
        ),
        (
            "store_rejected_spans",
            "Spans left out since their ids are not valid",
            rejected_spans,
        ),
        (
            "store_refused_requests",
            "Requests told to come again",
            refused_requests,
        ),
        ("store_log_syncs", "Syncs of the write-ahead log", log_syncs),
        (
            "store_log_bytes",
            "Bytes written to the write-ahead log",
            log_bytes,
        ),
        (
            "store_keeping_failures",
            "Failures of moving, merging and removing segments",
            keeping_failures,
        ),
    ];
    let gauges = [
        (
            "store_unflushed_bytes",
            "Bytes of requests that are in no segment yet",
            unflushed_bytes,
        ),
        (
            "store_head_spans",
            "Spans that are in no segment yet",
            head_spans,
        ),
        ("store_segments", "Segments", segments),
        (
            "store_segment_bytes",
            "Bytes of all segments",
            segment_bytes,
        ),
        ("store_segment_spans", "Spans in segments", segment_spans),
    ];
    for (name, help, value) in counters {
        let metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(value).encode(metric)?;
    }
    for (name, help, value) in gauges {
        let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)).encode(metric)?;
    }
    Ok(())
}
