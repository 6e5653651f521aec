//! Where a store's segments and manifests are: in its own folder, or in a bucket of storage that speaks S3. The folder
//! remembers which, and the bucket whose it is: two processes that both removed what only the other one knows would lose
//! spans.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::path::{Path as LocalPath, PathBuf};

use object_store::path::Path;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::log::{LOG, sync_folder};
use crate::objects::Objects;

/// The folder of segments and manifests, where they are local.
const DATA: &str = "data";
/// The file in which the folder remembers its bucket.
const REMEMBERED: &str = "segments.json";
/// The object in which a bucket remembers its folder.
const OWNER: &str = "owner";

/// Why segments cannot be where they should be.
#[derive(Debug, Error)]
pub enum PlaceError {
    /// The URL is none.
    #[error("`{url}` is no place for segments: {problem}; write s3://BUCKET or s3://BUCKET/PREFIX")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The bucket cannot be used.
    #[error(
        "segments cannot be kept at {url}; look at the name, and at AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID and \
         AWS_SECRET_ACCESS_KEY"
    )]
    Bucket {
        /// Where.
        url: String,
        /// Why.
        #[source]
        source: object_store::Error,
    },
    /// The folder's segments are elsewhere.
    #[error(
        "the segments of {folder} are {found}, not at {wanted}; take another folder, or leave them where they are"
    )]
    Elsewhere {
        /// The folder.
        folder: PathBuf,
        /// Where they are, in words.
        found: String,
        /// Where they were said to be.
        wanted: String,
    },
    /// The bucket has the segments of another folder.
    #[error(
        "the segments at {url} belong to another data folder; take another prefix. If that folder is lost for good, \
         remove the object `{OWNER}` there, and they belong to this one"
    )]
    Taken {
        /// Where.
        url: String,
    },
    /// The folder cannot be used.
    #[error("{path} cannot be read or written")]
    Local {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A bucket and what its objects' names begin with.
#[derive(Debug, PartialEq, Eq)]
struct Bucket {
    name: String,
    prefix: Path,
}

/// What a folder remembers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Remembered {
    /// Where its segments are.
    url: String,
    /// By which the bucket knows it.
    id: String,
}

/// Whether a folder is that of a store.
pub(crate) fn is_store(folder: &LocalPath) -> bool {
    folder.join(LOG).is_dir() && (folder.join(DATA).is_dir() || folder.join(REMEMBERED).is_file())
}

/// The objects of the store in a folder: at `url`, where the folder does not say otherwise; local, where neither says
/// anything.
pub(crate) async fn open(folder: &LocalPath, url: Option<&str>) -> Result<Objects, PlaceError> {
    let data = folder.join(DATA);
    let remembered = remembered(folder)?;
    let elsewhere = |found: String, wanted: &str| PlaceError::Elsewhere {
        folder: folder.to_owned(),
        found,
        wanted: wanted.to_owned(),
    };
    let (remembered, is_new) = match (remembered, url) {
        (None, None) => {
            let failed = |source| local(&data, source);
            return Objects::local(&data).map_err(failed);
        }
        (None, Some(url)) => {
            // What is wrong with it is said before anything is written.
            parse(url)?;
            if ["manifest", "segments"]
                .iter()
                .any(|has| data.join(has).exists())
            {
                return Err(elsewhere(format!("in {}", data.display()), url));
            }
            let id = format!("{:016x}{:016x}", random(), random());
            let url = url.to_owned();
            (Remembered { url, id }, true)
        }
        (Some(remembered), Some(url)) if parse(&remembered.url)? != parse(url)? => {
            return Err(elsewhere(format!("at {}", remembered.url), url));
        }
        (Some(remembered), _) => (remembered, false),
    };
    let bucket = parse(&remembered.url)?;
    let failed = |source| PlaceError::Bucket {
        url: remembered.url.clone(),
        source,
    };
    let objects = Objects::s3(&bucket.name, bucket.prefix).map_err(failed)?;
    if is_new {
        remember(folder, &remembered)?;
    }
    let claimed = match claim(&objects, &remembered.id).await {
        Ok(true) => Ok(objects),
        Ok(false) => Err(PlaceError::Taken {
            url: remembered.url.clone(),
        }),
        Err(error) => Err(failed(error)),
    };
    if claimed.is_err() && is_new {
        // Nothing was stored there: the next one may say another place.
        let path = folder.join(REMEMBERED);
        fs::remove_file(&path).map_err(|source| local(&path, source))?;
    }
    claimed
}

