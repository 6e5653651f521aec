//! What it costs to read: facts of two windows and their diff, of the traces that a query touches, beside what DuckDB
//! spends on the semi-join and the group-by of it over the same Parquet files; and how long one trace takes to be found.
//!
//! CPU time of a whole process on both sides, in turns, medians. `TRACEDIFF_BENCH_SPANS` sets how many spans (12 million),
//! `TRACEDIFF_BENCH_FOLDER` where they are kept for the next time, `TRACEDIFF_BENCH_PYTHON` a Python with the package
//! `duckdb`; without one DuckDB's part is left out and said so.
//! `docs/results.md` says what was measured.

#![expect(
    clippy::expect_used,
    reason = "a benchmark that cannot be set up has nothing to measure"
)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use process::{cpu, resident_mib};
use tracediff_core::diff::{Policy, compare};
use tracediff_core::facts::{Facts, Plan};
use tracediff_core::model::{Projection, Slicing, SpanBatchBuilder, TraceId, Window};
use tracediff_core::query::Query;
use tracediff_core::snapshot::{Scope, Selection, take_part};
use tracediff_core::trace::TraceIndex;
use tracediff_simulate::{Scenario, Settings as Simulated, Simulation};
use tracediff_store::{Encoding, Request, Settings, Store, Wanted};
use tracediff_wire::encode_otlp_protobuf;

#[path = "../process/mod.rs"]
mod process;

const SPANS: f64 = 12e6;
/// Spans that a request of the shop has on average.
const SPANS_PER_REQUEST: f64 = 13.0;
const REQUEST_SPANS: usize = 512;
const ROUNDS: usize = 5;
const PART_SPANS: u64 = 1_000_000;
const MANY_SEGMENTS: u64 = 1_000;
const SECOND_NS: i64 = 1_000_000_000;
/// How long a window is, and when the two begin: so far apart that no trace is in both.
const MINUTES: f64 = 10.0;
const STARTS_NS: [i64; 2] = [1_767_225_600 * SECOND_NS, 1_767_226_800 * SECOND_NS];
/// How much before and after a window spans of its traces start.
const BEFORE_NS: i64 = 60 * SECOND_NS;
const AFTER_NS: i64 = 300 * SECOND_NS;

/// A query, in our words and in SQL's.
const QUERIES: [(&str, &str, &str); 2] = [
    (
        "selective",
        r#"service = "payment" and duration > 150ms"#,
        "service = 'payment' and duration > 150000000",
    ),
    ("broad", r#"service = "cart""#, "service = 'cart'"),
];

fn main() {
    let is_test = std::env::args().any(|arg| arg == "--test");
    let spans = std::env::var("TRACEDIFF_BENCH_SPANS").ok();
    let spans = match is_test {
        true => 60e3,
        false => spans.and_then(|s| s.parse().ok()).unwrap_or(SPANS),
    };
    let rounds = if is_test { 1 } else { ROUNDS };
    let temporary = tempfile::tempdir_in(".").expect("a folder");
    let kept = std::env::var_os("TRACEDIFF_BENCH_FOLDER").map(PathBuf::from);
    let folder = kept.as_deref().unwrap_or(temporary.path());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    if !folder.join("data").is_dir() {
        runtime.block_on(fill(folder, spans));
    }
    let windows = STARTS_NS.map(|from_ns| {
        let length_ns = (MINUTES * 60e9) as i64;
        Window::new(from_ns, from_ns + length_ns).expect("a window")
    });
    let store = runtime
        .block_on(Store::open(Settings::new(folder)))
        .expect("a store")
        .0;
    let readings = store.readings();
    println!(
        "{} spans in {} segments, {:.1} bytes a span",
        readings.segment_spans,
        readings.segments,
        readings.segment_bytes as f64 / readings.segment_spans as f64
    );
    // As with other benchmarks, a word chooses: `selective`, `broad`, `red`, `facts`, `duckdb`, `trace`.
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with("--"))
        .collect();
    let is_chosen = |names: &[&str]| words.iter().all(|word| names.contains(&word.as_str()));
    for (name, query, sql) in QUERIES {
        let query = Query::parse(query).expect("a query");
        let mut took: [Vec<Duration>; 3] = Default::default();
        let mut counted = (0, 0);
        for _ in 0..rounds {
            for (number, everything) in [(0, false), (1, true)] {
                if !is_chosen(&[name, ["red", "facts"][number]]) {
                    continue;
                }
                let before = cpu();
                counted.0 = compared(&runtime, &store, &query, &windows, everything);
                took[number].push(cpu() - before);
            }
            if is_chosen(&[name, "duckdb"])
                && let Some((cpu, spans)) = duckdb(folder, sql, &windows)
            {
                took[2].push(cpu);
                counted.1 = spans;
            }
        }
        if took.iter().all(Vec::is_empty) {
            continue;
        }
        let [red, all, duckdb] = took.map(median);
        let of = |ours: Option<Duration>| {
            let ratio = ours?.as_secs_f64() / duckdb?.as_secs_f64();
            Some(format!("{ratio:.2}"))
        };
        println!(
            "{name}, {} spans ({} by DuckDB): RED alone {red:?} ({}), with all of facts {all:?} ({}), DuckDB {duckdb:?}; peak {} MiB",
            counted.0,
            counted.1,
            of(red).unwrap_or_default(),
            of(all).unwrap_or_default(),
            resident_mib("VmHWM:"),
        );
        if duckdb.is_some() && red.is_some() {
            assert_eq!(counted.0, counted.1, "both look at the same spans");
        }
    }
    if is_chosen(&["trace"]) {
        one_trace(&runtime, &store, windows[0]);
    }
    store.close();
    if is_chosen(&["trace"]) {
        let many = tempfile::tempdir_in(".").expect("a folder");
        let segments = if is_test { 5 } else { MANY_SEGMENTS };
        let (store, window) = runtime.block_on(many_segments(many.path(), segments));
        one_trace(&runtime, &store, window);
        store.close();
    }
}

