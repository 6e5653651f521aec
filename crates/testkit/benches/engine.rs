//! How fast the engine is: span batches to facts, on one core and on two, and two facts to a diff.
//!
//! Spans come as the OTLP decoder hands them over: simulated in order of arrival, written as requests of 512 spans
//! and read back. Elements are spans; for the diff they are the spans that both facts were taken of.

#![expect(
    clippy::expect_used,
    reason = "a benchmark that cannot be set up has nothing to measure"
)]

use std::hint::black_box;

use criterion::{
    BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};
use tracediff_core::diff::{Policy, compare};
use tracediff_core::facts::{Facts, Plan};
use tracediff_core::model::{
    Slicing, SpanBatch, SpanBatchBuilder, SpanCore, SpanId, TraceId, ValueRef, Window,
};
use tracediff_core::snapshot::{Selection, occupied_time, take, take_part};
use tracediff_core::trace::TraceIndex;
use tracediff_simulate::{Settings, Simulation};
use tracediff_wire::{decode_otlp_protobuf, encode_otlp_protobuf};

const SPANS: f64 = 1e6;
/// Spans that a request of the shop has on average.
const SPANS_PER_REQUEST: f64 = 13.0;
/// Spans of an OTLP request.
const REQUEST_SPANS: usize = 512;
/// Windows that the facts of a side are merged from, of one million spans each.
const WINDOWS: u32 = 10;
const MINUTE_NS: i64 = 60_000_000_000;

fn benches(criterion: &mut Criterion) {
    take_facts(criterion);
    compare_facts(criterion);
}

fn take_facts(criterion: &mut Criterion) {
    let settings = settings(1, 0, 10.0, 1.0);
    let batches = decoded(&settings);
    let spans: usize = batches.iter().map(SpanBatch::len).sum();
    println!("{spans} spans in {} batches", batches.len());
    for (name, paths) in [("groups alone", false), ("groups and paths", true)] {
        let plan = Plan {
            slicing: Slicing::cut(&occupied_time(&batches).ranges(), MINUTE_NS),
            group_by: Vec::new(),
            paths,
            clocks: None,
        };
        let mut group = criterion.benchmark_group(format!("batches to facts, {name}"));
        group.sample_size(15);
        group.sampling_mode(SamplingMode::Flat);
        group.throughput(Throughput::Elements(spans as u64));
        for threads in [1, 2] {
            group.bench_function(BenchmarkId::new("threads", threads), |bencher| {
                bencher.iter(|| black_box(take_parts(&batches, &plan, threads)));
            });
        }
        group.finish();
    }
}

/// Takes one part of the traces on each thread.
fn take_parts(batches: &[SpanBatch], plan: &Plan, threads: usize) -> Vec<Facts> {
    let index = TraceIndex::build(batches);
    let selection = Selection::default();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|part| {
                let (index, selection) = (&index, &selection);
                scope.spawn(move || take_part(batches, index, plan, selection, part, threads).facts)
            })
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().expect("taking facts does not panic"))
            .collect()
    })
}

fn compare_facts(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("facts to diff");
    group.sample_size(15);
    group.sampling_mode(SamplingMode::Flat);
    let hour = || [0, 1].map(|side| many_facts(side, 60.0));
    let ten_hours = || [0, 1].map(|side| many_facts(side, 600.0));
    let paths = || [0, 1].map(many_paths);
    let cases: [(&str, &dyn Fn() -> [Facts; 2]); 3] = [
        ("an hour a side", &hour),
        ("ten hours a side", &ten_hours),
        ("many paths", &paths),
    ];
    for (name, make) in cases {
        let sides = make();
        let spans: u64 = sides.iter().map(|facts| facts.quality.spans).sum();
        let groups: usize = sides[0].keys().values().map(|key| key.groups.len()).sum();
        let slices = sides[0].slicing().slices().len();
        let paths = sides[0].paths().nodes().len();
        println!("{spans} spans, {groups} groups, {paths} paths and {slices} slices a side");
        group.throughput(Throughput::Elements(spans));
        let [baseline, candidate] = &sides;
        group.bench_function(name, |bencher| {
            bencher.iter(|| black_box(compare(baseline, candidate, &Policy::default())));
        });
    }
    group.finish();
}

