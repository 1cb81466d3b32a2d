//! Notices that files have changed, without asking the kernel to tell: a poll works on every file
//! system, and through the renames by which Nomad, Consul and editors replace a file.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often files are looked at.
pub(crate) const POLL: Duration = Duration::from_secs(2);

/// Files, and how they were when they were last read.
#[derive(Debug)]
pub(crate) struct Watched {
    files: Vec<PathBuf>,
    seen: Vec<Option<Stamp>>,
}

/// What differs between two contents of a file, as far as a look at its entry can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    len: u64,
    seconds: i64,
    nanoseconds: i64,
}

impl Watched {
    /// Remembers how `files` are now; what is read after this call is not older.
    pub(crate) fn new<'p>(files: impl IntoIterator<Item = &'p Path>) -> Self {
        let files: Vec<PathBuf> = files.into_iter().map(Path::to_owned).collect();
        let seen = files.iter().map(|file| stamp(file)).collect();
        Self { files, seen }
    }

    /// Returns whether any file differs from the last look, also if it came or went.
    pub(crate) fn has_changed(&mut self) -> bool {
        let now: Vec<_> = self.files.iter().map(|file| stamp(file)).collect();
        let changed = now != self.seen;
        self.seen = now;
        changed
    }
}

fn stamp(file: &Path) -> Option<Stamp> {
    let entry = std::fs::metadata(file).ok()?;
    Some(Stamp { inode: entry.ino(), len: entry.len(), seconds: entry.mtime(), nanoseconds: entry.mtime_nsec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_replaced_written_or_removed_has_changed() {
        let dir = tempfile::TempDir::new().unwrap();
        let (file, other) = (dir.path().join("a"), dir.path().join("b"));
        let mut watched = Watched::new([file.as_path()]);
        assert!(!watched.has_changed());
        std::fs::write(&file, "1").unwrap();
        assert!(watched.has_changed());
        assert!(!watched.has_changed());
        std::fs::write(&other, "2").unwrap();
        std::fs::rename(&other, &file).unwrap();
        assert!(watched.has_changed());
        std::fs::write(&file, "22").unwrap();
        assert!(watched.has_changed());
        std::fs::remove_file(&file).unwrap();
        assert!(watched.has_changed());
    }
}
