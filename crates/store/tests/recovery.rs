//! What a store finds when the one before it was killed, its files were cut or damaged, or the disk was full.

#![expect(
    clippy::unwrap_used,
    reason = "a test of a store that fails has nothing to say"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tracediff_core::model::{TraceId, Window};
use tracediff_store::{AppendError, Encoding, Request, Settings, Store, Wanted};
use tracediff_testkit::Traces;
use tracediff_wire::encode_otlp_protobuf;

const TEXT: &str = "
    web: GET /page 100ms server
      web: call 60ms client @10ms
        pricing: quote 40ms server @10ms
";
const SPANS: u64 = 3;

fn settings(folder: &Path) -> Settings {
    Settings {
        // Only what a test asks for happens.
        head_age: Duration::from_secs(3_600),
        min_free_bytes: 0,
        ..Settings::new(folder)
    }
}

/// One request with one trace of its own.
async fn append(store: &Store, trace: u64) -> Result<(), AppendError> {
    let batch = Traces::parse(TEXT).edit(|span| span.trace = trace).batch();
    let request = Request {
        encoding: Encoding::OtlpProtobuf,
        bytes: &encode_otlp_protobuf(&batch),
        zstd: None,
    };
    store
        .append(request)
        .await
        .map(|appended| assert_eq!(appended.spans, SPANS))
}

fn id(trace: u64) -> TraceId {
    Traces::parse(TEXT)
        .edit(|span| span.trace = trace)
        .batch()
        .trace_id(0)
}

/// Which of these traces are there; each whole, or not at all.
async fn there(store: &Store, traces: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut there = Vec::new();
    for trace in traces {
        let spans: usize = store
            .trace(id(trace))
            .await
            .unwrap()
            .iter()
            .map(|b| b.len())
            .sum();
        assert!(
            [0, SPANS as usize].contains(&spans),
            "trace {trace} has {spans} spans"
        );
        there.extend((spans > 0).then_some(trace));
    }
    there
}

/// The log of a store that was killed after these traces were acknowledged: its name and bytes.
async fn log_of(traces: impl Iterator<Item = u64>) -> (PathBuf, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(settings(folder.path())).await.unwrap();
    for trace in traces {
        append(&store, trace).await.unwrap();
    }
    let [log] = &fs::read_dir(folder.path().join("log"))
        .unwrap()
        .collect::<Vec<_>>()[..]
    else {
        panic!("one log file is expected");
    };
    let path = log.as_ref().unwrap().path();
    (path.file_name().unwrap().into(), fs::read(path).unwrap())
}

fn with_log(name: &Path, bytes: &[u8]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("log")).unwrap();
    fs::write(folder.path().join("log").join(name), bytes).unwrap();
    folder
}

#[tokio::test]
async fn wherever_the_log_is_cut_what_was_whole_is_there() {
    let (name, log) = log_of(1..=6).await;
    let mut seen = Vec::new();
    for length in (0..=log.len()).step_by(41).chain([log.len()]) {
        let folder = with_log(&name, &log[..length]);
        let (store, recovery) = Store::open(settings(folder.path())).await.unwrap();
        let traces = there(&store, 1..=6).await;
        assert_eq!(
            traces,
            (1..=recovery.requests).collect::<Vec<_>>(),
            "cut at {length}"
        );
        assert_eq!(recovery.spans, SPANS * recovery.requests);
        assert_eq!(recovery.damage, Vec::<String>::new(), "cut at {length}");
        seen.push(recovery.requests);
        // It goes on, and what was recovered is not recovered again.
        append(&store, 9).await.unwrap();
        store.close();
        let (store, recovery) = Store::open(settings(folder.path())).await.unwrap();
        assert_eq!(recovery.requests, 0);
        assert_eq!(there(&store, 9..=9).await, [9]);
    }
    seen.dedup();
    assert_eq!(
        seen,
        [0, 1, 2, 3, 4, 5, 6],
        "some cuts are between any two requests"
    );
}

