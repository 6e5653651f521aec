//! What it costs to take spans in: CPU time until they are acknowledged, and until they are in merged segments, beside
//! what prost's decode alone costs. In this process, without HTTP; `docs/results.md` says what was measured.
//!
//! `cargo bench -p tracediff-store --bench ingest -- shop` runs one of the cases only; with `TRACEDIFF_BENCH_KEEP` set,
//! the store's folder stays.

#![expect(
    clippy::expect_used,
    reason = "a benchmark that cannot be set up has nothing to measure"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use process::{cpu, resident_mib};
use prost::Message as _;
use tracediff_store::{Encoding, Readings, Request, Settings, Store};

#[path = "../process/mod.rs"]
mod process;
mod shop;
#[path = "../../../wire/benches/otlp_protobuf/traffic.rs"]
mod traffic;

/// Spans of a round. Later rounds have other trace ids and times.
const SPANS: usize = 200_000;
const ROUNDS: usize = 10;
const CONNECTIONS: usize = 4;
/// The threads that take requests in have this name.
const INTAKE: &str = "intake";

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --benches` only asks whether this runs.
    let rounds = if args.iter().any(|arg| arg == "--test") {
        1
    } else {
        ROUNDS
    };
    let cases = ["scattered", "shop"];
    match cases
        .into_iter()
        .find(|case| args.iter().any(|a| a == case))
    {
        Some(case) => run(case, rounds),
        // Each in a process of its own: peak memory is a process's.
        None => {
            for case in cases {
                let program = std::env::current_exe().expect("a program");
                let status = std::process::Command::new(program)
                    .args(&args)
                    .arg(case)
                    .status();
                assert!(status.is_ok_and(|status| status.success()), "{case} failed");
            }
        }
    }
}

fn run(case: &str, rounds: usize) {
    let (requests, first_round) = match case {
        "scattered" => {
            let requests = traffic::requests(SPANS);
            let count = requests.len();
            let all = (0..rounds).flat_map(|round| renamed(&requests, round as u64));
            (all.collect(), count)
        }
        _ => {
            let all = shop::requests(SPANS * rounds);
            let count = all.len() / rounds;
            (all, count)
        }
    };
    let requests: Arc<Vec<Vec<u8>>> = Arc::new(requests);
    let spans = SPANS * rounds;
    println!(
        "{case}: {spans} spans in {} requests of {} bytes a span",
        requests.len(),
        requests.iter().map(Vec::len).sum::<usize>() / spans
    );
    let mut decoded = 0;
    let before = cpu();
    for request in &requests[..first_round] {
        let request = ExportTraceServiceRequest::decode(&request[..]).expect("a sound request");
        let scopes = request.resource_spans.iter().flat_map(|r| &r.scope_spans);
        decoded += scopes.map(|scope| scope.spans.len()).sum::<usize>();
    }
    let floor = (cpu() - before).as_secs_f64() / decoded as f64;
    println!("  prost's decode alone: {:.0} ns a span", floor * 1e9);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name(INTAKE)
        .enable_all()
        .build()
        .expect("a runtime");
    let rate = runtime.block_on(full_load(&requests, spans as f64, floor));
    let half = requests[..requests.len() / 2].to_vec();
    drop(requests);
    let interval = spans as f64 / (half.len() * 2) as f64 / (rate / 2.0);
    runtime.block_on(half_load(&Arc::new(half), interval));
}

/// The same requests with other trace ids and times.
fn renamed(requests: &[Vec<u8>], round: u64) -> Vec<Vec<u8>> {
    let rename = |request: &Vec<u8>| {
        let mut request = ExportTraceServiceRequest::decode(&request[..]).expect("a sound request");
        let scopes = request
            .resource_spans
            .iter_mut()
            .flat_map(|r| &mut r.scope_spans);
        for span in scopes.flat_map(|scope| &mut scope.spans) {
            // Multiplying by an odd number is one to one.
            let factor = (round * 2 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            for half in span.trace_id.as_chunks_mut::<8>().0 {
                *half = u64::from_le_bytes(*half).wrapping_mul(factor).to_be_bytes();
            }
            span.start_time_unix_nano += round * 1_000_000_000;
            span.end_time_unix_nano += round * 1_000_000_000;
        }
        request.encode_to_vec()
    };
    requests.iter().map(rename).collect()
}

/// Sends every request as soon as the one before it was answered, on some connections, and says how long each waited; the
/// request of a number not before `due` of it.
async fn send(
    store: &Store,
    requests: &Arc<Vec<Vec<u8>>>,
    due: impl Fn(usize) -> Duration + Clone + Send + 'static,
) -> Vec<Duration> {
    let next = Arc::new(AtomicUsize::new(0));
    let began = Instant::now();
    let connections = (0..CONNECTIONS).map(|_| {
        let (store, requests) = (store.clone(), Arc::clone(requests));
        let (next, due) = (Arc::clone(&next), due.clone());
        tokio::spawn(async move {
            let mut waits = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(bytes) = requests.get(number) else {
                    return waits;
                };
                let due = due(number);
                let since = if due.is_zero() {
                    Instant::now()
                } else {
                    tokio::time::sleep(due.saturating_sub(began.elapsed())).await;
                    began + due
                };
                let request = Request {
                    encoding: Encoding::OtlpProtobuf,
                    bytes,
                    zstd: None,
                };
                while store.append(request).await.is_err() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                waits.push(since.elapsed());
            }
        })
    });
    let mut waits = Vec::new();
    for connection in connections.collect::<Vec<_>>() {
        waits.extend(connection.await.expect("a connection that ends"));
    }
    waits.sort_unstable();
    waits
}

async fn full_load(requests: &Arc<Vec<Vec<u8>>>, spans: f64, floor: f64) -> f64 {
    let mut folder = tempfile::tempdir_in(".").expect("a folder");
    folder.disable_cleanup(std::env::var_os("TRACEDIFF_BENCH_KEEP").is_some());
    let (store, _) = Store::open(Settings::new(folder.path()))
        .await
        .expect("a store");
    let request_mib = requests.iter().map(Vec::len).sum::<usize>() as u64 >> 20;
    // From here on the peak is that of taking in.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let resident = resident_mib("VmRSS:");
    let (before, began, by_thread) = (cpu(), Instant::now(), cpu_by_thread());
    let waits = send(&store, requests, |_| Duration::ZERO).await;
    let wall = began.elapsed();
    let threads = cpu_by_thread();
    let of = |names: &[&str]| {
        let name = |name: &&str| {
            let before = by_thread.get(*name).copied().unwrap_or_default();
            threads.get(*name).copied().unwrap_or_default() - before
        };
        names.iter().map(name).sum::<Duration>().as_secs_f64()
    };
    let while_open = store.readings();
    store.close();
    let all = (cpu() - before).as_secs_f64();
    let acknowledged = of(&[INTAKE, "log"]);
    let readings = store.readings();
    println!(
        "  acknowledged: {:.0} spans a second, {}, {} syncs, log {:.1} bytes a span, {} requests refused",
        spans / wall.as_secs_f64(),
        percentiles(&waits),
        while_open.log_syncs,
        while_open.log_bytes as f64 / spans,
        readings.refused_requests,
    );
    println!(
        "  CPU until acknowledged: {:.0} ns a span, {:.2} of prost's decode ({:.0} taking in, {:.0} writing the log)",
        acknowledged / spans * 1e9,
        acknowledged / spans / floor,
        of(&[INTAKE]) / spans * 1e9,
        of(&["log"]) / spans * 1e9,
    );
    println!(
        "  CPU of everything: {:.0} ns a span, {:.2} of prost's decode, {:.0} spans per CPU second; housekeeping so far: {:.0} ns to move the head, {:.0} to merge",
        all / spans * 1e9,
        all / spans / floor,
        spans / all,
        of(&["keeper"]) / while_open_spans(&while_open) * 1e9,
        of(&["merger"]) / while_open_spans(&while_open) * 1e9,
    );
    println!(
        "  {} segments, {:.1} bytes a span; peak {} MiB beside the requests ({} MiB at the start)",
        readings.segments,
        readings.segment_bytes as f64 / readings.segment_spans as f64,
        resident_mib("VmHWM:").saturating_sub(request_mib),
        resident.saturating_sub(request_mib),
    );
    assert_eq!(readings.segment_spans, spans as u64);
    println!("  merged segments: {}", merged(folder.path()));
    spans / wall.as_secs_f64()
}

fn while_open_spans(readings: &Readings) -> f64 {
    readings.segment_spans.max(1) as f64
}

async fn half_load(requests: &Arc<Vec<Vec<u8>>>, interval: f64) {
    let folder = tempfile::tempdir_in(".").expect("a folder");
    let (store, _) = Store::open(Settings::new(folder.path()))
        .await
        .expect("a store");
    let due = move |number: usize| Duration::from_secs_f64((number + 1) as f64 * interval);
    let waits = send(&store, requests, due).await;
    println!(
        "  at half of that load, from when a request is due: {}",
        percentiles(&waits)
    );
}

fn percentiles(waits: &[Duration]) -> String {
    let millis = |percent: usize| waits[waits.len() * percent / 100].as_secs_f64() * 1e3;
    format!("p50 {:.1} ms, p99 {:.1} ms", millis(50), millis(99))
}

/// What merging leaves: the largest segment of the folder.
fn merged(folder: &std::path::Path) -> String {
    let files = std::fs::read_dir(folder.join("data/segments")).expect("segments");
    let sizes = files.filter_map(|file| Some((file.as_ref().ok()?.metadata().ok()?.len(), file)));
    let Some((bytes, Ok(file))) = sizes.max_by_key(|(bytes, _)| *bytes) else {
        return "none".to_owned();
    };
    let file = std::fs::File::open(file.path()).expect("a segment");
    let reader = parquet::file::serialized_reader::SerializedFileReader::new(file);
    let reader = reader.expect("a sound segment");
    let metadata = parquet::file::reader::FileReader::metadata(&reader);
    let rows = metadata.file_metadata().num_rows();
    format!(
        "the largest has {rows} spans of {:.1} bytes",
        bytes as f64 / rows as f64
    )
}

/// CPU time of the threads there are, by name.
fn cpu_by_thread() -> BTreeMap<String, Duration> {
    let mut threads = BTreeMap::new();
    for task in std::fs::read_dir("/proc/self/task").expect("Linux") {
        let path = task.expect("a thread").path();
        let read = |name: &str| std::fs::read_to_string(path.join(name)).unwrap_or_default();
        let (name, times) = (read("comm"), read("schedstat"));
        let ns = times
            .split_whitespace()
            .next()
            .and_then(|ns| ns.parse().ok());
        *threads.entry(name.trim().to_owned()).or_default() +=
            Duration::from_nanos(ns.unwrap_or_default());
    }
    threads
}
