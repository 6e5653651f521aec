//! Appends records to the log: one write and one sync serve all requests that wait.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::sync::oneshot;

use super::files::{LogFile, LogFiles};
use super::record::{FILE_HEADER, Record};
use crate::settings::Durability;

/// Why a record is not in the log. It will not be found there later either.
#[derive(Debug, Clone, Error)]
pub(crate) enum LogError {
    #[error("the log cannot be written: {0}")]
    Write(Arc<io::Error>),
    #[error("the store is closing")]
    Closing,
}

/// A record that waits to be written.
struct Waiting {
    generation: u64,
    bytes: Vec<u8>,
    done: oneshot::Sender<Result<(), LogError>>,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Waiting>,
    is_closing: bool,
}

struct Shared {
    queue: Mutex<Queue>,
    filled: Condvar,
    syncs: AtomicU64,
    bytes: AtomicU64,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The writing end of the log. A thread of its own does the writing, since a sync may take long.
pub(crate) struct LogWriter {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl LogWriter {
    pub(crate) fn start(files: LogFiles, durability: Durability) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            filled: Condvar::new(),
            syncs: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        });
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || Writing::new(files, durability, &of_thread).run())?;
        Ok(Self {
            shared,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Queues a record for the file of a generation. Generations must not go back. What comes out is ready when the
    /// record is as durable as was asked for.
    pub(crate) fn append(
        &self,
        generation: u64,
        record: &Record<'_>,
    ) -> oneshot::Receiver<Result<(), LogError>> {
        let mut bytes = Vec::with_capacity(record.zstd.len() + 32);
        record.write(&mut bytes);
        let (done, receiver) = oneshot::channel();
        let mut queue = self.shared.queue();
        if queue.is_closing {
            // The receiver may be gone already; then nobody wants to know.
            let _ = done.send(Err(LogError::Closing));
            return receiver;
        }
        queue.waiting.push(Waiting {
            generation,
            bytes,
            done,
        });
        drop(queue);
        self.shared.filled.notify_one();
        receiver
    }

    /// Syncs so far, and bytes written.
    pub(crate) fn written(&self) -> (u64, u64) {
        (
            self.shared.syncs.load(Ordering::Relaxed),
            self.shared.bytes.load(Ordering::Relaxed),
        )
    }

    /// Writes what waits and ends. Blocks until that is done.
    pub(crate) fn close(&self) {
        self.shared.queue().is_closing = true;
        self.shared.filled.notify_one();
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            // A panic there is reported where it happens.
            let _ = thread.join();
        }
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.close();
    }
}

struct Open {
    file: LogFile,
    generation: u64,
    /// How many bytes of it are whole records.
    length: u64,
}

/// The thread's own state.
struct Writing<'a> {
    files: LogFiles,
    durability: Durability,
    shared: &'a Shared,
    open: Option<Open>,
    /// The generation and whole records of a file that was closed since it could not be written.
    broken: Option<(u64, u64)>,
    unsynced_since: Option<Instant>,
}

impl<'a> Writing<'a> {
    fn new(files: LogFiles, durability: Durability, shared: &'a Shared) -> Self {
        Self {
            files,
            durability,
            shared,
            open: None,
            broken: None,
            unsynced_since: None,
        }
    }

    fn run(mut self) {
        while let Some(waiting) = self.next() {
            let mut waiting = waiting.into_iter().peekable();
            while let Some(first) = waiting.next() {
                let generation = first.generation;
                let mut bytes = first.bytes;
                let mut done = vec![first.done];
                while let Some(next) = waiting.next_if(|next| next.generation == generation) {
                    bytes.extend_from_slice(&next.bytes);
                    done.push(next.done);
                }
                let result = self
                    .write(generation, &bytes)
                    .map_err(|e| LogError::Write(Arc::new(e)));
                for done in done {
                    let _ = done.send(result.clone());
                }
            }
            self.sync_if_due();
        }
        self.sync_open();
    }

    /// What waits, as soon as something does; `None` at the end.
    fn next(&mut self) -> Option<Vec<Waiting>> {
        let mut queue = self.shared.queue();
        loop {
            if !queue.waiting.is_empty() {
                return Some(std::mem::take(&mut queue.waiting));
            }
            if queue.is_closing {
                return None;
            }
            let due = match (self.durability, self.unsynced_since) {
                (Durability::Interval(interval), Some(since)) => {
                    Some(interval.saturating_sub(since.elapsed()))
                }
                _ => None,
            };
            let filled = &self.shared.filled;
            queue = match due {
                None => filled.wait(queue).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => return Some(Vec::new()),
                Some(due) => {
                    let waited = filled.wait_timeout(queue, due);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// All or nothing: what was written in part is cut off again.
    fn write(&mut self, generation: u64, bytes: &[u8]) -> io::Result<()> {
        let durability = self.durability;
        let open = self.file(generation)?;
        let written = open.file.write_all(bytes).and_then(|()| match durability {
            Durability::Fsync => open.file.sync_data(),
            Durability::Interval(_) | Durability::None => Ok(()),
        });
        if let Err(e) = written {
            // Nobody knows what is on disk now. Before the next write the file is opened anew and cut to what is whole.
            self.broken = Some((generation, open.length));
            self.open = None;
            return Err(e);
        }
        open.length += bytes.len() as u64;
        self.shared
            .bytes
            .fetch_add(bytes.len() as u64, Ordering::Relaxed);
        if durability == Durability::Fsync {
            self.shared.syncs.fetch_add(1, Ordering::Relaxed);
        } else {
            self.unsynced_since.get_or_insert_with(Instant::now);
        }
        Ok(())
    }

    fn file(&mut self, generation: u64) -> io::Result<&mut Open> {
        let open = match self.open.take() {
            Some(open) if open.generation == generation => open,
            before => {
                if let Some(before) = before {
                    self.sync(&before.file)?;
                }
                let (file, length) = match self.broken {
                    Some((of, length)) if of == generation => {
                        (self.files.reopen(generation, length)?, length)
                    }
                    _ => (self.files.create(generation)?, FILE_HEADER.len() as u64),
                };
                self.broken = None;
                Open {
                    file,
                    generation,
                    length,
                }
            }
        };
        Ok(self.open.insert(open))
    }

    fn sync_if_due(&mut self) {
        let is_due = match (self.durability, self.unsynced_since) {
            (Durability::Interval(interval), Some(since)) => since.elapsed() >= interval,
            _ => false,
        };
        if is_due {
            self.sync_open();
        }
    }

    /// Syncs what was acknowledged before it was synced. There is nobody left to tell of a failure.
    fn sync_open(&mut self) {
        if let Some(open) = self.open.take() {
            let _ = self.sync(&open.file);
            self.open = Some(open);
        }
    }

    fn sync(&mut self, file: &LogFile) -> io::Result<()> {
        if self.unsynced_since.take().is_some() && self.durability != Durability::None {
            file.sync_data()?;
            self.shared.syncs.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}
