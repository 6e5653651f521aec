//! How long the API's lists and diffs take while spans come in: 200 requests a second, each counted from when it was due,
//! beside 100,000 spans a second. `docs/results.md` says what was measured.
//!
//! `TRACEDIFF_BENCH_BINARY` names another binary to measure.

#![expect(
    clippy::expect_used,
    reason = "a benchmark that cannot be set up has nothing to measure"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tracediff_testkit::server::{Connection, Server};

#[path = "../../../store/benches/ingest/shop.rs"]
mod shop;

/// Spans that are there before, and windows of them that are compared.
const SPANS: usize = 400_000;
const WINDOWS: u32 = 60;
/// When the shop's first span begins, in Unix seconds, and how long a window is.
const START: f64 = 1_760_000_000.0;
const WINDOW: f64 = 0.05;
const PER_SECOND: u32 = 200;
const SECONDS: u32 = 30;
const CLIENTS: usize = 4;
/// Requests with spans a second, of 800 spans each.
const EXPORTS_PER_SECOND: u32 = 125;

fn main() {
    // `cargo test --benches` only asks whether this runs.
    let is_test = std::env::args().any(|arg| arg == "--test");
    let (windows, seconds) = if is_test { (3, 1) } else { (WINDOWS, SECONDS) };
    let requests = shop::requests(if is_test { 20_000 } else { SPANS });
    let folder = tempfile::tempdir_in(".").expect("a folder");
    let binary = std::env::var("TRACEDIFF_BENCH_BINARY");
    let binary = binary.as_deref().unwrap_or(env!("CARGO_BIN_EXE_tracediff"));
    let server = Server::start(binary, folder.path(), &["--log-level", "warn"]);
    let mut exports = Connection::open(&server.otlp_http).expect("a connection");
    for request in &requests {
        export(&mut exports, request);
    }
    let paths = Arc::new(fill(&server.api, windows));

    let is_over = Arc::new(AtomicBool::new(false));
    let sender = {
        let is_over = Arc::clone(&is_over);
        std::thread::spawn(move || {
            let (began, mut sent) = (Instant::now(), 0);
            while !is_over.load(Ordering::Relaxed) {
                let due = began + Duration::from_secs(1) * sent / EXPORTS_PER_SECOND;
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                export(&mut exports, &requests[sent as usize % requests.len()]);
                sent += 1;
            }
            f64::from(sent) / began.elapsed().as_secs_f64()
        })
    };
    let mut taken = ask(&server.api, &paths, PER_SECOND * seconds);
    is_over.store(true, Ordering::Relaxed);
    let exported = sender.join().expect("a sender that ends");
    assert!(server.stop(), "the server ended badly");

    println!(
        "{PER_SECOND} requests a second beside {exported:.0} requests with 800 spans a second:"
    );
    taken.sort_unstable_by_key(|(path, took)| (*path, *took));
    for (number, path) in paths.iter().enumerate() {
        let of_path = taken.iter().filter(|(of, _)| *of == number);
        print(path, of_path.map(|(_, took)| *took).collect());
    }
    print("all", taken.iter().map(|(_, took)| *took).collect());
}

fn print(name: &str, mut took: Vec<Duration>) {
    took.sort_unstable();
    let at = |share: f64| {
        let place = (share * (took.len() as f64 - 1.0)).round() as usize;
        took[place].as_secs_f64() * 1e3
    };
    let (p50, p99, most) = (at(0.5), at(0.99), at(1.0));
    println!(
        "  {p50:6.1} ms p50, {p99:6.1} ms p99, {most:6.1} ms at most, of {}: {name}",
        took.len()
    );
}

fn export(connection: &mut Connection, request: &[u8]) {
    let answer = connection.post("/v1/traces", "application/x-protobuf", request);
    let (status, _) = answer.expect("an answer");
    assert!(matches!(status, 200 | 429 | 503), "status {status}");
}

/// A query with a snapshot of each window and their diffs; the paths that are asked for.
fn fill(address: &str, windows: u32) -> Vec<String> {
    let mut connection = Connection::open(address).expect("a connection");
    let mut call = |method: &str, path: &str, body: &Value| {
        let answer = connection.json(method, path, &body.to_string());
        let (status, body) = answer.expect("an answer");
        assert!(status < 300, "{method} {path}: {status} {body}");
        body
    };
    let query = json!({ "query": "span.kind = server", "scheduled": false, "settle": "0s" });
    let query = call("POST", "/api/queries", &query);
    let id = query["_id"].as_str().unwrap_or_default();
    for number in 0..windows {
        let from = START + f64::from(number) * WINDOW;
        let window = json!({ "from": from, "to": from + WINDOW });
        call("POST", &format!("/api/queries/{id}/snapshots"), &window);
    }
    let newest = loop {
        let diffs = call("GET", "/api/diffs?limit=1000", &Value::Null);
        let diffs = diffs.as_array().map_or(&[][..], Vec::as_slice);
        if diffs.len() + 1 >= windows as usize {
            break diffs.last().cloned().unwrap_or_default();
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    let diff = newest["_id"].as_str().unwrap_or_default();
    vec![
        "/api/queries".to_owned(),
        "/api/snapshots".to_owned(),
        "/api/diffs".to_owned(),
        format!("/api/diffs?queryId={id}&limit=50"),
        format!("/api/diffs/{diff}?summary=1"),
        format!("/api/diffs/{diff}"),
        format!("/api/verdict?queryId={id}"),
    ]
}

/// Asks in turn, evenly spread; of each request its path's number and how long it took from when it was due.
fn ask(address: &str, paths: &Arc<Vec<String>>, requests: u32) -> Vec<(usize, Duration)> {
    let (next, began) = (Arc::new(AtomicUsize::new(0)), Instant::now());
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (next, paths) = (Arc::clone(&next), Arc::clone(paths));
            let mut connection = Connection::open(address).expect("a connection");
            std::thread::spawn(move || {
                let mut taken = Vec::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= requests as usize {
                        return taken;
                    }
                    let due = began + Duration::from_secs(1) * number as u32 / PER_SECOND;
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                    let path = number % paths.len();
                    let (status, _) = connection.get(&paths[path]).expect("an answer");
                    assert_eq!(status, 200, "{}", paths[path]);
                    taken.push((path, due.elapsed()));
                }
            })
        })
        .collect();
    let taken = clients
        .into_iter()
        .map(|client| client.join().expect("a client that ends"));
    taken.flatten().collect()
}
