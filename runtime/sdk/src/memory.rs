//! How much memory this process may use, and what it gives back of it.
//!
//! The limit is, in this order: `NOMAD_MEMORY_MAX_LIMIT`, then `NOMAD_MEMORY_LIMIT` (MiB); the limit of the control group, or of
//! one above it; the memory of the machine.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Duration;

use drover_core::config::Source;
use procfs::process::{MountInfos, Process};
use procfs::{Current, Meminfo, ProcessCGroups};

const MIB: u64 = 1 << 20;

/// Longer than free memory is kept, see `MIMALLOC_PURGE_DELAY`.
const KEPT_FOR: Duration = Duration::from_millis(100);
/// A block that the allocator has no other use for once it is free.
const BLOCK_BYTES: usize = 16 << 20;

/// Lets go of what loading a model took. The allocator looks for what has been free for a while when a large block
/// becomes free, and nothing does in an instance that has nothing to do.
pub(crate) async fn give_back() {
    tokio::time::sleep(KEPT_FOR).await;
    drop(black_box(Vec::<u8>::with_capacity(BLOCK_BYTES)));
}

/// Returns how much memory this process may use, in bytes; nothing if the kernel says nothing of itself.
pub(crate) fn limit_bytes(source: &dyn Source) -> Option<u64> {
    let machine = Meminfo::current().ok().map(|memory| memory.mem_total);
    let limit = promised(source).or_else(group);
    match (limit, machine) {
        (Some(limit), Some(machine)) => Some(limit.min(machine)),
        (limit, machine) => limit.or(machine),
    }
}

/// Returns the limit of the control group as it is now, in bytes; nothing if it is none for this machine.
pub(crate) fn group_limit_bytes() -> Option<u64> {
    let machine = Meminfo::current().ok()?.mem_total;
    group().filter(|limit| *limit < machine)
}

fn group() -> Option<u64> {
    let me = Process::myself().ok()?;
    of_group(&me.cgroups().ok()?, &me.mountinfo().ok()?, &|path| std::fs::read_to_string(path).ok())
}

/// Returns what Nomad promised.
fn promised(source: &dyn Source) -> Option<u64> {
    let mib = |key| source.get(key)?.trim().parse::<u64>().ok().filter(|mib| *mib > 0);
    mib("NOMAD_MEMORY_MAX_LIMIT").or_else(|| mib("NOMAD_MEMORY_LIMIT"))?.checked_mul(MIB)
}

/// Returns the least limit of the control group and those above it, of version 1 or 2.
fn of_group(groups: &ProcessCGroups, mounts: &MountInfos, read: &dyn Fn(&Path) -> Option<String>) -> Option<u64> {
    let one = groups.0.iter().find(|group| group.controllers.iter().any(|c| c == "memory"));
    let (group, file) = match one {
        Some(group) => (group, "memory.limit_in_bytes"),
        None => (groups.0.iter().find(|group| group.hierarchy == 0)?, "memory.max"),
    };
    let mount = mounts.0.iter().find(|mount| match one {
        Some(_) => mount.fs_type == "cgroup" && mount.super_options.contains_key("memory"),
        None => mount.fs_type == "cgroup2",
    })?;
    // In a container the mount shows only part of the tree; what lies outside cannot be read.
    let below = Path::new(&group.pathname).strip_prefix(&mount.root).unwrap_or(Path::new(""));
    let own: PathBuf = mount.mount_point.join(below);
    let above = own.ancestors().take_while(|dir| dir.starts_with(&mount.mount_point));
    above.filter_map(|dir| read(&dir.join(file))?.trim().parse().ok()).min()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use procfs::FromRead;

    use super::*;

    #[test]
    fn what_nomad_promised_counts_before_the_control_group() {
        let settings =
            |all: &[(&str, &str)]| all.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect::<BTreeMap<_, _>>();
        assert_eq!(promised(&settings(&[])), None);
        assert_eq!(promised(&settings(&[("NOMAD_MEMORY_LIMIT", "64")])), Some(64 << 20));
        let both = settings(&[("NOMAD_MEMORY_LIMIT", "64"), ("NOMAD_MEMORY_MAX_LIMIT", "128")]);
        assert_eq!(promised(&both), Some(128 << 20));
        assert_eq!(limit_bytes(&settings(&[("NOMAD_MEMORY_LIMIT", "64")])), Some(64 << 20));
    }

    #[test]
    fn the_least_limit_on_the_way_up_counts() {
        #[track_caller]
        fn check(cgroup: &str, mounts: &str, files: &[(&str, &str)], expected: Option<u64>) {
            let groups = ProcessCGroups::from_read(cgroup.as_bytes()).unwrap();
            let mounts = MountInfos::from_read(mounts.as_bytes()).unwrap();
            let read = |path: &Path| {
                files.iter().find(|(file, _)| path == Path::new(file)).map(|(_, text)| (*text).to_owned())
            };
            assert_eq!(of_group(&groups, &mounts, &read), expected);
        }
        let two = "30 25 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let (own, above) = ("/sys/fs/cgroup/a/b/memory.max", "/sys/fs/cgroup/a/memory.max");
        check("0::/a/b\n", two, &[(own, "max\n")], None);
        check("0::/a/b\n", two, &[(own, "max\n"), (above, "1000\n")], Some(1000));
        check("0::/a/b\n", two, &[(own, "500\n"), (above, "1000\n")], Some(500));
        let one = "35 30 0:31 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
        let own = "/sys/fs/cgroup/memory/a/memory.limit_in_bytes";
        check("4:memory:/a\n0::/x\n", one, &[(own, "700\n")], Some(700));
        check("4:memory:/a\n", two, &[], None);
    }
}
