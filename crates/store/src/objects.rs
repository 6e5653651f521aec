//! Objects by name: in a local folder, or on storage that speaks S3.

use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path as LocalPath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::client::SpawnedReqwestConnector;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{
    BackoffConfig, ClientConfigKey, ObjectStore, ObjectStoreExt, PutMode, PutPayload, RetryConfig,
};
use tokio::runtime::Runtime;

use crate::log::sync_folder;
use crate::segment::Scans;

/// The folder of what was moved out of the way.
pub(crate) const ASIDE: &str = "aside";
/// Requests to remote storage on their way at a time.
const GETS_AT_ONCE: usize = 64;
/// Reads of a few bytes that are worth a thread.
const READS_A_THREAD: usize = 100;

/// How long to wait for a connection, and for an answer: a segment of a hundred megabytes must fit.
const CONNECT_TIMEOUT: &str = "5 seconds";
const ANSWER_TIMEOUT: &str = "60 seconds";
/// How often and how long a request is tried again before it counts as failed. Housekeeping then tries again by itself,
/// and who reads should not wait for long.
const RETRIES: usize = 3;
const RETRY_TIMEOUT: Duration = Duration::from_secs(10);

/// The objects of a store. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Objects {
    store: Arc<dyn ObjectStore>,
    /// The folder, where they are in one: what is put there must be synced.
    folder: Option<PathBuf>,
    scans: Arc<Scans>,
    /// What drives connections, where there are any.
    _connections: Option<Arc<Connections>>,
}

/// Connections are used from several runtimes, some of which are busy for seconds: they have one of their own.
#[derive(Debug)]
struct Connections(Option<Runtime>);

impl Drop for Connections {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // It may be dropped where waiting is not allowed.
            runtime.shutdown_background();
        }
    }
}

impl Objects {
    fn of(
        store: Arc<dyn ObjectStore>,
        folder: Option<PathBuf>,
        connections: Option<Arc<Connections>>,
    ) -> Self {
        Self {
            scans: Arc::new(Scans::new(Arc::clone(&store))),
            store,
            folder,
            _connections: connections,
        }
    }

