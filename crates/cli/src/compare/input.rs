//! From the paths that were typed to the files they stand for, and from a file to its decompressed bytes.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use tracediff_wire::Compression;

use crate::stored::StoredSpans;

/// Where something to read is.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    Stdin,
    File(PathBuf),
    /// Spans that start in a window, in a span store.
    Store(StoredSpans),
}

/// Something to read.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) place: Place,
    /// Whether it was found in a folder rather than named: then it may be something else than traces.
    pub(crate) is_from_folder: bool,
}

impl Source {
    fn file(path: PathBuf, is_from_folder: bool) -> Self {
        Self {
            place: Place::File(path),
            is_from_folder,
        }
    }

    /// The name that messages use.
    pub(crate) fn name(&self) -> String {
        match &self.place {
            Place::Stdin => "standard input".to_owned(),
            Place::File(path) => path.display().to_string(),
            Place::Store(spans) => spans.name().to_owned(),
        }
    }

    /// Bytes on disk, before decompression; 0 where that is not known.
    pub(crate) fn stored_bytes(&self) -> u64 {
        match &self.place {
            Place::File(path) => std::fs::metadata(path).map_or(0, |data| data.len()),
            Place::Stdin | Place::Store(_) => 0,
        }
    }

    /// Whether it can be opened twice and holds the same again: not so standard input and other pipes.
    pub(crate) fn can_be_read_again(&self) -> bool {
        match &self.place {
            Place::Stdin => false,
            Place::File(path) => path.is_file(),
            Place::Store(_) => true,
        }
    }

    /// The decompressed bytes; errors do not repeat the name. `on_read` is told how many stored bytes were read.
    pub(crate) fn open<'a>(
        &self,
        on_read: impl Fn(u64) + 'a,
    ) -> anyhow::Result<Box<dyn Read + 'a>> {
        let stored: Box<dyn Read> = match &self.place {
            Place::Stdin => Box::new(io::stdin().lock()),
            Place::File(path) => Box::new(File::open(path).context("could not open it")?),
            Place::Store(spans) => spans.open()?,
        };
        let mut stored = BufReader::with_capacity(1 << 18, Counted { stored, on_read });
        let prefix = stored.fill_buf().context("could not read it")?;
        Ok(match Compression::detect(prefix) {
            Some(Compression::Gzip) => Box::new(flate2::bufread::MultiGzDecoder::new(stored)),
            Some(Compression::Zstd) => Box::new(zstd::stream::read::Decoder::with_buffer(stored)?),
            None => Box::new(stored),
        })
    }
}

struct Counted<F> {
    stored: Box<dyn Read>,
    on_read: F,
}

impl<F: Fn(u64)> Read for Counted<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.stored.read(buffer)?;
        (self.on_read)(count as u64);
        Ok(count)
    }
}

/// The files that these paths stand for, in order of their names, each once.
pub(crate) fn expand(paths: &[String]) -> anyhow::Result<Vec<Source>> {
    let mut sources = Vec::new();
    for text in paths {
        if text == "-" {
            sources.push(Source {
                place: Place::Stdin,
                is_from_folder: false,
            });
            continue;
        }
        let path = Path::new(text);
        if path.is_dir() {
            let before = sources.len();
            add_folder(path, &mut HashSet::new(), &mut sources)?;
            if sources.len() == before {
                bail!("the folder `{text}` holds no files");
            }
        } else if path.exists() {
            sources.push(Source::file(path.to_owned(), false));
        } else {
            add_glob(text, &mut sources)?;
        }
    }
    let mut seen = HashSet::new();
    sources.retain(|source| match &source.place {
        Place::File(path) => seen.insert(Some(path.clone())),
        Place::Stdin | Place::Store(_) => seen.insert(None),
    });
    Ok(sources)
}

/// Adds the files of a folder and of the folders in it. `entered` are those that were listed: links may lead in circles.
fn add_folder(
    folder: &Path,
    entered: &mut HashSet<PathBuf>,
    sources: &mut Vec<Source>,
) -> anyhow::Result<()> {
    let list = || -> io::Result<(PathBuf, Vec<PathBuf>)> {
        let entries = std::fs::read_dir(folder)?;
        let paths: io::Result<_> = entries.map(|entry| Ok(entry?.path())).collect();
        Ok((folder.canonicalize()?, paths?))
    };
    let (place, mut paths) =
        list().with_context(|| format!("could not list the folder `{}`", folder.display()))?;
    if !entered.insert(place) {
        return Ok(());
    }
    paths.sort();
    for path in paths {
        let is_hidden = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if is_hidden {
            continue;
        }
        if path.is_dir() {
            add_folder(&path, entered, sources)?;
        } else if path.is_file() || !path.exists() {
            // Pipes and sockets are no files; a broken link is told when it is opened.
            sources.push(Source::file(path, true));
        }
    }
    Ok(())
}

fn add_glob(pattern: &str, sources: &mut Vec<Source>) -> anyhow::Result<()> {
    if !pattern.contains(['*', '?', '[']) {
        bail!(
            "`{pattern}` does not exist; name a file, a folder, a quoted glob such as 'traces/*.jsonl', or -"
        );
    }
    let options = glob::MatchOptions {
        require_literal_leading_dot: true,
        ..glob::MatchOptions::new()
    };
    let paths = glob::glob_with(pattern, options)
        .with_context(|| format!("`{pattern}` is not a valid glob"))?;
    let before = sources.len();
    for path in paths {
        let path = path.context("could not read a folder of the glob")?;
        if path.is_file() {
            sources.push(Source::file(path, false));
        }
    }
    if sources.len() == before {
        bail!("no file matches `{pattern}`");
    }
    Ok(())
}