#[tokio::test]
async fn damage_in_the_middle_costs_one_request_and_is_told() {
    let (name, mut log) = log_of(1..=3).await;
    let middle = log.len() / 2;
    log[middle] ^= 0xff;
    let folder = with_log(&name, &log);
    let (store, recovery) = Store::open(settings(folder.path())).await.unwrap();
    assert_eq!(there(&store, 1..=3).await, [1, 3]);
    assert_eq!(recovery.requests, 2);
    let [damage, kept] = &recovery.damage[..] else {
        panic!("{recovery:?}");
    };
    assert!(damage.contains("are no record"), "{damage}");
    assert!(
        kept.ends_with("is kept as log/aside/00000000000000000001.log"),
        "{kept}"
    );
    let aside = folder.path().join("log/aside").join(&name);
    assert_eq!(fs::read(&aside).unwrap(), log);
    assert!(!folder.path().join("log").join(&name).exists());
    store.close();
    // It is told once, and stays.
    let (_store, recovery) = Store::open(settings(folder.path())).await.unwrap();
    assert_eq!(recovery.damage, Vec::<String>::new());
    assert!(aside.exists());
}

#[tokio::test]
async fn a_record_that_cannot_be_decoded_is_kept() {
    let (name, mut log) = log_of(1..=2).await;
    // As if another version had written it: a frame that is right around a request that is none.
    let (of_others, other) = {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(settings(folder.path())).await.unwrap();
        let request = Request {
            encoding: Encoding::OtlpJson,
            bytes: b"{}",
            zstd: Some(&zstd::bulk::compress(b"[}", 0).unwrap()),
        };
        store.append(request).await.unwrap();
        let path = folder.path().join("log").join(&name);
        (path.clone(), fs::read(path).unwrap())
    };
    assert_eq!(of_others.file_name(), name.file_name());
    let header = 16;
    log.extend_from_slice(&other[header..]);
    let folder = with_log(&name, &log);
    let (store, recovery) = Store::open(settings(folder.path())).await.unwrap();
    assert_eq!(there(&store, 1..=2).await, [1, 2]);
    assert!(
        recovery.damage[0].contains("a record cannot be decoded"),
        "{recovery:?}"
    );
    assert_eq!(
        fs::read(folder.path().join("log/aside").join(&name)).unwrap(),
        log
    );
}

/// A store's folder after a process was killed that had published its first manifest and not cut the log yet.
async fn with_first_manifest(manifest: &str) -> TempDir {
    let (name, log) = log_of(1..=2).await;
    let folder = with_log(&name, &log);
    let (store, _) = Store::open(settings(folder.path())).await.unwrap();
    store.close();
    fs::write(folder.path().join("log").join(&name), &log).unwrap();
    let first = folder
        .path()
        .join("data/manifest/00000000000000000001.json");
    assert!(first.exists());
    fs::write(first, manifest).unwrap();
    folder
}

#[tokio::test]
async fn while_the_log_has_everything_a_damaged_first_manifest_costs_nothing() {
    for has_segments in [true, false] {
        // A machine that loses power leaves a file without its bytes.
        let folder = with_first_manifest("").await;
        let segments = folder.path().join("data/segments");
        if !has_segments {
            fs::remove_dir_all(&segments).unwrap();
        }
        let (store, recovery) = Store::open(settings(folder.path())).await.unwrap();
        assert_eq!(recovery.requests, 2);
        let [damage] = &recovery.damage[..] else {
            panic!("{recovery:?}");
        };
        assert!(
            damage.contains("manifest/00000000000000000001.json cannot be read"),
            "{damage}"
        );
        assert_eq!(there(&store, 1..=2).await, [1, 2]);
        append(&store, 3).await.unwrap();
        store.close();
        let (store, recovery) = Store::open(settings(folder.path())).await.unwrap();
        assert_eq!(recovery.damage, Vec::<String>::new());
        assert_eq!(there(&store, 1..=3).await, [1, 2, 3]);
        let aside = folder.path().join("data/aside");
        assert_eq!(aside.join("segments").exists(), has_segments);
        assert!(aside.join("manifest").exists());
    }
}

#[tokio::test]
async fn a_damaged_first_manifest_with_a_segment_that_the_log_does_not_have_is_not_passed_over() {
    let folder = with_first_manifest("").await;
    let log = folder.path().join("log");
    fs::rename(
        log.join("00000000000000000001.log"),
        log.join("00000000000000000002.log"),
    )
    .unwrap();
    let error = Store::open(settings(folder.path())).await.unwrap_err();
    assert!(
        error.to_string().contains("no manifest can be read"),
        "{error}"
    );
}