    /// Objects in a local folder.
    pub(crate) fn local(folder: &LocalPath) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let folder = folder.canonicalize()?;
        // Names end so while an object is written: left over from a process that ended in the middle.
        for below in ["manifest", "segments", "kept"] {
            let Ok(entries) = std::fs::read_dir(folder.join(below)) else {
                continue;
            };
            for entry in entries.filter_map(Result::ok) {
                if entry.file_name().to_string_lossy().contains('#') {
                    std::fs::remove_file(entry.path())?;
                }
            }
        }
        let store: Arc<dyn ObjectStore> = Arc::new(LocalFileSystem::new_with_prefix(&folder)?);
        Ok(Self::of(store, Some(folder), None))
    }

    /// What scans of segments share.
    pub(crate) fn scans(&self) -> &Scans {
        &self.scans
    }

    /// Objects whose names begin with `prefix`, in a bucket of storage that speaks S3. Where that is, and who asks, is
    /// said by the environment: `AWS_ENDPOINT_URL`, `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`,
    /// `AWS_ALLOW_HTTP` and what else Amazon's own tools read.
    pub(crate) fn s3(bucket: &str, prefix: Path) -> object_store::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("objects")
            .enable_all()
            .build()
            .map_err(|error| object_store::Error::Generic {
                store: "S3",
                source: error.into(),
            })?;
        let timeout = |key| AmazonS3ConfigKey::Client(key);
        let retry = RetryConfig {
            backoff: BackoffConfig::default(),
            max_retries: RETRIES,
            retry_timeout: RETRY_TIMEOUT,
        };
        let s3 = AmazonS3Builder::from_env()
            .with_bucket_name(bucket)
            .with_config(timeout(ClientConfigKey::ConnectTimeout), CONNECT_TIMEOUT)
            .with_config(timeout(ClientConfigKey::Timeout), ANSWER_TIMEOUT)
            .with_retry(retry)
            .with_http_connector(SpawnedReqwestConnector::new(runtime.handle().clone()))
            .build()?;
        let connections = Arc::new(Connections(Some(runtime)));
        let store = Arc::new(PrefixStore::new(s3, prefix));
        Ok(Self::of(store, None, Some(connections)))
    }

    /// The same, or those of a bucket, with faults.
    #[cfg(test)]
    pub(crate) fn faulty(
        self,
        faults: Arc<crate::faults::Faults>,
        bucket: Option<Arc<object_store::memory::InMemory>>,
    ) -> Self {
        let (objects, folder) = match bucket {
            Some(bucket) => (bucket as Arc<dyn ObjectStore>, None),
            None => (self.store, self.folder),
        };
        let store = Arc::new(crate::faults::Faulty { objects, faults });
        Self::of(store, folder, None)
    }

    pub(crate) fn store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.store)
    }

    /// Puts an object that must not be there yet. It is whole and durable afterwards, or not there.
    pub(crate) async fn create(&self, path: &Path, bytes: Bytes) -> object_store::Result<()> {
        let payload = PutPayload::from_bytes(bytes.clone());
        let put = self
            .store
            .put_opts(path, payload, PutMode::Create.into())
            .await;
        match put {
            // Over a network the first try may have come through without its answer.
            Err(object_store::Error::AlreadyExists { .. })
                if self.folder.is_none() && self.get(path).await? == bytes => {}
            result => {
                result?;
            }
        }
        self.sync(path)
    }

    fn sync(&self, path: &Path) -> object_store::Result<()> {
        let Some(folder) = &self.folder else {
            return Ok(());
        };
        let local = local_path(folder, path);
        let sync = || {
            std::fs::File::open(&local)?.sync_all()?;
            sync_folder(local.parent().unwrap_or(folder))?;
            sync_folder(folder)
        };
        sync().map_err(|e| failed(&local, e))
    }

    pub(crate) async fn get(&self, path: &Path) -> object_store::Result<Bytes> {
        self.store.get(path).await?.bytes().await
    }

    /// A few bytes of each of many objects, in the same order.
    pub(crate) async fn get_each(
        &self,
        places: Vec<(Path, Range<u64>)>,
    ) -> object_store::Result<Vec<Bytes>> {
        let Some(folder) = self.folder.clone() else {
            let gets = places
                .into_iter()
                .map(|(path, range)| async move { self.store.get_range(&path, range).await });
            let gets = futures::stream::iter(gets).buffered(GETS_AT_ONCE);
            return gets.try_collect().await;
        };
        // Asked for one by one, each would wait for a thread longer than for its bytes.
        let read = |folder: PathBuf, places: Vec<(Path, Range<u64>)>| {
            let read = |(path, range): (Path, Range<u64>)| {
                let local = local_path(&folder, &path);
                let mut bytes = vec![0; (range.end - range.start) as usize];
                std::fs::File::open(&local)
                    .and_then(|file| file.read_exact_at(&mut bytes, range.start))
                    .map_err(|e| failed(&local, e))?;
                Ok(Bytes::from(bytes))
            };
            places
                .into_iter()
                .map(read)
                .collect::<object_store::Result<Vec<_>>>()
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let share = places.len().div_ceil(threads).max(READS_A_THREAD);
        let mut rest = places.into_iter();
        let mut reads = Vec::new();
        while rest.len() > 0 {
            let places = rest.by_ref().take(share).collect();
            let folder = folder.clone();
            reads.push(tokio::task::spawn_blocking(move || read(folder, places)));
        }
        let mut found = Vec::new();
        for reads in reads {
            let reads = reads.await;
            found.append(&mut reads.map_err(|source| object_store::Error::JoinError { source })??);
        }
        Ok(found)
    }

    /// Names and sizes of the objects in a folder, in order of their names.
    pub(crate) async fn list(&self, folder: &str) -> object_store::Result<Vec<(Path, u64)>> {
        let prefix = Path::from(folder);
        let found = self
            .store
            .list(Some(&prefix))
            .map_ok(|meta| (meta.location, meta.size));
        let mut found: Vec<(Path, u64)> = found.try_collect().await?;
        found.sort();
        Ok(found)
    }

    /// Moves an object out of the way, to be looked at by a person.
    pub(crate) async fn set_aside(&self, path: &Path) -> object_store::Result<()> {
        let aside = Path::from(format!("{ASIDE}/{path}"));
        self.store.rename(path, &aside).await
    }

    /// Removes an object; that there is none is no error.
    pub(crate) async fn remove(&self, path: &Path) -> object_store::Result<()> {
        match self.store.delete(path).await {
            Err(object_store::Error::NotFound { .. }) => Ok(()),
            result => result,
        }
    }
}

fn local_path(folder: &LocalPath, path: &Path) -> PathBuf {
    let parts = path.parts();
    parts.fold(folder.to_owned(), |at, part| at.join(part.as_ref()))
}

fn failed(path: &LocalPath, source: io::Error) -> object_store::Error {
    object_store::Error::Generic {
        store: "local",
        source: format!("{}: {source}", path.display()).into(),
    }
}
