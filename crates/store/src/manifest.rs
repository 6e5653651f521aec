//! Which segments there are: published in one step, so that a reader sees all of a change or nothing of it.
//!
//! Every change is a new object with the next number. The newest that can be read is true; the one before it stays, in
//! case the newest was written when the machine lost power.

use bytes::Bytes;
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::objects::{ASIDE, Objects};

/// The version of the form below.
const VERSION: u32 = 1;
const FOLDER: &str = "manifest";
/// The number of a store's first generation.
const FIRST_GENERATION: u64 = 1;

/// What the store holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    version: u32,
    /// This manifest's number, from 1.
    pub(crate) number: u64,
    /// The number of the next segment.
    pub(crate) next_segment: u64,
    /// Generations of the head up to this one are in segments; what the log has of them is void.
    pub(crate) generation: u64,
    /// The segments, in order of their numbers.
    pub(crate) segments: Vec<SegmentMeta>,
}

/// One segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SegmentMeta {
    pub(crate) number: u64,
    pub(crate) spans: u64,
    pub(crate) bytes: u64,
    /// Earliest and latest start of a span, in nanoseconds since the epoch.
    pub(crate) first_start_ns: i64,
    pub(crate) last_start_ns: i64,
    /// When it was written. Clocks of producers may be far ahead, this one is not.
    pub(crate) written_ns: i64,
}

/// The folder of segments.
pub(crate) const SEGMENTS: &str = "segments";

impl SegmentMeta {
    pub(crate) fn path(&self) -> Path {
        Path::from(format!("{SEGMENTS}/{:020}.parquet", self.number))
    }

    /// The latest start that can be believed: not after it was written.
    pub(crate) fn last_believed_ns(&self) -> i64 {
        self.last_start_ns
            .min(self.written_ns.max(self.first_start_ns))
    }
}

/// A manifest as it is stored: its text and the checksum of that.
#[derive(Serialize, Deserialize)]
struct Stored {
    crc32: u32,
    manifest: Box<serde_json::value::RawValue>,
}

/// Why the store's manifest cannot be used.
#[derive(Debug, Error)]
pub enum ManifestError {
    /// Storage failed.
    #[error("the manifest cannot be read or written")]
    Storage(#[from] object_store::Error),
    /// None of the manifests can be read.
    #[error(
        "no manifest can be read, and there is one at {path}: {problem}; restore the whole data folder from a copy, or move all of it away to begin anew"
    )]
    Damaged {
        /// The newest of them.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// It was written by another version of this program.
    #[error(
        "{path} has version {found}, and this program reads version {VERSION}; use the program that wrote it"
    )]
    Version {
        /// The manifest.
        path: String,
        /// Its version.
        found: u32,
    },
    /// There are segments and nothing that says which of them count.
    #[error(
        "there are segments and no manifest; restore the folder `data/manifest` from a copy, or move `data/segments` away to begin anew"
    )]
    Missing,
    /// It cannot be told as text.
    #[error("the manifest cannot be written")]
    Encode(#[from] serde_json::Error),
}

impl Manifest {
    pub(crate) fn empty() -> Self {
        Self {
            version: VERSION,
            number: 0,
            next_segment: 1,
            generation: 0,
            segments: Vec::new(),
        }
    }

    /// The newest that can be read, and what is wrong, in words; an empty one where there is none at all. `log` are the
    /// generations that the log has: a store without any has published every segment it has.
    ///
    /// A segment that the manifest does not have is left over from a process that ended in the middle, and is removed. But
    /// if a newer manifest cannot be read, which may have had it, both are moved aside.
    pub(crate) async fn open(
        objects: &Objects,
        log: &[u64],
    ) -> Result<(Self, Vec<String>), ManifestError> {
        let files = objects.list(SEGMENTS).await?;
        // Where there is no segment, or never was another generation, the log has everything.
        let is_all_in_log = !log.is_empty() && files.is_empty();
        let is_first_in_log = log.contains(&FIRST_GENERATION);
        let (mut manifest, mut damage) =
            Self::read(objects, is_all_in_log, is_first_in_log).await?;
        let is_damaged = !damage.is_empty();
        if manifest.number == 0 && !files.is_empty() && log.is_empty() {
            return Err(ManifestError::Missing);
        }
        for (path, _) in &files {
            if manifest.segments.iter().any(|meta| meta.path() == *path) {
                continue;
            }
            if is_damaged {
                objects.set_aside(path).await?;
            } else {
                objects.remove(path).await?;
            }
            // Its name is not used again, whatever it holds.
            let name = path
                .filename()
                .and_then(|name| name.strip_suffix(".parquet"));
            let number = name.and_then(|name| name.parse::<u64>().ok());
            manifest.next_segment = manifest.next_segment.max(number.unwrap_or(0) + 1);
        }
        manifest.segments.retain(|meta| {
            let is_there = files.iter().any(|(path, _)| meta.path() == *path);
            if !is_there {
                damage.push(format!(
                    "{} is missing, with {} spans",
                    meta.path(),
                    meta.spans
                ));
            }
            is_there
        });
        Ok((manifest, damage))
    }

