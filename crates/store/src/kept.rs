//! What others keep beside the segments: small objects by name, compressed and guarded by a checksum.

use bytes::Bytes;
use object_store::path::Path;
use thiserror::Error;
use twox_hash::XxHash64;

use crate::store::Store;

/// Where they are.
const KEPT: &str = "kept";
/// Bytes of the checksum in front.
const SUM_BYTES: usize = 8;
const LEVEL: i32 = 3;
/// The most bytes that an object may have once it is decompressed: one that claims more is damaged.
const MOST_BYTES: usize = 1 << 30;

/// Why an object cannot be kept or given back.
#[derive(Debug, Error)]
pub enum KeptError {
    /// The disk or the bucket failed.
    #[error("the object {name} cannot be reached")]
    Objects {
        /// The object.
        name: String,
        /// Why.
        #[source]
        source: object_store::Error,
    },
    /// Its bytes are not those that were kept.
    #[error("the object {0} is damaged")]
    Damaged(String),
}

impl Store {
    /// Keeps bytes under a name that is not in use: letters, digits, `-` and `.`. They are durable afterwards.
    pub async fn keep(&self, name: &str, bytes: &[u8]) -> Result<(), KeptError> {
        let compressed =
            zstd::bulk::compress(bytes, LEVEL).map_err(|_| KeptError::Damaged(name.to_owned()))?;
        let sum = XxHash64::oneshot(0, &compressed).to_le_bytes();
        let object = Bytes::from([&sum[..], &compressed].concat());
        let created = self.objects().create(&path(name), object).await;
        created.map_err(|source| failed(name, source))
    }

    /// What was kept under a name; `None` where nothing is.
    pub async fn kept(&self, name: &str) -> Result<Option<Vec<u8>>, KeptError> {
        let object = match self.objects().get(&path(name)).await {
            Ok(object) => object,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(source) => return Err(failed(name, source)),
        };
        let damaged = || KeptError::Damaged(name.to_owned());
        let (sum, compressed) = object.split_at_checked(SUM_BYTES).ok_or_else(damaged)?;
        if sum != XxHash64::oneshot(0, compressed).to_le_bytes() {
            return Err(damaged());
        }
        let size = zstd::zstd_safe::get_frame_content_size(compressed)
            .ok()
            .flatten();
        let size = size.and_then(|size| usize::try_from(size).ok());
        let size = size
            .filter(|size| *size <= MOST_BYTES)
            .ok_or_else(damaged)?;
        let bytes = zstd::bulk::decompress(compressed, size).map_err(|_| damaged())?;
        Ok(Some(bytes))
    }

    /// Lets go of what was kept under a name; that nothing was is no error.
    pub async fn forget(&self, name: &str) -> Result<(), KeptError> {
        let removed = self.objects().remove(&path(name)).await;
        removed.map_err(|source| failed(name, source))
    }
}

fn path(name: &str) -> Path {
    Path::from(format!("{KEPT}/{name}"))
}

fn failed(name: &str, source: object_store::Error) -> KeptError {
    KeptError::Objects {
        name: name.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;

    #[tokio::test]
    async fn what_is_kept_comes_back_until_it_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(Settings::new(folder.path())).await.unwrap();
        let bytes: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
        store.keep("facts-a", &bytes).await.unwrap();
        store.keep("facts-b", b"").await.unwrap();
        store.close();
        let (store, _) = Store::open(Settings::new(folder.path())).await.unwrap();
        assert_eq!(store.kept("facts-a").await.unwrap().unwrap(), bytes);
        assert_eq!(store.kept("facts-b").await.unwrap().unwrap(), b"");
        assert!(store.kept("facts-c").await.unwrap().is_none());
        assert!(store.keep("facts-a", b"other").await.is_err());
        let file = folder.path().join("data/kept/facts-a");
        let mut object = std::fs::read(&file).unwrap();
        object[20] ^= 1;
        std::fs::write(&file, object).unwrap();
        let error = store.kept("facts-a").await.unwrap_err();
        assert_eq!(error.to_string(), "the object facts-a is damaged");
        store.forget("facts-a").await.unwrap();
        store.forget("facts-a").await.unwrap();
        assert!(store.kept("facts-a").await.unwrap().is_none());
        store.close();
    }
}
