//! Kills the real process under load, again and again: what it acknowledged is there afterwards, once.
//!
//! `TRACEDIFF_KILLS` says how often (`make test-crash`: 200).

#![expect(
    clippy::unwrap_used,
    reason = "a test whose process cannot be run has nothing to say"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tracediff_core::model::{SpanBatchBuilder, TraceId};
use tracediff_testkit::{Connection, Server, Traces};
use tracediff_wire::{StreamDecoder, StreamOptions, encode_otlp_protobuf};

const BINARY: &str = env!("CARGO_BIN_EXE_tracediff");
const SENDERS: usize = 4;
/// So small that segments are written and merged all the time.
const SMALL: [&str; 4] = ["--head-age", "20ms", "--head-bytes", "64KiB"];
/// Kills between two looks at everything that was acknowledged.
const KILLS_A_CHECK: u64 = 10;

const TEXT: &str = "
    web: GET /page 100ms server
      web: call 60ms client @10ms
        pricing: quote 40ms server @10ms
      web: note 5ms @80ms
";
const SPANS: usize = 4;

/// One request with one trace of its own.
fn request(trace: u64) -> Vec<u8> {
    let traces = Traces::parse(TEXT).edit(|span| span.trace = trace);
    encode_otlp_protobuf(&traces.batch())
}

/// Sends request after request over one connection until it breaks; tells those that were acknowledged.
fn send(address: &str, next: &AtomicU64, acknowledged: &Mutex<BTreeSet<u64>>) {
    let Ok(mut connection) = Connection::open(address) else {
        return;
    };
    loop {
        let trace = next.fetch_add(1, Ordering::Relaxed);
        match connection.post("/v1/traces", "application/x-protobuf", &request(trace)) {
            Ok((200, _)) => {
                acknowledged.lock().unwrap().insert(trace);
            }
            Ok((429 | 503, _)) => std::thread::yield_now(),
            Ok((other, body)) => panic!("answered {other}: {}", String::from_utf8_lossy(&body)),
            Err(_) => return,
        }
    }
}

/// How often every span is stored, by trace and span id.
fn stored(folder: &Path) -> BTreeMap<(TraceId, [u8; 8]), usize> {
    let out = folder.join("exported.pb");
    let exported = Command::new(BINARY)
        .args(["spans", "export", "--source"])
        .arg(folder)
        .arg("--out")
        .arg(&out)
        .status()
        .unwrap();
    assert!(exported.success());
    let mut builder = SpanBatchBuilder::new();
    let mut decoder = StreamDecoder::new(StreamOptions {
        strict: true,
        max_record_bytes: 1 << 30,
    });
    decoder
        .push(&std::fs::read(out).unwrap(), &mut builder)
        .unwrap();
    decoder.finish(&mut builder).unwrap();
    let mut counts = BTreeMap::new();
    for batch in builder.finish() {
        for row in 0..batch.len() {
            let span = (batch.trace_id(row), batch.span_id(row).0);
            *counts.entry(span).or_default() += 1;
        }
    }
    counts
}

fn check(folder: &Path, acknowledged: &BTreeSet<u64>) {
    let stored = stored(folder);
    assert!(
        stored.values().all(|count| *count == 1),
        "a span is there twice"
    );
    let mut spans: BTreeMap<TraceId, usize> = BTreeMap::new();
    for (trace, _) in stored.keys() {
        *spans.entry(*trace).or_default() += 1;
    }
    for trace in acknowledged {
        let id = Traces::parse(TEXT)
            .edit(|span| span.trace = *trace)
            .batch()
            .trace_id(0);
        assert_eq!(
            spans.get(&id),
            Some(&SPANS),
            "trace {trace} was acknowledged"
        );
    }
    assert!(
        spans.values().all(|count| *count == SPANS),
        "a request is there in part"
    );
}

#[test]
fn what_was_acknowledged_survives_being_killed() {
    let kills: u64 = std::env::var("TRACEDIFF_KILLS").map_or(4, |kills| kills.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let next = AtomicU64::new(1);
    let acknowledged = Arc::new(Mutex::new(BTreeSet::new()));
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for kill in 1..=kills {
        let server = Server::start(BINARY, folder.path(), &SMALL);
        let before = acknowledged.lock().unwrap().len();
        std::thread::scope(|scope| {
            for _ in 0..SENDERS {
                let address = server.otlp_http.clone();
                let (next, acknowledged) = (&next, &acknowledged);
                scope.spawn(move || send(&address, next, acknowledged));
            }
            // Some way into the load, counted in requests: that is where a kill falls into a write or a merge.
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let target = before + 1 + (random >> 33) as usize % 400;
            while acknowledged.lock().unwrap().len() < target {
                std::thread::yield_now();
            }
            server.kill();
        });
        if kill % KILLS_A_CHECK == 0 || kill == kills {
            check(folder.path(), &acknowledged.lock().unwrap());
        }
    }
    let acknowledged = acknowledged.lock().unwrap().len();
    assert!(
        acknowledged as u64 >= kills,
        "{acknowledged} requests were acknowledged"
    );
}
