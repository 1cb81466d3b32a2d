//! Where ONNX Runtime's shared library is.
//!
//! In this order: what `ORT_DYLIB_PATH` names; a `libonnxruntime.so*` beside the running binary;
//! the cache (`DROVER_CACHE_DIR`, else `$XDG_CACHE_HOME/drover`, else `~/.cache/drover`, else a
//! private directory below the temporary one), which is filled once from PyPI with pip.

use std::io;
use std::path::{Path, PathBuf};

use drover_core::config::Source;

use self::fetch::{ARCH, Fetch, Wheel};

mod fetch;

/// The version of ONNX Runtime that is fetched.
pub const ONNXRUNTIME_VERSION: &str = "1.31.1";

/// The settings that are read here.
pub const SETTINGS: [&str; 1] = ["DROVER_CACHE_DIR"];

/// The library's name in the cache.
const LIBRARY: &str = "libonnxruntime.so";

/// What helps if the library cannot be fetched.
const REMEDY: &str = "install what is missing, or set ORT_DYLIB_PATH to a libonnxruntime.so of version 1.24 or later";

/// Why there is no ONNX Runtime.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// `ORT_DYLIB_PATH` names a file that is not there.
    #[error("ORT_DYLIB_PATH is {path}, which is no file: correct it, or unset it to have ONNX Runtime fetched", path = .0.display())]
    NotThere(PathBuf),
    /// It cannot be loaded.
    #[error("cannot load ONNX Runtime from {path}: {why}; set ORT_DYLIB_PATH to a libonnxruntime.so of version 1.24 or later", path = .path.display())]
    Load {
        /// The library.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
    /// There is no wheel for this machine.
    #[error("onnxruntime {ONNXRUNTIME_VERSION} is fetched for Linux on x86_64 and aarch64, not for {os} on {ARCH}: set ORT_DYLIB_PATH to a libonnxruntime.so of version 1.24 or later", os = std::env::consts::OS)]
    NoWheel,
    /// The cache cannot be used.
    #[error("cannot {action} {path}: {source}; set DROVER_CACHE_DIR to a directory that can be written, or ORT_DYLIB_PATH to a libonnxruntime.so", path = .path.display())]
    Cache {
        /// What was tried.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// pip is not there, or failed.
    #[error("cannot fetch onnxruntime {ONNXRUNTIME_VERSION}: {why}; {REMEDY}")]
    Pip {
        /// What pip says.
        why: String,
    },
    /// What pip fetched is not what is pinned.
    #[error(
        "{file} has sha256 {found}, expected {expected}: refused; check the package index that pip uses, or set ORT_DYLIB_PATH"
    )]
    Checksum {
        /// The wheel.
        file: String,
        /// The pinned sum.
        expected: &'static str,
        /// The sum of the file.
        found: String,
    },
    /// The wheel cannot be unpacked.
    #[error("cannot unpack {file}: {why}; {REMEDY}")]
    Unpack {
        /// The wheel.
        file: String,
        /// What is wrong with it.
        why: String,
    },
}

/// Finds the library where it may already be.
///
/// # Errors
/// [`LibraryError::NotThere`] if `ORT_DYLIB_PATH` leads nowhere; [`LibraryError::Cache`] if the
/// temporary directory would have to serve as cache and belongs to someone else.
pub fn find(source: &dyn Source) -> Result<Option<PathBuf>, LibraryError> {
    let exe = std::env::current_exe().ok();
    find_beside(source, exe.as_deref().and_then(Path::parent))
}

/// Finds the library, fetching it into the cache if it is nowhere. Several processes at once fetch
/// it once: the others wait.
///
/// # Errors
/// [`LibraryError`] if it can neither be found nor fetched.
pub fn find_or_fetch(source: &dyn Source) -> Result<PathBuf, LibraryError> {
    match find(source)? {
        Some(path) => Ok(path),
        None => Fetch::new(cache_dir(source)?, Wheel::of_this_machine()?).run(),
    }
}

fn find_beside(source: &dyn Source, binaries: Option<&Path>) -> Result<Option<PathBuf>, LibraryError> {
    if let Some(named) = setting(source, "ORT_DYLIB_PATH") {
        // A bare name is for the dynamic loader to find.
        let bare = named.components().count() == 1 && !named.is_file();
        return if bare || named.is_file() { Ok(Some(named)) } else { Err(LibraryError::NotThere(named)) };
    }
    if let Some(beside) = binaries.and_then(library_in) {
        return Ok(Some(beside));
    }
    Ok(Some(cached(&cache_dir(source)?)).filter(|path| path.is_file()))
}

/// Returns `libonnxruntime.so` in `dir`, else the one with the highest version in its name.
fn library_in(dir: &Path) -> Option<PathBuf> {
    let plain = dir.join(LIBRARY);
    if plain.is_file() {
        return Some(plain);
    }
    let version = |path: &Path| -> Option<Vec<u32>> {
        let rest = path.file_name()?.to_str()?.strip_prefix(LIBRARY)?.strip_prefix('.')?;
        rest.split('.').map(|part| part.parse().ok()).collect()
    };
    let files = std::fs::read_dir(dir).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    files.filter_map(|path| Some((version(&path)?, path))).max().map(|(_, path)| path)
}

/// Returns the library's path in the cache.
fn cached(cache: &Path) -> PathBuf {
    cache.join(format!("onnxruntime-{ONNXRUNTIME_VERSION}-{ARCH}")).join(LIBRARY)
}

/// Returns the cache's directory, which may not exist.
fn cache_dir(source: &dyn Source) -> Result<PathBuf, LibraryError> {
    if let Some(dir) = setting(source, "DROVER_CACHE_DIR") {
        return Ok(dir);
    }
    if let Some(dir) = setting(source, "XDG_CACHE_HOME").filter(|dir| dir.is_absolute()) {
        return Ok(dir.join("drover"));
    }
    if let Some(home) = setting(source, "HOME").filter(|dir| dir.is_absolute()) {
        return Ok(home.join(".cache/drover"));
    }
    private_temp_dir(&setting(source, "TMPDIR").unwrap_or_else(|| "/tmp".into()))
}

/// Returns a directory below `temp` that is ours alone: others can write there too, and a library
/// of theirs must not be loaded.
fn private_temp_dir(temp: &Path) -> Result<PathBuf, LibraryError> {
    use std::os::unix::fs::{DirBuilderExt, MetadataExt};

    let failed = |action, path: &Path, source| LibraryError::Cache { action, path: path.into(), source };
    let me = Path::new("/proc/self");
    let uid = me.metadata().map_err(|e| failed("read", me, e))?.uid();
    let dir = temp.join(format!("drover-{uid}"));
    match std::fs::DirBuilder::new().mode(0o700).create(&dir) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(failed("create", &dir, e)),
        Ok(()) | Err(_) => {}
    }
    let found = dir.symlink_metadata().map_err(|e| failed("read", &dir, e))?;
    if found.is_dir() && found.uid() == uid && found.mode() & 0o022 == 0 {
        Ok(dir)
    } else {
        Err(failed("trust", &dir, io::Error::other("it is not a directory that belongs to this user alone")))
    }
}

fn setting(source: &dyn Source, key: &str) -> Option<PathBuf> {
    source.get(key).filter(|value| !value.is_empty()).map(PathBuf::from)
}

#[cfg(test)]
mod tests;