#[tokio::test]
async fn a_manifest_is_published_although_an_older_one_cannot_be_removed() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        head_age: Duration::from_millis(1),
        ..settings(folder.path())
    };
    let (store, _) = Store::open(settings.clone()).await.unwrap();
    for trace in 1..=2 {
        append(&store, trace).await.unwrap();
        while store.readings().segments < trace {
            tokio::task::yield_now().await;
        }
    }
    let manifests = folder.path().join("data/manifest");
    let count = || fs::read_dir(&manifests).unwrap().count();
    while count() != 2 {
        tokio::task::yield_now().await;
    }
    // Where the oldest is there is a folder, which cannot be removed as if it were a file.
    let oldest = manifests.join("00000000000000000001.json");
    let text = fs::read(&oldest).unwrap();
    fs::remove_file(&oldest).unwrap();
    fs::create_dir(&oldest).unwrap();
    fs::write(oldest.join("in-the-way"), "").unwrap();
    append(&store, 3).await.unwrap();
    while store.readings().segments < 3 {
        tokio::task::yield_now().await;
    }
    while store.last_failure().is_none() {
        tokio::task::yield_now().await;
    }
    // Every manifest was written once: no number was skipped, none was written a second time.
    assert!(manifests.join("00000000000000000003.json").exists());
    assert!(!manifests.join("00000000000000000004.json").exists());
    fs::remove_dir_all(&oldest).unwrap();
    fs::write(&oldest, text).unwrap();
    while count() != 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(there(&store, 1..=3).await, [1, 2, 3]);
}

#[tokio::test]
async fn a_segment_that_no_manifest_has_goes_unless_the_newest_manifest_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    for trace in 1..=2 {
        let (store, _) = Store::open(settings(folder.path())).await.unwrap();
        append(&store, trace).await.unwrap();
        store.close();
    }
    let segments = folder.path().join("data/segments");
    let stray = segments.join("00000000000000000009.parquet");
    fs::write(&stray, "half of a segm").unwrap();
    let (store, recovery) = Store::open(settings(folder.path())).await.unwrap();
    assert!(!stray.exists());
    assert_eq!(there(&store, 1..=2).await, [1, 2]);
    assert_eq!(recovery.damage, Vec::<String>::new());
    store.close();

    let manifests = folder.path().join("data/manifest");
    let newest = fs::read_dir(&manifests)
        .unwrap()
        .map(|e| e.unwrap().path())
        .max()
        .unwrap();
    let text = fs::read_to_string(&newest).unwrap();
    fs::write(&newest, text.replace("\"spans\":3", "\"spans\":4")).unwrap();
    let (store, recovery) = Store::open(settings(folder.path())).await.unwrap();
    let [damage] = &recovery.damage[..] else {
        panic!("{recovery:?}");
    };
    assert!(damage.contains("its checksum is not right"), "{damage}");
    assert_eq!(there(&store, 1..=2).await, [1]);
    append(&store, 3).await.unwrap();
    store.close();
    // What the damaged manifest had is set aside, and stays there.
    let (store, recovery) = Store::open(settings(folder.path())).await.unwrap();
    assert_eq!(recovery.damage, Vec::<String>::new());
    assert_eq!(there(&store, 1..=3).await, [1, 3]);
    let aside = folder.path().join("data/aside");
    assert_eq!(fs::read_dir(aside.join("segments")).unwrap().count(), 1);
    assert_eq!(fs::read_dir(aside.join("manifest")).unwrap().count(), 1);
    store.close();

    fs::remove_file(segments.join("00000000000000000001.parquet")).unwrap();
    let (store, recovery) = Store::open(settings(folder.path())).await.unwrap();
    assert!(
        recovery.damage[0].contains("is missing, with 3 spans"),
        "{recovery:?}"
    );
    assert_eq!(there(&store, 1..=3).await, [3]);
}

#[tokio::test]
async fn segments_without_a_manifest_are_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(settings(folder.path())).await.unwrap();
    append(&store, 1).await.unwrap();
    store.close();
    fs::remove_dir_all(folder.path().join("data/manifest")).unwrap();
    let error = Store::open(settings(folder.path())).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("there are segments and no manifest"),
        "{error}"
    );
    assert_eq!(
        fs::read_dir(folder.path().join("data/segments"))
            .unwrap()
            .count(),
        1
    );
}

