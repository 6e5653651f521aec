//! Objects by name: in a local folder, or on storage that speaks S3.

use std::path::{Path as LocalPath, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutPayload};

use crate::log::sync_folder;

/// The folder of what was moved out of the way.
pub(crate) const ASIDE: &str = "aside";

/// The objects of a store. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Objects {
    store: Arc<dyn ObjectStore>,
    /// The folder, where they are in one: what is put there must be synced.
    folder: Option<PathBuf>,
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
        Ok(Self {
            store: Arc::new(LocalFileSystem::new_with_prefix(&folder)?),
            folder: Some(folder),
        })
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
        let local = path
            .parts()
            .fold(folder.clone(), |at, part| at.join(part.as_ref()));
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

fn failed(path: &LocalPath, source: std::io::Error) -> object_store::Error {
    object_store::Error::Generic {
        store: "local",
        source: format!("{}: {source}", path.display()).into(),
    }
}
