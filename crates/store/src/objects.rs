//! Objects by name: in a local folder, or on storage that speaks S3.

use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path as LocalPath, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutPayload};

use crate::log::sync_folder;
use crate::segment::Scans;

/// The folder of what was moved out of the way.
pub(crate) const ASIDE: &str = "aside";
/// Requests to remote storage on their way at a time.
const GETS_AT_ONCE: usize = 64;

/// The objects of a store. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Objects {
    store: Arc<dyn ObjectStore>,
    /// The folder, where they are in one: what is put there must be synced.
    folder: Option<PathBuf>,
    scans: Arc<Scans>,
}

impl Objects {
    /// Objects in a local folder.
    pub(crate) fn local(folder: &LocalPath) -> object_store::Result<Self> {
        std::fs::create_dir_all(folder).map_err(|e| failed(folder, e))?;
        let folder = folder.canonicalize().map_err(|e| failed(folder, e))?;
        // Names end so while an object is written: left over from a process that ended in the middle.
        for below in ["manifest", "segments"] {
            let Ok(entries) = std::fs::read_dir(folder.join(below)) else {
                continue;
            };
            for entry in entries.filter_map(Result::ok) {
                if entry.file_name().to_string_lossy().contains('#') {
                    std::fs::remove_file(entry.path()).map_err(|e| failed(&entry.path(), e))?;
                }
            }
        }
        let store: Arc<dyn ObjectStore> = Arc::new(LocalFileSystem::new_with_prefix(&folder)?);
        Ok(Self {
            scans: Arc::new(Scans::new(Arc::clone(&store))),
            store,
            folder: Some(folder),
        })
    }

    /// What scans of segments share.
    pub(crate) fn scans(&self) -> &Scans {
        &self.scans
    }

    pub(crate) fn store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.store)
    }

    /// Puts an object that must not be there yet. It is whole and durable afterwards, or not there.
    pub(crate) async fn create(&self, path: &Path, bytes: Bytes) -> object_store::Result<()> {
        let payload = PutPayload::from_bytes(bytes);
        self.store
            .put_opts(path, payload, PutMode::Create.into())
            .await?;
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
        // One thread after the other would take longer than the files do.
        let read = move || {
            let read = |(path, range): (Path, Range<u64>)| {
                let local = local_path(&folder, &path);
                let mut bytes = vec![0; (range.end - range.start) as usize];
                std::fs::File::open(&local)
                    .and_then(|file| file.read_exact_at(&mut bytes, range.start))
                    .map_err(|e| failed(&local, e))?;
                Ok(Bytes::from(bytes))
            };
            places.into_iter().map(read).collect()
        };
        tokio::task::spawn_blocking(read)
            .await
            .map_err(|source| object_store::Error::JoinError { source })?
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

fn failed(path: &LocalPath, source: std::io::Error) -> object_store::Error {
    object_store::Error::Generic {
        store: "local",
        source: format!("{}: {source}", path.display()).into(),
    }
}
