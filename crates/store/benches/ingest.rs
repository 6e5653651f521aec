//! What it costs to take spans in: CPU time until they are acknowledged, and until they are in merged segments, beside
//! what prost's decode alone costs. In this process, without HTTP; `docs/results.md` says what was measured.

#![expect(
    clippy::expect_used,
    reason = "a benchmark that cannot be set up has nothing to measure"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use tracediff_store::{Encoding, Request, Settings, Store};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[path = "../../wire/benches/otlp_protobuf/traffic.rs"]
mod traffic;

/// Spans in distinct requests. Later rounds send them again with other trace ids.
const SPANS: usize = 200_000;
const ROUNDS: usize = 10;
const CONNECTIONS: usize = 4;

fn main() {
    // `cargo test --benches` only asks whether this runs.
    let rounds = if std::env::args().any(|arg| arg == "--test") {
        1
    } else {
        ROUNDS
    };
    let requests = Arc::new(traffic::requests(SPANS));
    let bytes: usize = requests.iter().map(Vec::len).sum();
    println!(
        "{} spans in {} requests of {} bytes a span, {rounds} rounds",
        SPANS,
        requests.len(),
        bytes / SPANS
    );
    let before = cpu();
    for request in requests.iter() {
        let request = ExportTraceServiceRequest::decode(&request[..]).expect("a sound request");
        std::hint::black_box(request);
    }
    let floor = (cpu() - before).as_secs_f64() / SPANS as f64;
    println!("prost's decode alone: {:.0} ns a span", floor * 1e9);
    let all = (0..rounds)
        .map(|round| renamed(&requests, round as u64))
        .collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(ingest(all, floor));
}

/// The same requests with other trace ids: the first byte of every id is the round's.
fn renamed(requests: &[Vec<u8>], round: u64) -> Vec<Vec<u8>> {
    let rename = |request: &Vec<u8>| {
        let mut request = ExportTraceServiceRequest::decode(&request[..]).expect("a sound request");
        let scopes = request
            .resource_spans
            .iter_mut()
            .flat_map(|r| &mut r.scope_spans);
        for span in scopes.flat_map(|scope| &mut scope.spans) {
            span.trace_id[8..]
                .iter_mut()
                .for_each(|byte| *byte ^= round as u8 * 37);
            span.start_time_unix_nano += round * 1_000_000_000;
            span.end_time_unix_nano += round * 1_000_000_000;
        }
        request.encode_to_vec()
    };
    requests.iter().map(rename).collect()
}

async fn ingest(rounds: Vec<Vec<Vec<u8>>>, floor: f64) {
    let folder = tempfile::tempdir_in(".").expect("a folder");
    let (store, _) = Store::open(Settings::new(folder.path()))
        .await
        .expect("a store");
    let spans = (rounds.len() * SPANS) as f64;
    let requests: Arc<Vec<Vec<u8>>> = Arc::new(rounds.into_iter().flatten().collect());
    let request_mib = requests.iter().map(Vec::len).sum::<usize>() as u64 >> 20;
    let next = Arc::new(AtomicUsize::new(0));
    let (before, began) = (cpu(), Instant::now());
    let connections = (0..CONNECTIONS).map(|_| {
        let (store, requests, next) = (store.clone(), Arc::clone(&requests), Arc::clone(&next));
        tokio::spawn(async move {
            let mut waits = Vec::new();
            while let Some(bytes) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
                let began = Instant::now();
                let request = Request {
                    encoding: Encoding::OtlpProtobuf,
                    bytes,
                    zstd: None,
                };
                while store.append(request).await.is_err() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                waits.push(began.elapsed());
            }
            waits
        })
    });
    let mut waits = Vec::new();
    for connection in connections.collect::<Vec<_>>() {
        waits.extend(connection.await.expect("a connection that ends"));
    }
    waits.sort_unstable();
    let (acknowledged, wall) = (cpu() - before, began.elapsed());
    let while_open = store.readings();
    store.close();
    let all = cpu() - before;
    let readings = store.readings();
    println!(
        "acknowledged: {:.0} spans a second, {:.0} spans per CPU second, p50 {:?}, p99 {:?}, {} syncs, log {:.1} bytes a span",
        spans / wall.as_secs_f64(),
        spans / acknowledged.as_secs_f64(),
        waits[waits.len() / 2],
        waits[waits.len() * 99 / 100],
        while_open.log_syncs,
        while_open.log_bytes as f64 / spans,
    );
    println!(
        "in segments: {:.0} spans per CPU second ({:.2} of prost's decode), {} segments, {:.1} bytes a span, {} waits, peak {} MiB beside the requests",
        spans / all.as_secs_f64(),
        all.as_secs_f64() / spans / floor,
        readings.segments,
        readings.segment_bytes as f64 / readings.segment_spans as f64,
        readings.refused_requests,
        peak_mib().saturating_sub(request_mib),
    );
    assert_eq!(readings.segment_spans, spans as u64);
}

/// CPU time of this process so far.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks: u64 = fields[11..13]
        .iter()
        .filter_map(|f| f.parse::<u64>().ok())
        .sum();
    Duration::from_millis(ticks * 10)
}

fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or_default() >> 10
}
