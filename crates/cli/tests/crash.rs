//! Kills the real process under load, again and again, and lets its disk fill up: what it acknowledged is there
//! afterwards, once.
//!
//! `TRACEDIFF_KILLS` and `TRACEDIFF_FULL_DISKS` say how often (`make test-crash`: 200 and 20).

#![expect(
    clippy::unwrap_used,
    reason = "a test whose process cannot be run has nothing to say"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

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

/// Sends request after request over one connection until it breaks; tells those that were acknowledged, and counts those
/// that were refused for a while.
fn send(address: &str, next: &AtomicU64, acknowledged: &Mutex<BTreeSet<u64>>, refused: &AtomicU64) {
    let Ok(mut connection) = Connection::open(address) else {
        return;
    };
    loop {
        let trace = next.fetch_add(1, Ordering::Relaxed);
        match connection.post("/v1/traces", "application/x-protobuf", &request(trace)) {
            Ok((200, _)) => {
                acknowledged.lock().unwrap().insert(trace);
            }
            Ok((429 | 503, _)) => {
                refused.fetch_add(1, Ordering::Relaxed);
                std::thread::yield_now();
            }
            Ok((other, body)) => panic!("answered {other}: {}", String::from_utf8_lossy(&body)),
            Err(_) => return,
        }
    }
}

/// How often every span is stored, by trace and span id.
fn stored(folder: &Path) -> BTreeMap<(TraceId, [u8; 8]), usize> {
    let out = tempfile::tempdir().unwrap();
    let out = out.path().join("exported.pb");
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

fn id(trace: u64) -> TraceId {
    Traces::parse(TEXT)
        .edit(|span| span.trace = trace)
        .batch()
        .trace_id(0)
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
        assert_eq!(
            spans.get(&id(*trace)),
            Some(&SPANS),
            "trace {trace} was acknowledged"
        );
    }
    assert!(
        spans.values().all(|count| *count == SPANS),
        "a request is there in part"
    );
}

fn times(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |times| times.parse().unwrap())
}

#[test]
fn what_was_acknowledged_survives_being_killed() {
    let kills = times("TRACEDIFF_KILLS", 4);
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
                scope.spawn(move || send(&address, next, acknowledged, &AtomicU64::new(0)));
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

/// A small disk of its own; it goes with this.
struct Disk(tempfile::TempDir);

impl Disk {
    const BYTES: u64 = 24 << 20;

    /// `None`, and why is told, where nothing may be mounted.
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args([
                "-t",
                "tmpfs",
                "-o",
                &format!("size={}", Self::BYTES),
                "tmpfs",
            ])
            .arg(folder.path())
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(folder)),
            Ok(output) => {
                let why = String::from_utf8_lossy(&output.stderr);
                eprintln!("SKIPPED: nothing may be mounted here: {why}");
                None
            }
            Err(error) => {
                eprintln!("SKIPPED: nothing can be mounted here: {error}");
                None
            }
        }
    }

    /// Takes all room that is left.
    fn fill(&self) {
        let mut ballast = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.0.path().join("ballast"))
            .unwrap();
        for size in [1 << 16, 1] {
            while ballast.write_all(&vec![7; size]).is_ok() {}
        }
    }

    fn make_room(&self) {
        std::fs::remove_file(self.0.path().join("ballast")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.0.path()).status();
        assert!(unmounted.unwrap().success());
    }
}

/// Waits for something that comes by itself.
fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(60), "in vain: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_full_disk_takes_nothing_in_loses_nothing_and_gives_everything_out() {
    let Some(disk) = Disk::mount() else {
        return;
    };
    let data = disk.0.path().join("data");
    let next = AtomicU64::new(1);
    let acknowledged = Arc::new(Mutex::new(BTreeSet::new()));
    let count = || acknowledged.lock().unwrap().len();
    for time in 0..times("TRACEDIFF_FULL_DISKS", 2) {
        let arguments = [&SMALL[..], &["--min-free-bytes", "0"]].concat();
        let server = Server::start(BINARY, &data, &arguments);
        let refused = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..SENDERS {
                let address = server.otlp_http.clone();
                let (next, acknowledged, refused) = (&next, &acknowledged, &refused);
                scope.spawn(move || send(&address, next, acknowledged, refused));
            }
            let before = count();
            wait_until("requests are taken in", || count() > before + 50);
            // What becomes free while segments are merged is taken, too.
            wait_until("requests are refused", || {
                disk.fill();
                refused.load(Ordering::Relaxed) > 1_000
            });
            let some: Vec<u64> = {
                let acknowledged = acknowledged.lock().unwrap();
                let step = acknowledged.len() / 20;
                acknowledged.iter().step_by(step).copied().collect()
            };
            for trace in some {
                let mut connection = Connection::open(&server.api).unwrap();
                let path = format!("/api/traces/{}", id(trace));
                let (status, body) = connection.get(&path).unwrap();
                assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
                let text = String::from_utf8(body).unwrap();
                assert_eq!(text.matches(r#""spanId""#).count(), SPANS, "{text}");
            }
            if time % 2 == 0 {
                disk.make_room();
                let before = count();
                wait_until("requests are taken in again", || count() > before + 200);
                server.kill();
            } else {
                server.kill();
                disk.make_room();
            }
        });
        check(&data, &acknowledged.lock().unwrap());
    }
}