fn local(path: &LocalPath, source: io::Error) -> PlaceError {
    PlaceError::Local {
        path: path.to_owned(),
        source,
    }
}

fn parse(url: &str) -> Result<Bucket, PlaceError> {
    let wrong = |problem| PlaceError::Url {
        url: url.to_owned(),
        problem,
    };
    let rest = url
        .strip_prefix("s3://")
        .ok_or_else(|| wrong("it does not begin with s3://"))?;
    let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if name.is_empty() {
        return Err(wrong("it names no bucket"));
    }
    let is_right = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if !name.chars().all(is_right) {
        return Err(wrong(
            "the name of a bucket has only letters, digits, `-`, `.` and `_`",
        ));
    }
    let prefix = Path::parse(prefix)
        .map_err(|_| wrong("the prefix has empty parts, or characters that are not allowed"))?;
    Ok(Bucket {
        name: name.to_owned(),
        prefix,
    })
}

/// Whether the bucket is this folder's, from now on or as before.
async fn claim(objects: &Objects, id: &str) -> object_store::Result<bool> {
    let owner = Path::from(OWNER);
    match objects.create(&owner, id.to_owned().into()).await {
        Ok(()) => Ok(true),
        Err(object_store::Error::AlreadyExists { .. }) => Ok(objects.get(&owner).await? == id),
        Err(error) => Err(error),
    }
}

fn remembered(folder: &LocalPath) -> Result<Option<Remembered>, PlaceError> {
    let path = folder.join(REMEMBERED);
    match fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| local(&path, error.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(local(&path, error)),
    }
}

/// Whole and durable afterwards, or not there.
fn remember(folder: &LocalPath, remembered: &Remembered) -> Result<(), PlaceError> {
    let path = folder.join(REMEMBERED);
    let unfinished = path.with_extension("json.unfinished");
    let write = || {
        let mut file = fs::File::create(&unfinished)?;
        file.write_all(&serde_json::to_vec(remembered)?)?;
        file.sync_all()?;
        fs::rename(&unfinished, &path)?;
        sync_folder(folder)
    };
    write().map_err(|source| local(&path, source))
}

/// Something that no other folder has. The standard library seeds every such state from the operating system.
fn random() -> u64 {
    RandomState::new().hash_one(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let check = |url: &str, expected: Result<(&str, &str), &str>| {
            let found = parse(url).map_err(|error| error.to_string());
            let found = found.as_ref().map(|b| (&b.name[..], b.prefix.as_ref()));
            match expected {
                Ok(expected) => assert_eq!(found, Ok(expected)),
                Err(problem) => assert!(found.unwrap_err().contains(problem), "{url}: {found:?}"),
            }
        };
        check("s3://traces", Ok(("traces", "")));
        check("s3://traces/", Ok(("traces", "")));
        check("s3://my-traces.v2/a/b/", Ok(("my-traces.v2", "a/b")));
        check("s3:/traces", Err("does not begin with s3://"));
        check("http://traces", Err("does not begin with s3://"));
        check("s3://", Err("names no bucket"));
        check("s3:///prefix", Err("names no bucket"));
        check("s3://localhost:9000/traces", Err("the name of a bucket"));
        check("s3://traces/a//b", Err("the prefix has empty parts"));
    }

    #[tokio::test]
    async fn local_segments_stay_where_they_are() {
        let folder = tempfile::tempdir().unwrap();
        open(folder.path(), None).await.unwrap();
        fs::create_dir(folder.path().join("data/manifest")).unwrap();
        let error = open(folder.path(), Some("s3://traces")).await.unwrap_err();
        assert!(
            matches!(&error, PlaceError::Elsewhere { wanted, .. } if wanted == "s3://traces"),
            "{error:?}"
        );
        assert!(!folder.path().join(REMEMBERED).exists());
    }

    #[tokio::test]
    async fn a_folder_remembers_its_bucket_and_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let written = Remembered {
            url: "s3://traces/here".to_owned(),
            id: "1".to_owned(),
        };
        remember(folder.path(), &written).unwrap();
        assert_eq!(remembered(folder.path()).unwrap(), Some(written));
        let error = open(folder.path(), Some("s3://traces/there")).await;
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("are at s3://traces/here, not at s3://traces/there"),
            "{error}"
        );
    }
}
