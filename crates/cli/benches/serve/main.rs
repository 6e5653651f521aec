//! What it costs the real server to take spans in, over HTTP and over gRPC: all of its processor time, from its start until
//! it was asked to end and everything is in segments, and its peak memory. Who sends is this process, whose time does not
//! count. `docs/results.md` says what was measured.
//!
//! `cargo bench -p tracediff-cli --bench serve -- http` runs one of the protocols only. `TRACEDIFF_BENCH_BINARY` names
//! another binary to measure.

#![expect(
    clippy::expect_used,
    reason = "a benchmark that cannot be set up has nothing to measure"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use process::{cpu, cpu_of, cpu_of_children, peak_mib_of};
use prost::Message as _;
use tracediff_testkit::server::{Connection, Server};

mod grpc;
mod process;
#[path = "../../../store/benches/ingest/shop.rs"]
mod shop;

const SPANS: usize = 2_000_000;
const CONNECTIONS: usize = 4;
/// What a refused sender waits.
const PAUSE: Duration = Duration::from_millis(20);

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --benches` only asks whether this runs.
    let spans = if args.iter().any(|arg| arg == "--test") {
        20_000
    } else {
        SPANS
    };
    let requests = Arc::new(shop::requests(spans));
    let bytes = requests.iter().map(Vec::len).sum::<usize>();
    println!(
        "{spans} spans in {} requests of {} bytes a span",
        requests.len(),
        bytes / spans
    );
    let protocols = ["http", "grpc"];
    let named = |protocol: &&str| args.iter().any(|arg| arg == protocol);
    let is_named = protocols.iter().any(named);
    for protocol in protocols {
        if !is_named || named(&protocol) {
            run(protocol, &requests, spans);
        }
    }
}

/// What prost's decode alone costs, in seconds a span.
fn floor(requests: &[Vec<u8>]) -> f64 {
    let (before, mut decoded) = (cpu(), 0);
    for request in &requests[..requests.len().div_ceil(5)] {
        let request = ExportTraceServiceRequest::decode(&request[..]).expect("a sound request");
        let scopes = request.resource_spans.iter().flat_map(|r| &r.scope_spans);
        decoded += scopes.map(|scope| scope.spans.len()).sum::<usize>();
    }
    (cpu() - before).as_secs_f64() / decoded as f64
}

fn run(protocol: &str, requests: &Arc<Vec<Vec<u8>>>, spans: usize) {
    let floor = floor(requests);
    let folder = tempfile::tempdir_in(".").expect("a folder");
    let binary = std::env::var("TRACEDIFF_BENCH_BINARY");
    let binary = binary.as_deref().unwrap_or(env!("CARGO_BIN_EXE_tracediff"));
    let children = cpu_of_children();
    let server = Server::start(binary, folder.path(), &[]);
    let (id, began) = (server.id(), Instant::now());
    let refused = match protocol {
        "http" => over_http(&server.otlp_http, requests),
        _ => grpc::send(&server.otlp_grpc, requests),
    };
    let wall = began.elapsed();
    wait_until_idle(id);
    let peak = std::thread::spawn(move || {
        // The last that is seen before it is gone: a peak does not go down.
        let mut peak = 0;
        while let Some(mib) = peak_mib_of(id) {
            peak = mib;
            std::thread::sleep(Duration::from_millis(5));
        }
        peak
    });
    assert!(server.stop(), "the server ended badly");
    let peak_mib = peak.join().expect("a thread that ends");
    let all = (cpu_of_children() - children).as_secs_f64();
    let segments = std::fs::read_dir(folder.path().join("data/segments")).expect("segments");
    let segment_bytes: Vec<u64> = segments
        .filter_map(|file| Some(file.ok()?.metadata().ok()?.len()))
        .collect();
    println!(
        "  {protocol}: {:.0} spans a second; {:.0} ns of processor time a span, {:.2} of prost's decode ({:.0} ns), {:.0} spans per CPU second; \
         peak {peak_mib} MiB; {} segments, {:.1} bytes a span; {refused} refusals",
        spans as f64 / wall.as_secs_f64(),
        all / spans as f64 * 1e9,
        all / spans as f64 / floor,
        floor * 1e9,
        spans as f64 / all,
        segment_bytes.len(),
        segment_bytes.iter().sum::<u64>() as f64 / spans as f64,
    );
}

/// Waits until all merging is done: what comes to an end is counted whole.
fn wait_until_idle(id: u32) {
    for _ in 0..120 {
        let before = cpu_of(id);
        std::thread::sleep(Duration::from_millis(500));
        if cpu_of(id) - before <= Duration::from_millis(20) {
            return;
        }
    }
    panic!("the server does not come to rest");
}

/// Posts every request as soon as the one before it on a connection was answered; how often one was refused.
fn over_http(address: &str, requests: &Arc<Vec<Vec<u8>>>) -> usize {
    let next = Arc::new(AtomicUsize::new(0));
    let connections: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (requests, next) = (Arc::clone(requests), Arc::clone(&next));
            let mut connection = Connection::open(address).expect("a connection");
            std::thread::spawn(move || {
                let mut refused = 0;
                while let Some(body) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
                    loop {
                        let (status, _) = connection
                            .post("/v1/traces", "application/x-protobuf", body)
                            .expect("an answer");
                        match status {
                            200 => break,
                            429 | 503 => refused += 1,
                            other => panic!("status {other}"),
                        }
                        std::thread::sleep(PAUSE);
                    }
                }
                refused
            })
        })
        .collect();
    let refused = connections
        .into_iter()
        .map(|connection| connection.join().expect("a connection that ends"));
    refused.sum()
}
