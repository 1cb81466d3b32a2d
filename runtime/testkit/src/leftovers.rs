//! What an agent leaves behind that ends while it is still stopping a task.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// The data directory of an agent that has ended; when dropped, no task of it runs any more, nothing
/// is mounted in it, and its control groups are gone.
#[derive(Debug)]
pub(crate) struct Leftovers(pub(crate) PathBuf);

impl Drop for Leftovers {
    fn drop(&mut self) {
        let allocations = names(&self.0.join("alloc"));
        let limit = Instant::now() + Duration::from_secs(5);
        loop {
            let processes = processes_of(&self.0, &allocations);
            if processes.is_empty() || Instant::now() > limit {
                break;
            }
            let _ = Command::new("kill").arg("-9").args(&processes).status();
            std::thread::sleep(Duration::from_millis(50));
        }
        for place in mounts_below(&self.0) {
            let _ = Command::new("umount").arg(place).status();
        }
        for tree in names(Path::new("/sys/fs/cgroup")) {
            let groups = Path::new("/sys/fs/cgroup").join(tree).join("nomad");
            let left = names(&groups).into_iter().filter(|name| allocations.iter().any(|id| name.contains(id)));
            left.for_each(|name| drop(std::fs::remove_dir(groups.join(name))));
        }
    }
}

/// Returns the ids of the processes in a control group of one of `allocations`, and of the agent's
/// helpers: they are told of `dir`, or have a file in it open.
fn processes_of(dir: &Path, allocations: &[String]) -> Vec<String> {
    let dir_name = dir.display().to_string();
    let of_them = |process: &String| {
        let process = Path::new("/proc").join(process);
        let text = |file| String::from_utf8_lossy(&std::fs::read(process.join(file)).unwrap_or_default()).into_owned();
        let groups = text("cgroup");
        let files = process.join("fd");
        let has_open = || names(&files).iter().any(|n| files.join(n).read_link().is_ok_and(|to| to.starts_with(dir)));
        allocations.iter().any(|id| groups.contains(id)) || text("cmdline").contains(&dir_name) || has_open()
    };
    let own = std::process::id().to_string();
    let processes = names(Path::new("/proc")).into_iter().filter(|name| name.bytes().all(|b| b.is_ascii_digit()));
    processes.filter(|process| *process != own).filter(of_them).collect()
}

/// Returns what is mounted below `dir`, the innermost first.
fn mounts_below(dir: &Path) -> Vec<PathBuf> {
    let table = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let places = table.lines().filter_map(|line| line.split(' ').nth(1)).map(PathBuf::from);
    let mut below: Vec<_> = places.filter(|place| place.starts_with(dir)).collect();
    below.sort();
    below.reverse();
    below
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}
