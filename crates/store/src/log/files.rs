//! The folder of log files, one for each generation of the head.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::record::FILE_HEADER;

/// The folder. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct LogFiles {
    folder: PathBuf,
}

impl LogFiles {
    /// Makes the folder where it is missing.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        sync_folder(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
        })
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
    pub(super) fn create(&self, generation: u64) -> io::Result<File> {
        let mut file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .open(self.path(generation))?;
        file.write_all(FILE_HEADER)?;
        file.sync_all()?;
        sync_folder(&self.folder)?;
        Ok(file)
    }

    /// A file that could not be written, cut to its whole records, to go on behind them.
    pub(super) fn reopen(&self, generation: u64, length: u64) -> io::Result<File> {
        let mut file = OpenOptions::new().write(true).open(self.path(generation))?;
        file.set_len(length)?;
        file.seek(SeekFrom::Start(length))?;
        Ok(file)
    }

    /// All bytes of a file.
    pub(crate) fn read(&self, generation: u64) -> io::Result<Vec<u8>> {
        fs::read(self.path(generation))
    }

    /// Removes the file of a generation; that there is none is no error.
    pub(crate) fn remove(&self, generation: u64) -> io::Result<()> {
        match fs::remove_file(self.path(generation)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }
}

/// Makes names that were added to a folder, or removed from it, durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
