//! The folder of log files, one for each generation of the head.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::record::FILE_HEADER;
use crate::objects::ASIDE;

/// The folder's name, and that of the folder in it where damaged files are kept.
pub(crate) const LOG: &str = "log";

/// The folder. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct LogFiles {
    folder: PathBuf,
    #[cfg(test)]
    pub(crate) faults: Option<std::sync::Arc<crate::faults::Faults>>,
}

/// A file that is open for writing.
pub(super) struct LogFile {
    file: File,
    #[cfg(test)]
    files: LogFiles,
}

impl LogFile {
    pub(super) fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        #[cfg(test)]
        if let Some(faults) = &self.files.faults {
            return faults.write(&mut self.file, bytes);
        }
        self.file.write_all(bytes)
    }

    pub(super) fn sync_data(&self) -> io::Result<()> {
        #[cfg(test)]
        return self.files.attempt(|| self.file.sync_data());
        #[cfg(not(test))]
        self.file.sync_data()
    }
}

impl LogFiles {
    /// Makes the folder where it is missing.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        sync_folder(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
            #[cfg(test)]
            faults: None,
        })
    }

    /// Does what a test may have fail.
    fn attempt<T>(&self, operation: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        #[cfg(test)]
        if let Some(faults) = &self.faults {
            return faults.attempt(operation);
        }
        operation()
    }

    fn open_file(&self, file: File) -> LogFile {
        LogFile {
            file,
            #[cfg(test)]
            files: self.clone(),
        }
    }

    fn path(&self, generation: u64) -> PathBuf {
        self.folder.join(format!("{generation:020}.log"))
    }

    /// The generations that have a file, in order.
    pub(crate) fn generations(&self) -> io::Result<Vec<u64>> {
        let mut generations = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(".log"));
            generations.extend(number.and_then(|number| number.parse::<u64>().ok()));
        }
        generations.sort_unstable();
        Ok(generations)
    }

    /// A new file with its header, which is on disk afterwards.
    pub(super) fn create(&self, generation: u64) -> io::Result<LogFile> {
        let create = || {
            let mut file = OpenOptions::new()
                .create(true)
                .write(true)
                .truncate(true)
                .open(self.path(generation))?;
            file.write_all(FILE_HEADER)?;
            file.sync_all()?;
            sync_folder(&self.folder)?;
            Ok(file)
        };
        self.attempt(create).map(|file| self.open_file(file))
    }

    /// A file that could not be written, cut to its whole records, to go on behind them.
    pub(super) fn reopen(&self, generation: u64, length: u64) -> io::Result<LogFile> {
        let reopen = || {
            let mut file = OpenOptions::new().write(true).open(self.path(generation))?;
            file.set_len(length)?;
            file.seek(SeekFrom::Start(length))?;
            Ok(file)
        };
        self.attempt(reopen).map(|file| self.open_file(file))
    }

    /// All bytes of a file.
    pub(crate) fn read(&self, generation: u64) -> io::Result<Vec<u8>> {
        fs::read(self.path(generation))
    }

    /// Keeps a file that is damaged, and what it held, beside the log: under the name that is given back. It stays in the
    /// log too.
    pub(crate) fn set_aside(&self, generation: u64) -> io::Result<PathBuf> {
        let folder = self.folder.join(ASIDE);
        fs::create_dir_all(&folder)?;
        let path = self.path(generation);
        let name = path.file_name().unwrap_or(path.as_os_str());
        let aside = folder.join(name);
        // Another name for the same bytes takes no room on a disk that may be full.
        match fs::hard_link(&path, &aside) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(_) => {
                fs::copy(&path, &aside)?;
                File::open(&aside)?.sync_all()?;
            }
        }
        sync_folder(&folder)?;
        sync_folder(&self.folder)?;
        Ok(Path::new(LOG).join(ASIDE).join(name))
    }

    /// Removes the file of a generation; that there is none is no error.
    pub(crate) fn remove(&self, generation: u64) -> io::Result<()> {
        match self.attempt(|| fs::remove_file(self.path(generation))) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }
}

/// Makes names that were added to a folder, or removed from it, durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
