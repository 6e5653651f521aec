//! Storage that fails, for tests: writes of the log and of objects that fail, are cut, are done and told as failed, or
//! all fail from one moment on, as for a process that was killed or a disk that is full. Reads work.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions,
    Result,
};

/// Which writes fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// None.
    Never,
    /// One of so many.
    OneOf(u64),
    /// All that come after so many, the first of them in its middle.
    After(u64),
}

/// What becomes of a write.
enum Fate {
    Done,
    Failed,
    /// Only its first bytes are written.
    Cut(usize),
    /// It is done, and nobody is told.
    Untold,
}

/// Decides about every write of a store.
#[derive(Debug)]
pub(crate) struct Faults(Mutex<(Random, Mode, u64)>);

/// Numbers that look random, the same for the same seed. Source: Vigna, "SplitMix64".
#[derive(Debug, Clone, Copy)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound.max(1)
    }
}

impl Faults {
    pub(crate) fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self(Mutex::new((Random(seed), Mode::Never, 0))))
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.state().1 = mode;
    }

    /// Writes that failed so far.
    pub(crate) fn count(&self) -> u64 {
        self.state().2
    }

    fn state(&self) -> MutexGuard<'_, (Random, Mode, u64)> {
        self.0.lock().unwrap()
    }

    fn fate(&self, bytes: usize) -> Fate {
        let (random, mode, count) = &mut *self.state();
        let is_first_of_all = match mode {
            Mode::Never => return Fate::Done,
            Mode::OneOf(many) if random.below(*many) > 0 => return Fate::Done,
            Mode::After(left) if *left > 0 => {
                *left -= 1;
                if *left > 0 {
                    return Fate::Done;
                }
                true
            }
            Mode::After(_) => false,
            Mode::OneOf(_) => true,
        };
        *count += 1;
        match random.below(3) {
            _ if !is_first_of_all => Fate::Failed,
            0 => Fate::Failed,
            1 => Fate::Cut(random.below(bytes as u64 + 1) as usize),
            _ => Fate::Untold,
        }
    }

    /// Does something to the log, or not.
    pub(crate) fn attempt<T>(&self, operation: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        match self.fate(0) {
            Fate::Done => operation(),
            Fate::Failed | Fate::Cut(_) => Err(full()),
            Fate::Untold => operation().and(Err(full())),
        }
    }

    /// Writes to the log, or not.
    pub(crate) fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        let length = match self.fate(bytes.len()) {
            Fate::Done => return file.write_all(bytes),
            Fate::Failed => 0,
            Fate::Cut(length) => length,
            Fate::Untold => bytes.len(),
        };
        file.write_all(&bytes[..length]).and(Err(full()))
    }
}

fn full() -> io::Error {
    io::Error::new(io::ErrorKind::StorageFull, "no room is left, for a test")
}

fn failed() -> Error {
    Error::Generic {
        store: "faulty",
        source: full().into(),
    }
}

/// Objects, as [`Faults`] have them.
#[derive(Debug)]
pub(crate) struct Faulty {
    pub(crate) objects: Arc<dyn ObjectStore>,
    pub(crate) faults: Arc<Faults>,
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "faulty {}", self.objects)
    }
}

#[async_trait::async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        match self.faults.fate(payload.content_length()) {
            Fate::Done => self.objects.put_opts(location, payload, options).await,
            Fate::Failed => Err(failed()),
            Fate::Untold => {
                self.objects.put_opts(location, payload, options).await?;
                Err(failed())
            }
            // Only a file that lost its end with the machine's power looks so: it can be no other's.
            Fate::Cut(length) => {
                let cut = Bytes::from(payload).slice(..length);
                let is_there = options.mode == PutMode::Create
                    && self
                        .objects
                        .get_opts(location, GetOptions::default())
                        .await
                        .is_ok();
                if !is_there {
                    self.objects.put_opts(location, cut.into(), options).await?;
                }
                Err(failed())
            }
        }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.objects.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.objects.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        match self.faults.fate(0) {
            Fate::Done => self.objects.delete_stream(locations),
            Fate::Failed | Fate::Cut(_) => futures::stream::once(async { Err(failed()) }).boxed(),
            Fate::Untold => {
                let deleted = self.objects.delete_stream(locations);
                deleted.map(|_| Err(failed())).boxed()
            }
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.objects.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.objects.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.objects.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        match self.faults.fate(0) {
            Fate::Done => self.objects.rename_opts(from, to, options).await,
            Fate::Failed | Fate::Cut(_) => Err(failed()),
            Fate::Untold => {
                self.objects.rename_opts(from, to, options).await?;
                Err(failed())
            }
        }
    }
}

mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::time::{Duration, Instant};

    use futures::future::join_all;
    use object_store::memory::InMemory;
    use tempfile::TempDir;
    use tracediff_core::model::{SpanBatch, TraceId, Window};
    use tracediff_testkit::Traces;
    use tracediff_wire::encode_otlp_protobuf;

    use super::*;
    use crate::read::{Wanted, once};
    use crate::request::{AppendError, Encoding, Request};
    use crate::settings::Settings;
    use crate::store::Store;

    const TEXT: &str = "
        web: GET /page 100ms server
          web: call 60ms client @10ms
            pricing: quote 40ms server @10ms
    ";
    const SPANS: usize = 3;
    /// How long anything may take that comes by itself.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// A store and what is known of it from outside.
    struct Story {
        folder: TempDir,
        /// Where there is one: objects that are in no folder, as in a bucket.
        bucket: Option<Arc<InMemory>>,
        faults: Arc<Faults>,
        random: Random,
        next: u64,
        acknowledged: BTreeSet<u64>,
        refused: BTreeSet<u64>,
    }

    fn traces(number: u64) -> SpanBatch {
        Traces::parse(TEXT).edit(|span| span.trace = number).batch()
    }

    async fn append(store: &Store, number: u64) -> std::result::Result<(), AppendError> {
        let request = Request {
            encoding: Encoding::OtlpProtobuf,
            bytes: &encode_otlp_protobuf(&traces(number)),
            zstd: None,
        };
        store.append(request).await.map(|_| ())
    }

    async fn spans_of(store: &Store, number: u64) -> usize {
        let id: TraceId = traces(number).trace_id(0);
        let batches = store.trace(id).await.expect("reading goes on");
        batches.iter().map(|batch| batch.len()).sum()
    }

    async fn wait_until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
        let began = Instant::now();
        while !condition().await {
            assert!(began.elapsed() < PATIENCE, "in vain: {what}");
            tokio::task::yield_now().await;
        }
    }

    impl Story {
        fn new(seed: u64, in_bucket: bool) -> Self {
            Self {
                folder: tempfile::tempdir().unwrap(),
                bucket: in_bucket.then(Arc::default),
                faults: Faults::new(seed),
                random: Random(!seed),
                next: 1,
                acknowledged: BTreeSet::new(),
                refused: BTreeSet::new(),
            }
        }

        /// Opens the store, as often as it takes.
        async fn open(&mut self) -> Store {
            let settings = Settings {
                head_bytes: 2_000,
                head_age: Duration::from_millis(4),
                min_free_bytes: 0,
                ..Settings::new(self.folder.path())
            };
            loop {
                let (faults, bucket) = (Arc::clone(&self.faults), self.bucket.clone());
                let opened = Store::open_on(settings.clone(), |mut log, objects| {
                    log.faults = Some(Arc::clone(&faults));
                    (log, objects.faulty(faults, bucket))
                });
                match opened.await {
                    Ok((store, _)) => return store,
                    Err(error) => assert!(self.faults.count() > 0, "{error:?}"),
                }
                if self.random.below(20) == 0 {
                    self.faults.set(Mode::Never);
                }
            }
        }

        /// Sends some requests, several at a time; reads in between.
        async fn load(&mut self, store: &Store, requests: u64) {
            for _ in 0..requests / 4 {
                let numbers = self.next..self.next + 4;
                self.next = numbers.end;
                let results = join_all(numbers.clone().map(|number| append(store, number))).await;
                for (number, result) in numbers.zip(results) {
                    match result {
                        Ok(()) => self.acknowledged.insert(number),
                        Err(AppendError::Unavailable { .. } | AppendError::Busy { .. }) => {
                            self.refused.insert(number)
                        }
                        Err(error) => panic!("not to be tried again: {error}"),
                    };
                }
                if self.random.below(4) == 0 && !self.acknowledged.is_empty() {
                    let at = self.random.below(self.acknowledged.len() as u64) as usize;
                    let number = *self.acknowledged.iter().nth(at).unwrap();
                    assert_eq!(spans_of(store, number).await, SPANS, "trace {number}");
                }
            }
        }

        /// Every acknowledged span is there, and every other request as a whole or not at all; how many spans that are.
        async fn check_there(&self, store: &Store) -> usize {
            let mut there: BTreeMap<TraceId, usize> = BTreeMap::new();
            let window = Window::new(0, i64::MAX).unwrap();
            let wanted = Wanted::all(window, 10_000);
            let reading = store.read(wanted).await.expect("reading goes on");
            for part in 0..reading.parts() {
                for batch in once(reading.part(part).await.expect("reading goes on")) {
                    for row in 0..batch.len() {
                        *there.entry(batch.trace_id(row)).or_default() += 1;
                    }
                }
            }
            for number in &self.acknowledged {
                let spans = there.get(&traces(*number).trace_id(0));
                assert_eq!(spans, Some(&SPANS), "trace {number} was acknowledged");
            }
            for number in &self.refused {
                let spans = there.get(&traces(*number).trace_id(0)).unwrap_or(&0);
                assert!([0, SPANS].contains(spans), "trace {number}: {spans} spans");
            }
            there.values().sum()
        }

        /// Nothing is stored twice either, which reading would not show.
        async fn check(&self, store: &Store) {
            let there = self.check_there(store).await;
            let readings = store.readings();
            let spans = readings.head_spans + readings.segment_spans;
            assert_eq!(spans as usize, there, "some are stored twice");
        }

        /// Faults go away: without being opened again the store takes requests in, and moves them into segments.
        async fn resumes(&mut self, store: &Store) {
            self.faults.set(Mode::Never);
            let before = self.acknowledged.len();
            self.load(store, 4).await;
            assert_eq!(self.acknowledged.len(), before + 4, "it takes in again");
            let moved = async || store.readings().head_spans == 0;
            wait_until("the head goes into segments", moved).await;
            self.check(store).await;
        }
    }

    async fn tell(seed: u64) {
        let mut story = Story::new(seed, seed % 2 == 1);
        for _ in 0..4 {
            // Opening meets faults, too.
            let at_start = match story.random.below(3) {
                0 => Mode::OneOf(3),
                1 => Mode::After(1 + story.random.below(8)),
                _ => Mode::Never,
            };
            story.faults.set(at_start);
            let store = story.open().await;
            let requests = 4 + story.random.below(100);
            let during = match story.random.below(3) {
                0 => Mode::OneOf(2 + story.random.below(20)),
                _ => Mode::After(1 + story.random.below(2 * requests)),
            };
            story.faults.set(during);
            story.load(&store, requests).await;
            match story.random.below(4) {
                0 => story.resumes(&store).await,
                1 => drop(story.check_there(&store).await),
                // From here on nothing is written: the process was killed.
                _ => story.faults.set(Mode::After(0)),
            }
            store.close();
            drop(store);
            story.faults.set(Mode::Never);
            let store = story.open().await;
            story.check(&store).await;
            story.resumes(&store).await;
            store.close();
        }
    }

    /// `TRACEDIFF_FAULTS` says how many stories are told (`make test-crash`: 400), `TRACEDIFF_FAULTS_SEED` from which on.
    /// Threads make each a little different every time.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn whatever_write_fails_what_was_acknowledged_is_there_once() {
        let number = |name: &str, default: u64| {
            std::env::var(name).map_or(default, |text| text.parse().unwrap())
        };
        let first = number("TRACEDIFF_FAULTS_SEED", 1);
        for seed in first..first + number("TRACEDIFF_FAULTS", 4) {
            println!("seed {seed}");
            tell(seed).await;
        }
    }
}
