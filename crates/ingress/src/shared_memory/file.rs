//! A file that is memory: opened once by its name, read and written at places, never mapped.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use bytes::Bytes;
use tidegate_inference::{Error, Result};

#[derive(Debug)]
pub struct MemoryFile(File);

impl MemoryFile {
    /// The memory of this key, as `shm_open` knows it: a file in the directory itself, no link.
    ///
    /// # Errors
    /// What is no name of a file there, or is something else than a plain file.
    pub fn open(directory: &Path, key: &str) -> Result<Self> {
        let name = key.strip_prefix('/').unwrap_or(key);
        if name.is_empty() || matches!(name, "." | "..") || name.contains(['/', '\0']) {
            let shown: String = key.chars().take(64).collect();
            return Err(Error::invalid(format!(
                "key '{}': expected the name of a file in the server's shared memory directory",
                shown.escape_default()
            )));
        }
        let failed = |problem: &dyn std::fmt::Display| {
            Error::invalid(format!("key '{key:.64}': cannot be opened: {problem}"))
        };
        let file = open(&directory.join(name)).map_err(|error| failed(&error))?;
        match file.metadata() {
            Ok(metadata) if metadata.is_file() => Ok(Self(file)),
            Ok(_) => Err(failed(&"it is not a plain file")),
            Err(error) => Err(failed(&error)),
        }
    }

    /// # Errors
    /// When so many bytes from there on are not there.
    pub fn check(&self, offset: usize, byte_size: usize) -> Result<()> {
        let length = self.length()?;
        match offset.checked_add(byte_size).filter(|end| *end as u64 <= length) {
            Some(_) => Ok(()),
            None => Err(Error::invalid(format!(
                "it needs {} bytes, there are {length}",
                offset.saturating_add(byte_size)
            ))),
        }
    }

    /// # Errors
    /// When they are not there any more.
    pub fn read(&self, offset: usize, byte_size: usize) -> Result<Bytes> {
        self.still_there(offset, byte_size)?;
        let mut bytes = vec![0; byte_size];
        self.0.read_exact_at(&mut bytes, offset as u64).map_err(|error| unusable(&error))?;
        Ok(bytes.into())
    }

    /// # Errors
    /// When there is no place for them any more.
    pub fn write(&self, offset: usize, bytes: &[u8]) -> Result<()> {
        self.still_there(offset, bytes.len())?;
        self.0.write_all_at(bytes, offset as u64).map_err(|error| unusable(&error))
    }

    fn still_there(&self, offset: usize, byte_size: usize) -> Result<()> {
        let length = self.length()?;
        if (offset + byte_size) as u64 > length {
            return Err(Error::invalid(format!(
                "the memory has shrunk: bytes {offset} to {} are needed, and {length} are left",
                offset + byte_size
            )));
        }
        Ok(())
    }

    fn length(&self) -> Result<u64> {
        let metadata = self.0.metadata().map_err(|error| unusable(&error))?;
        if metadata.nlink() == 0 {
            return Err(Error::invalid("the memory no longer exists"));
        }
        Ok(metadata.len())
    }
}

/// For reading and writing, or for reading alone: inputs need no more.
fn open(path: &Path) -> io::Result<File> {
    let options = |write| {
        // A link would lead out of the directory, and a pipe would make us wait.
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        OpenOptions::new().read(true).write(write).custom_flags(flags).open(path)
    };
    match options(true) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => options(false),
        opened => opened,
    }
}

fn unusable(error: &io::Error) -> Error {
    Error::invalid(format!("the memory cannot be used: {error}"))
}