/// Facts of five million spans: windows that follow each other, merged, in slices of at most five minutes.
fn many_facts(side: u32, minutes: f64) -> Facts {
    let length_ns = (minutes * MINUTE_NS as f64) as i64;
    let from_ns = Settings::default().start_ns as i64 + i64::from(side) * length_ns;
    let window = Window::new(from_ns, from_ns + length_ns).expect("not empty");
    let plan = Plan {
        slicing: Slicing::cut(&[window], 5 * MINUTE_NS),
        group_by: Vec::new(),
        paths: true,
        clocks: None,
    };
    let part_minutes = minutes / f64::from(WINDOWS);
    let parts = (0..WINDOWS).map(|part| {
        let offset = f64::from(side) * minutes + f64::from(part) * part_minutes;
        let settings = settings(
            u64::from(1_000 * side + part),
            (offset * MINUTE_NS as f64) as u64,
            part_minutes,
            0.5,
        );
        let batches = Simulation::new(&settings).and_then(Simulation::into_batches);
        let batches = batches.expect("the settings are sound");
        take(&batches, &plan, &Selection::default()).facts
    });
    parts
        .reduce(|mut all, part| {
            all.merge(&part).expect("all parts have the same slices");
            all
        })
        .expect("there are windows")
}

/// Types of requests, and traces of each a side.
const REQUESTS: usize = 500;
const TRACES_OF_EACH: usize = 24;
/// Calls that each of three levels of calls makes.
const CALLS: usize = 3;

/// Facts of 500 types of requests, each of them a tree of 40 calls in four levels, to operations that they share.
fn many_paths(side: u64) -> Facts {
    let mut builder = SpanBatchBuilder::new();
    let mut random = side + 1;
    for trace in 0..REQUESTS * TRACES_OF_EACH {
        let start_ns = Settings::default().start_ns
            + (side * 600_000 + (trace * 600_000 / (REQUESTS * TRACES_OF_EACH)) as u64) * 1_000_000;
        let request = trace % REQUESTS;
        let trace_id = ((side as u128 + 1) << 64 | trace as u128).to_be_bytes();
        for span in 0..40usize {
            // A xorshift generator is random enough for durations.
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let parent = if span == 0 { 0 } else { (span - 1) / CALLS + 1 };
            let depth = [1, 4, 13].iter().filter(|first| span >= **first).count() as u64;
            // 100 services with 20 operations each: what differs is mostly who calls whom.
            let place = request * 131 + span * 17;
            let service = format!("service-{}", place % 100);
            builder.begin_resource();
            builder.resource_attribute(b"service.name", ValueRef::String(service.as_bytes()));
            builder.end_span(&SpanCore {
                trace_id: TraceId(trace_id),
                span_id: SpanId((span as u64 + 1).to_be_bytes()),
                parent_span_id: SpanId((parent as u64).to_be_bytes()),
                operation: operation(if span == 0 { request } else { place / 100 % 20 }).as_bytes(),
                kind: 1,
                start_ns: start_ns + depth * 1_000_000,
                end_ns: start_ns + 40_000_000 / (depth + 1) + random % 4_000_000,
                ..SpanCore::default()
            });
        }
    }
    builder.commit().expect("small batches");
    let batches = builder.finish();
    let plan = Plan {
        slicing: Slicing::cut(&occupied_time(&batches).ranges(), MINUTE_NS),
        group_by: Vec::new(),
        paths: true,
        clocks: None,
    };
    take(&batches, &plan, &Selection::default()).facts
}

/// A name in letters, since numbers in names count as ids.
fn operation(number: usize) -> String {
    let letter = |n: usize| char::from(b'a' + (n % 26) as u8);
    ['o', 'p', letter(number / 26), letter(number)]
        .iter()
        .collect()
}

/// A window of about `millions` × one million spans.
fn settings(seed: u64, offset_ns: u64, minutes: f64, millions: f64) -> Settings {
    let defaults = Settings::default();
    Settings {
        seed,
        start_ns: defaults.start_ns + offset_ns,
        minutes,
        rate_per_second: millions * SPANS / SPANS_PER_REQUEST / (minutes * 60.0),
        ..defaults
    }
}

/// A simulated window, written as OTLP requests and read back.
fn decoded(settings: &Settings) -> Vec<SpanBatch> {
    let mut simulation = Simulation::new(settings).expect("the settings are sound");
    let mut decoded = SpanBatchBuilder::new();
    let mut request = SpanBatchBuilder::new();
    let mut more = true;
    while more {
        more = simulation.write_next(&mut request).is_some();
        if request.rows() >= REQUEST_SPANS || !more {
            request.commit().expect("small requests");
            for batch in request.finish() {
                let bytes = encode_otlp_protobuf(&batch);
                decode_otlp_protobuf(&bytes, 0, &mut decoded).expect("sound requests");
            }
        }
    }
    decoded.finish()
}

criterion_group!(engine, benches);
criterion_main!(engine);