/// A store of many segments of one request each, which are not merged.
async fn many_segments(folder: &Path, segments: u64) -> (Store, Window) {
    let settings = Settings {
        head_bytes: 1,
        segment_bytes: 1,
        ..Settings::new(folder)
    };
    let (store, _) = Store::open(settings).await.expect("a store");
    let minutes = segments as f64 / 10.0;
    let settings = Simulated {
        minutes,
        rate_per_second: segments as f64 * REQUEST_SPANS as f64
            / SPANS_PER_REQUEST
            / (minutes * 60.0),
        ..Simulated::default()
    };
    let window = Window::new(
        settings.start_ns as i64,
        settings.start_ns as i64 + (minutes * 60e9) as i64,
    );
    let mut simulation = Simulation::new(&settings).expect("the settings are sound");
    let mut request = SpanBatchBuilder::new();
    for number in 1..=segments {
        while request.rows() < REQUEST_SPANS && simulation.write_next(&mut request).is_some() {}
        request.commit().expect("small requests");
        for batch in std::mem::take(&mut request).finish() {
            append(&store, &encode_otlp_protobuf(&batch)).await;
        }
        while store.readings().segments < number {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    (store, window.expect("a window"))
}

/// A store with two windows of the shop, the second with an incident.
async fn fill(folder: &Path, spans: f64) {
    let (store, _) = Store::open(Settings::new(folder)).await.expect("a store");
    let rate_per_second = spans / 2.0 / SPANS_PER_REQUEST / (MINUTES * 60.0);
    for (number, start_ns) in (0..).zip(STARTS_NS) {
        let settings = Simulated {
            seed: 1 + number,
            start_ns: start_ns as u64,
            minutes: MINUTES,
            rate_per_second,
            scenario: match number {
                0 => Scenario::Healthy,
                _ => Scenario::SlowService,
            },
            ..Simulated::default()
        };
        let mut simulation = Simulation::new(&settings).expect("the settings are sound");
        let mut request = SpanBatchBuilder::new();
        let mut more = true;
        while more {
            more = simulation.write_next(&mut request).is_some();
            if request.rows() >= REQUEST_SPANS || !more {
                request.commit().expect("small requests");
                for batch in request.finish() {
                    append(&store, &encode_otlp_protobuf(&batch)).await;
                }
            }
        }
    }
    store.close();
}

async fn append(store: &Store, bytes: &[u8]) {
    let request = Request {
        encoding: Encoding::OtlpProtobuf,
        bytes,
        zstd: None,
    };
    while store.append(request).await.is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Takes facts of both windows and compares them; the spans that they are of.
fn compared(
    runtime: &tokio::runtime::Runtime,
    store: &Store,
    query: &Query,
    windows: &[Window; 2],
    everything: bool,
) -> u64 {
    let facts = windows.map(|window| {
        let plan = Plan {
            slicing: Slicing::cut(&[window], 30 * SECOND_NS),
            group_by: Vec::new(),
            paths: everything,
            clocks: None,
        };
        let around = Window::new(window.from_ns() - BEFORE_NS, window.to_ns() + AFTER_NS);
        let wanted = Wanted {
            query: Some(query.clone()),
            around: around.expect("a window"),
            projection: if everything {
                Projection::of_facts()
            } else {
                Projection::of_traces()
            },
            ..Wanted::all(window, PART_SPANS)
        };
        let reading = runtime.block_on(store.read(wanted)).expect("a reading");
        let parts = reading.on_all_cores(|batches| {
            let index = TraceIndex::build(&batches);
            // Every trace that is read is touched: nothing is left to select.
            let selection = Selection {
                scope: Scope::Trace,
                ..Selection::default()
            };
            take_part(&batches, &index, &plan, &selection, 0, 1).facts
        });
        let mut facts: Option<Facts> = None;
        for part in parts.expect("all parts") {
            match &mut facts {
                Some(facts) => facts.merge(&part).expect("the same slices"),
                None => facts = Some(part),
            }
        }
        facts.expect("one part at least")
    });
    let diff = compare(&facts[0], &facts[1], &Policy::default());
    std::hint::black_box(diff);
    facts.iter().map(|facts| facts.quality.spans).sum()
}

/// CPU time that DuckDB spends on the same question, and the spans that it found.
fn duckdb(folder: &Path, sql: &str, windows: &[Window; 2]) -> Option<(Duration, u64)> {
    let python = std::env::var("TRACEDIFF_BENCH_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/read/duckdb_red.py");
    let mut command = Command::new(python);
    command
        .arg(script)
        .arg(folder.join("data/segments"))
        .arg(sql);
    for window in windows {
        command.arg(window.from_ns().to_string());
        command.arg(window.to_ns().to_string());
    }
    command.args([BEFORE_NS.to_string(), AFTER_NS.to_string()]);
    let output = command.output().ok()?;
    if !output.status.success() {
        println!(
            "DuckDB is left out: {}",
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
        return None;
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut words = text.split_whitespace();
    let seconds: f64 = words.next()?.parse().ok()?;
    Some((
        Duration::from_secs_f64(seconds),
        words.next()?.parse().ok()?,
    ))
}

/// How long it takes to find a trace, of those that are there and of those that are not.
fn one_trace(runtime: &tokio::runtime::Runtime, store: &Store, window: Window) {
    let wanted = Wanted {
        projection: Projection::default(),
        ..Wanted::all(window, PART_SPANS)
    };
    let reading = runtime.block_on(store.read(wanted)).expect("a reading");
    let batches = runtime.block_on(reading.part(0)).expect("a part");
    let rows = batches
        .iter()
        .flat_map(|b| (0..b.len()).map(move |row| b.trace_id(row)));
    let known: Vec<TraceId> = rows.step_by(997).take(500).collect();
    let unknown =
        (0..500u128).map(|n| TraceId((n.wrapping_mul(0x9e37_79b9_7f4a_7c15) << 64).to_be_bytes()));
    for (name, ids) in [("there", known), ("not there", unknown.collect())] {
        let mut took: Vec<Duration> = ids
            .into_iter()
            .map(|id| {
                let began = Instant::now();
                let spans = runtime.block_on(store.trace(id)).expect("an answer");
                assert_eq!(spans.is_empty(), name == "not there");
                began.elapsed()
            })
            .collect();
        took.sort_unstable();
        println!(
            "a trace that is {name}, among {} segments: p50 {:?}, p99 {:?}, longest {:?}",
            store.readings().segments,
            took[took.len() / 2],
            took[took.len() * 99 / 100],
            took[took.len() - 1]
        );
    }
}

fn median(mut of: Vec<Duration>) -> Option<Duration> {
    of.sort_unstable();
    of.get(of.len() / 2).copied()
}
