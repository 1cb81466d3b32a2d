//! The files that a run reads: those of this machine, or those that a master has sent.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use crate::fleet::FILES_BYTES_MAX;

/// Where files come from.
#[derive(Debug, Default)]
pub enum Files {
    /// This machine.
    #[default]
    Here,
    /// This machine; what is read is kept for workers.
    Kept(Mutex<BTreeMap<PathBuf, Bytes>>),
    /// A master: these, and no others.
    Given(BTreeMap<PathBuf, Bytes>),
}

static HERE: Files = Files::Here;

impl Default for &Files {
    fn default() -> Self {
        &HERE
    }
}

impl Files {
    /// Returns the content of a file.
    ///
    /// # Errors
    /// It cannot be read, or those that are kept are more than [`FILES_BYTES_MAX`].
    pub fn read(&self, file: &Path) -> io::Result<Bytes> {
        match self {
            Self::Here => std::fs::read(file).map(Bytes::from),
            Self::Given(files) => {
                let content = files.get(file).cloned();
                content.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the master has not sent this file"))
            }
            Self::Kept(files) => {
                let content = Bytes::from(std::fs::read(file)?);
                let mut files = files.lock().unwrap_or_else(PoisonError::into_inner);
                files.insert(file.to_owned(), content.clone());
                let bytes: usize = files.values().map(Bytes::len).sum();
                if bytes > FILES_BYTES_MAX {
                    let why = format!("workers would be sent {bytes} bytes of files, limit is {FILES_BYTES_MAX}");
                    return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
                }
                Ok(content)
            }
        }
    }

    /// Returns the content of a file that holds text.
    ///
    /// # Errors
    /// As [`Files::read`], and that it is no UTF-8.
    pub fn text(&self, file: &Path) -> io::Result<String> {
        let content = self.read(file)?.to_vec();
        String::from_utf8(content).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e.utf8_error()))
    }

    /// Returns what was kept, or given.
    #[must_use]
    pub fn into_map(self) -> BTreeMap<PathBuf, Bytes> {
        match self {
            Self::Here => BTreeMap::new(),
            Self::Kept(files) => files.into_inner().unwrap_or_else(PoisonError::into_inner),
            Self::Given(files) => files,
        }
    }
}