    async fn read(
        objects: &Objects,
        is_all_in_log: bool,
        is_first_in_log: bool,
    ) -> Result<(Self, Vec<String>), ManifestError> {
        let mut damaged: Vec<(Path, String)> = Vec::new();
        let mut paths = objects
            .list(FOLDER)
            .await?
            .into_iter()
            .map(|(path, _)| path);
        while let Some(path) = paths.next_back() {
            match decode(&objects.get(&path).await?) {
                Ok(manifest) if manifest.version != VERSION => {
                    return Err(ManifestError::Version {
                        path: path.to_string(),
                        found: manifest.version,
                    });
                }
                Ok(manifest) => {
                    // But for the one before it, what is older should have gone already.
                    paths.next_back();
                    for old in paths {
                        // It is tried again the next time.
                        let _ = objects.remove(&old).await;
                    }
                    let beyond = format!("beyond manifest {}", manifest.number);
                    let damage = set_aside(objects, damaged, &beyond).await?;
                    return Ok((manifest, damage));
                }
                Err(problem) => damaged.push((path, problem)),
            }
        }
        // The first one is written when the first generation is in a segment, and only then the log of that goes.
        let is_first = damaged.iter().all(|(path, _)| *path == self::path(1));
        if is_all_in_log || (is_first && is_first_in_log) {
            let damage = set_aside(objects, damaged, "and is not in the log").await?;
            return Ok((Self::empty(), damage));
        }
        match damaged.into_iter().next() {
            None => Ok((Self::empty(), Vec::new())),
            Some((path, problem)) => Err(ManifestError::Damaged {
                path: path.to_string(),
                problem,
            }),
        }
    }

    /// Publishes this manifest under the next number, and gives the name of one that counts no more: the one before the
    /// one before it.
    pub(crate) async fn publish(
        &mut self,
        objects: &Objects,
    ) -> Result<Option<Path>, ManifestError> {
        let mut next = self.clone();
        next.number += 1;
        let path = path(next.number);
        let text = encode(&next)?;
        match objects.create(&path, text.clone()).await {
            // Left over from a write that failed half-way: nobody can have read it as the newest and gone on from it,
            // since there is one process that writes.
            Err(object_store::Error::AlreadyExists { .. }) => {
                objects.remove(&path).await?;
                objects.create(&path, text).await?;
            }
            result => result?,
        }
        *self = next;
        Ok(self.number.checked_sub(2).map(self::path))
    }
}

/// Moves manifests that cannot be read out of the way, and says so. `beyond` tells what is lost with them.
async fn set_aside(
    objects: &Objects,
    damaged: Vec<(Path, String)>,
    beyond: &str,
) -> Result<Vec<String>, ManifestError> {
    let mut damage = Vec::new();
    for (path, problem) in damaged {
        objects.set_aside(&path).await?;
        damage.push(format!(
            "{path} cannot be read: {problem}; what it had {beyond} is in the folder `{ASIDE}`"
        ));
    }
    Ok(damage)
}

fn path(number: u64) -> Path {
    Path::from(format!("{FOLDER}/{number:020}.json"))
}

fn encode(manifest: &Manifest) -> Result<Bytes, serde_json::Error> {
    let manifest = serde_json::value::to_raw_value(manifest)?;
    let crc32 = crc32fast::hash(manifest.get().as_bytes());
    Ok(serde_json::to_vec(&Stored { crc32, manifest })?.into())
}

fn decode(bytes: &[u8]) -> Result<Manifest, String> {
    let stored: Stored = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
    if crc32fast::hash(stored.manifest.get().as_bytes()) != stored.crc32 {
        return Err("its checksum is not right".to_owned());
    }
    let manifest: Manifest =
        serde_json::from_str(stored.manifest.get()).map_err(|e| e.to_string())?;
    Ok(manifest)
}