#[tokio::test]
async fn without_any_manifest_that_can_be_read_it_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(settings(folder.path())).await.unwrap();
    append(&store, 1).await.unwrap();
    store.close();
    for entry in fs::read_dir(folder.path().join("data/manifest")).unwrap() {
        fs::write(entry.unwrap().path(), "{").unwrap();
    }
    let error = Store::open(settings(folder.path())).await.unwrap_err();
    assert!(
        error.to_string().contains("no manifest can be read"),
        "{error}"
    );
}

#[tokio::test]
async fn while_the_log_cannot_be_written_requests_are_refused_and_then_taken_again() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(settings(folder.path())).await.unwrap();
    // A file on which every write fails as on a full disk.
    let log = folder.path().join("log/00000000000000000001.log");
    std::os::unix::fs::symlink("/dev/full", &log).unwrap();
    let error = append(&store, 1).await.unwrap_err();
    assert!(
        matches!(&error, AppendError::Unavailable { .. }),
        "{error:?}"
    );
    assert!(
        error.to_string().contains("No space left on device"),
        "{error}"
    );
    fs::remove_file(&log).unwrap();
    append(&store, 2).await.unwrap();
    assert!(there(&store, 2..=2).await.contains(&2));
    store.close();
    let (store, _) = Store::open(settings(folder.path())).await.unwrap();
    assert!(there(&store, 2..=2).await.contains(&2));
}

#[tokio::test]
async fn while_segments_cannot_be_written_spans_stay_readable_and_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        head_age: Duration::from_millis(1),
        ..settings(folder.path())
    };
    let (store, _) = Store::open(settings.clone()).await.unwrap();
    // A file where the folder of segments belongs.
    let segments = folder.path().join("data/segments");
    fs::write(&segments, "").unwrap();
    append(&store, 1).await.unwrap();
    while store.readings().keeping_failures == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(there(&store, 1..=1).await, [1]);
    assert!(store.last_failure().is_some());
    fs::remove_file(&segments).unwrap();
    while store.readings().segments == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(there(&store, 1..=1).await, [1]);
}

#[tokio::test]
async fn a_disk_without_room_takes_nothing_in_and_gives_everything_out() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(settings(folder.path())).await.unwrap();
    append(&store, 1).await.unwrap();
    store.close();
    let settings = Settings {
        min_free_bytes: u64::MAX,
        ..settings(folder.path())
    };
    let (store, _) = Store::open(settings).await.unwrap();
    assert!(store.accepting().unwrap_err().contains("make room"));
    let error = append(&store, 2).await.unwrap_err();
    assert!(
        matches!(error, AppendError::Unavailable { .. }),
        "{error:?}"
    );
    assert_eq!(there(&store, 1..=2).await, [1]);
}

#[tokio::test]
async fn old_segments_go_by_age_and_by_bytes() {
    let folder = tempfile::tempdir().unwrap();
    for trace in 1..=3 {
        let (store, _) = Store::open(settings(folder.path())).await.unwrap();
        append(&store, trace).await.unwrap();
        store.close();
    }
    let (store, _) = Store::open(settings(folder.path())).await.unwrap();
    let bytes = store.readings().segment_bytes;
    store.close();
    let by_bytes = Settings {
        retention_bytes: Some(bytes - 1),
        ..settings(folder.path())
    };
    let (store, _) = Store::open(by_bytes).await.unwrap();
    while store.readings().segments == 3 {
        tokio::task::yield_now().await;
    }
    assert_eq!(there(&store, 1..=3).await, [2, 3], "the oldest goes first");
    store.close();
    let by_age = Settings {
        retention_age: Some(Duration::from_secs(1)),
        ..settings(folder.path())
    };
    let (store, _) = Store::open(by_age).await.unwrap();
    while store.readings().segments > 0 {
        tokio::task::yield_now().await;
    }
    let window = Window::new(0, i64::MAX).unwrap();
    assert_eq!(
        store
            .read(Wanted::all(window, 1))
            .await
            .unwrap()
            .part(0)
            .await
            .unwrap()
            .len(),
        0
    );
}
