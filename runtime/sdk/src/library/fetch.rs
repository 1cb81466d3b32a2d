//! Fetches ONNX Runtime's shared library: the wheel with pip, checked, unpacked, moved into place.

use std::fs::{self, File, TryLockError};
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{LIBRARY, LibraryError, ONNXRUNTIME_VERSION, cached};
use crate::model::sha256_of;

/// The architecture of this machine, as the platform of a wheel says it.
pub(super) const ARCH: &str = std::env::consts::ARCH;

/// The wheel that holds the library. Which Python it is for does not matter: the library is the
/// same in all of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wheel {
    pub(super) platform: &'static str,
    pub(super) sha256: &'static str,
}

const PYTHON_VERSION: &str = "3.12";
const ABI: &str = "cp312";

const X86_64: Wheel = Wheel {
    platform: "manylinux_2_28_x86_64",
    sha256: "1f3dea47f2f0e5117c2404cea7d21fd253ae7836a3bf167a501cdfbb2600d536",
};
const AARCH64: Wheel = Wheel {
    platform: "manylinux_2_28_aarch64",
    sha256: "0b9a492176886992e0e875f06bc0367e333f5fff11711a2d642e18b02f3009cc",
};

/// What else is kept of the wheel: the library's licence asks for it.
const NOTICES: [&str; 2] = ["LICENSE", "ThirdPartyNotices.txt"];

/// One fetch into a cache.
pub(super) struct Fetch {
    cache: PathBuf,
    wheel: Wheel,
    python: PathBuf,
}

impl Wheel {
    pub(super) fn of_this_machine() -> Result<Self, LibraryError> {
        match (std::env::consts::OS, ARCH) {
            ("linux", "x86_64") => Ok(X86_64),
            ("linux", "aarch64") => Ok(AARCH64),
            _ => Err(LibraryError::NoWheel),
        }
    }

    fn file(&self) -> String {
        format!("onnxruntime-{ONNXRUNTIME_VERSION}-{ABI}-{ABI}-{}.whl", self.platform)
    }
}

impl Fetch {
    pub(super) fn new(cache: PathBuf, wheel: Wheel) -> Self {
        Self { cache, wheel, python: "python3".into() }
    }

    #[cfg(test)]
    pub(super) fn with_python(self, python: PathBuf) -> Self {
        Self { python, ..self }
    }

    /// Returns the library in the cache; fetches it if no other process does so meanwhile.
    pub(super) fn run(&self) -> Result<PathBuf, LibraryError> {
        let library = cached(&self.cache);
        let place = library.parent().unwrap_or(&self.cache);
        fs::create_dir_all(&self.cache).map_err(cache_error("create", &self.cache))?;
        let _lock = self.lock(&place.with_added_extension("lock"))?;
        if library.is_file() {
            return Ok(library);
        }
        // Only the holder of the lock uses this directory: what lies there was left by one that died.
        let part = place.with_added_extension("part");
        remove(&part)?;
        fs::create_dir(&part).map_err(cache_error("create", &part))?;
        let fetched = self.download(&part).and_then(|wheel| self.unpack(&wheel, &part)).and_then(|()| {
            remove(place)?;
            fs::rename(&part, place).map_err(cache_error("create", place))
        });
        if fetched.is_err() {
            remove(&part)?;
        }
        fetched.map(|()| {
            tracing::info!(path = %library.display(), "ONNX Runtime is in the cache");
            library
        })
    }

    /// Returns the lock; it ends with the file.
    fn lock(&self, path: &Path) -> Result<File, LibraryError> {
        let file = File::create(path).map_err(cache_error("create", path))?;
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => tracing::info!("another process fetches ONNX Runtime: waiting for it"),
            Err(TryLockError::Error(e)) => return Err(cache_error("lock", path)(e)),
        }
        file.lock().map_err(cache_error("lock", path))?;
        Ok(file)
    }

    /// Runs pip; returns the wheel, whose checksum is the pinned one.
    fn download(&self, dir: &Path) -> Result<PathBuf, LibraryError> {
        let terminal = io::stderr().is_terminal();
        tracing::info!(version = ONNXRUNTIME_VERSION, "fetching ONNX Runtime with pip (24 MB, once)");
        let output = Command::new(&self.python)
            .args(["-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"])
            .args(["--disable-pip-version-check", "--implementation", "cp", "--python-version", PYTHON_VERSION])
            .args(["--abi", ABI, "--platform", self.wheel.platform, "--dest"])
            .arg(dir)
            .args(["--progress-bar", if terminal { "on" } else { "off" }])
            .arg(format!("onnxruntime=={ONNXRUNTIME_VERSION}"))
            .stdin(Stdio::null())
            // pip draws its bar on standard output: ours belongs to the function.
            .stdout(if terminal { Stdio::from(io::stderr()) } else { Stdio::null() })
            .stderr(Stdio::piped())
            .output()
            .map_err(|e| self.no_python(&e))?;
        if !output.status.success() {
            return Err(LibraryError::Pip { why: what_pip_says(&String::from_utf8_lossy(&output.stderr)) });
        }
        let wheel = dir.join(self.wheel.file());
        let found = sha256_of(&wheel).map_err(cache_error("read", &wheel))?;
        if found == self.wheel.sha256 {
            Ok(wheel)
        } else {
            Err(LibraryError::Checksum { file: self.wheel.file(), expected: self.wheel.sha256, found })
        }
    }

    fn no_python(&self, error: &io::Error) -> LibraryError {
        LibraryError::Pip { why: format!("`{} -m pip` does not start: {error}", self.python.display()) }
    }

    /// Unpacks the library and its notices into `dir`, and removes the wheel.
    fn unpack(&self, wheel: &Path, dir: &Path) -> Result<(), LibraryError> {
        let failed = |why: String| LibraryError::Unpack { file: self.wheel.file(), why };
        let file = File::open(wheel).map_err(cache_error("read", wheel))?;
        let mut archive = zip::ZipArchive::new(file).map_err(|e| failed(e.to_string()))?;
        let library = format!("onnxruntime/capi/{LIBRARY}.{ONNXRUNTIME_VERSION}");
        let notices = NOTICES.map(|name| (format!("onnxruntime/{name}"), name));
        for (inside, name) in notices.into_iter().chain([(library, LIBRARY)]) {
            let mut entry = archive.by_name(&inside).map_err(|e| failed(format!("{inside}: {e}")))?;
            let path = dir.join(name);
            let mut out = File::create(&path).map_err(cache_error("create", &path))?;
            io::copy(&mut entry, &mut out).map_err(|e| failed(format!("{inside}: {e}")))?;
            out.sync_all().map_err(cache_error("write", &path))?;
        }
        fs::remove_file(wheel).map_err(cache_error("remove", wheel))
    }
}

/// Returns pip's own error lines, or all that it said.
fn what_pip_says(stderr: &str) -> String {
    if stderr.contains("No module named pip") {
        return "python3 has no pip (Debian: apt install python3-pip)".into();
    }
    if stderr.contains("from versions: none") {
        return "pip reached no package index that has it (is there a network, a proxy, an index to set?)".into();
    }
    let errors: Vec<_> = stderr.lines().filter_map(|line| line.strip_prefix("ERROR: ")).collect();
    if errors.is_empty() { format!("pip says: {}", stderr.trim()) } else { format!("pip says: {}", errors.join(" / ")) }
}

fn remove(dir: &Path) -> Result<(), LibraryError> {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(cache_error("remove", dir)(e)),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn cache_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LibraryError + use<> {
    let path = path.to_path_buf();
    move |source| LibraryError::Cache { action, path, source }
}
