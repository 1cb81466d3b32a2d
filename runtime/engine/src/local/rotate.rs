//! Log files that are rotated by size, named as Nomad names them: `task.stdout.0`, `task.stdout.1`, ...

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;

use crate::job::Logs;

/// Writes to numbered files and keeps the newest ones.
#[derive(Debug)]
pub(crate) struct RotatingFile {
    dir: PathBuf,
    stem: String,
    limits: Logs,
    number: u64,
    n_bytes: u64,
    file: File,
}

impl RotatingFile {
    /// Opens `dir/stem.0`.
    pub(crate) fn open(dir: PathBuf, stem: String, limits: Logs) -> io::Result<Self> {
        fs::create_dir_all(&dir)?;
        let file = open(&dir.join(format!("{stem}.0")))?;
        let n_bytes = file.metadata()?.len();
        Ok(Self { dir, stem, limits, number: 0, n_bytes, file })
    }

    /// Writes one line; begins the next file first if the line would make this one too large.
    pub(crate) fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        let n_bytes = line.len() as u64 + 1;
        if self.n_bytes > 0 && self.n_bytes + n_bytes > self.limits.max_file_bytes {
            self.rotate()?;
        }
        self.n_bytes += n_bytes;
        self.file.write_all(&[line, b"\n"].concat())
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.number += 1;
        self.file = open(&self.dir.join(format!("{}.{}", self.stem, self.number)))?;
        self.n_bytes = 0;
        if let Some(oldest) = self.number.checked_sub(u64::from(self.limits.max_files)) {
            let _already_gone = fs::remove_file(self.dir.join(format!("{}.{oldest}", self.stem)));
        }
        Ok(())
    }
}

fn open(path: &std::path::Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_files_are_kept_and_none_is_too_large() {
        let dir = tempfile::tempdir().unwrap();
        let limits = Logs { max_files: 2, max_file_bytes: 25 };
        let mut file = RotatingFile::open(dir.path().into(), "t.stdout".into(), limits).unwrap();
        for n in 0..9 {
            file.write_line(format!("line {n:04}").as_bytes()).unwrap();
        }
        let mut names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["t.stdout.3", "t.stdout.4"]);
        assert_eq!(fs::read_to_string(dir.path().join("t.stdout.3")).unwrap(), "line 0006\nline 0007\n");
        assert_eq!(fs::read_to_string(dir.path().join("t.stdout.4")).unwrap(), "line 0008\n");
    }
}
