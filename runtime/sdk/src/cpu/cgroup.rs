//! The control group in which this process's CPU time is counted, of version 1 or 2.

use std::path::{Path, PathBuf};

use procfs::ProcessCGroups;
use procfs::process::{MountInfos, Process};

/// The time over which a quota is counted, µs. A tenth of the usual 100 ms: an instance of a quarter
/// of a core that has used its share then stands still for 7 ms, not for 75.
const PERIOD_US: u32 = 10_000;

/// The smallest quota that the kernel takes, µs.
const QUOTA_MIN_US: f64 = 1000.0;

/// A control group for CPU time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CpuGroup {
    version: Version,
    /// The group's directory.
    own: PathBuf,
    /// The directory of the highest group that can be seen.
    top: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

impl CpuGroup {
    pub(super) fn of_this_process() -> Option<Self> {
        let me = Process::myself().ok()?;
        Self::locate(&me.cgroups().ok()?, &me.mountinfo().ok()?)
    }

    /// Finds the group among what `/proc/self/cgroup` and `/proc/self/mountinfo` say.
    pub(super) fn locate(groups: &ProcessCGroups, mounts: &MountInfos) -> Option<Self> {
        let one = groups.0.iter().find(|group| group.controllers.iter().any(|c| c == "cpu"));
        let (version, group) = match one {
            Some(group) => (Version::One, group),
            None => (Version::Two, groups.0.iter().find(|group| group.hierarchy == 0)?),
        };
        let mount = mounts.0.iter().find(|mount| match version {
            Version::One => mount.fs_type == "cgroup" && mount.super_options.contains_key("cpu"),
            Version::Two => mount.fs_type == "cgroup2",
        })?;
        // In a container the mount shows only part of the tree; what lies outside cannot be read.
        let below = Path::new(&group.pathname).strip_prefix(&mount.root).unwrap_or(Path::new(""));
        Some(Self { version, own: mount.mount_point.join(below), top: mount.mount_point.clone() })
    }

    /// Returns the least quota of the group and those above it, in cores.
    pub(super) fn quota(&self, read: &dyn Fn(&Path) -> Option<String>) -> Option<f64> {
        let above = self.own.ancestors().take_while(|dir| dir.starts_with(&self.top));
        above.filter_map(|dir| self.quota_of(dir, read)).min_by(f64::total_cmp)
    }

    fn quota_of(&self, dir: &Path, read: &dyn Fn(&Path) -> Option<String>) -> Option<f64> {
        let number = |text: &str| text.trim().parse::<f64>().ok();
        let (quota, period) = match self.version {
            Version::One => {
                (number(&read(&dir.join("cpu.cfs_quota_us"))?)?, number(&read(&dir.join("cpu.cfs_period_us"))?)?)
            }
            Version::Two => {
                let text = read(&dir.join("cpu.max"))?;
                let (quota, period) = text.trim().split_once(' ')?;
                (number(quota)?, number(period)?)
            }
        };
        (quota > 0.0 && period > 0.0).then_some(quota / period)
    }

    /// Sets the group's quota to `cores`, reads it back and returns it.
    ///
    /// Refuses a group whose name does not hold `instance`: it is not that instance's alone.
    pub(super) fn set_quota(&self, cores: f64, instance: &str) -> Result<f64, String> {
        let name = self.own.file_name().unwrap_or_default().to_string_lossy();
        if !name.contains(instance) {
            return Err(format!("control group {} is not this instance's own", self.own.display()));
        }
        let (period, quota) = period_and_quota(cores);
        let write = |file: &str, text: String| {
            let path = self.own.join(file);
            std::fs::write(&path, text).map_err(|e| format!("cannot write {}: {e}", path.display()))
        };
        match self.version {
            Version::One => {
                write("cpu.cfs_period_us", period.to_string())?;
                write("cpu.cfs_quota_us", quota.to_string())?;
            }
            Version::Two => write("cpu.max", format!("{quota} {period}"))?,
        }
        self.quota_of(&self.own, &super::read_text)
            .ok_or_else(|| format!("control group {} forgot the quota that was set", self.own.display()))
    }

    /// Returns in how many periods the group ran, and in how many of them it had to stand still.
    pub(super) fn periods(&self, read: &dyn Fn(&Path) -> Option<String>) -> Option<(u64, u64)> {
        let text = read(&self.own.join("cpu.stat"))?;
        let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.trim().parse().ok());
        Some((value("nr_periods ")?, value("nr_throttled ")?))
    }

    pub(super) fn path(&self) -> &Path {
        &self.own
    }
}

/// Returns the period and the quota for `cores`, µs; the period is longer where the quota would be
/// too small for the kernel.
fn period_and_quota(cores: f64) -> (u32, u32) {
    let period = f64::from(PERIOD_US).max(QUOTA_MIN_US / cores).min(1_000_000.0);
    let quota = (period * cores).max(QUOTA_MIN_US);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a million at most, times 4096 cores")]
    let whole = (period.round() as u32, quota.round() as u32);
    whole
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use procfs::FromRead;

    use super::*;

    const V1_MOUNTS: &str = "\
30 25 0:26 / /sys/fs/cgroup ro,nosuid shared:9 - tmpfs tmpfs ro,mode=755
31 30 0:27 / /sys/fs/cgroup/unified rw,nosuid shared:10 - cgroup2 cgroup2 rw
35 30 0:31 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:15 - cgroup cgroup rw,cpu,cpuacct
";
    const V2_MOUNTS: &str = "30 25 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
    const CONTAINER_MOUNTS: &str =
        "35 30 0:31 /docker/abc /sys/fs/cgroup/cpu ro,nosuid shared:15 - cgroup cgroup rw,cpu\n";

    #[track_caller]
    fn group(cgroup: &str, mounts: &str) -> CpuGroup {
        let groups = ProcessCGroups::from_read(cgroup.as_bytes()).unwrap();
        CpuGroup::locate(&groups, &MountInfos::from_read(mounts.as_bytes()).unwrap()).unwrap()
    }

    #[track_caller]
    fn check_quota(group: &CpuGroup, files: &[(&str, &str)], expected: Option<f64>) {
        let files: BTreeMap<_, _> = files.iter().map(|(path, text)| (PathBuf::from(path), *text)).collect();
        assert_eq!(group.quota(&|path| files.get(path).map(ToString::to_string)), expected);
    }

    #[test]
    fn the_group_is_found_under_both_versions_and_in_a_container() {
        let hybrid = group("4:cpu,cpuacct:/nomad/x\n0::/y\n", V1_MOUNTS);
        assert_eq!(hybrid.own, Path::new("/sys/fs/cgroup/cpu,cpuacct/nomad/x"));
        assert_eq!(hybrid.version, Version::One);
        let unified = group("0::/nomad.slice/x.scope\n", V2_MOUNTS);
        assert_eq!(unified.own, Path::new("/sys/fs/cgroup/nomad.slice/x.scope"));
        assert_eq!(unified.version, Version::Two);
        assert_eq!(group("4:cpu:/docker/abc/d\n", CONTAINER_MOUNTS).own, Path::new("/sys/fs/cgroup/cpu/d"));
        assert_eq!(group("4:cpu:/\n", CONTAINER_MOUNTS).own, Path::new("/sys/fs/cgroup/cpu/"));
    }

    #[test]
    fn the_least_quota_on_the_way_up_counts() {
        let one = group("4:cpu:/a/b\n", V1_MOUNTS);
        let dir = "/sys/fs/cgroup/cpu,cpuacct";
        let (quota, period) = (format!("{dir}/a/b/cpu.cfs_quota_us"), format!("{dir}/a/b/cpu.cfs_period_us"));
        let (above, above_period) = (format!("{dir}/a/cpu.cfs_quota_us"), format!("{dir}/a/cpu.cfs_period_us"));
        check_quota(&one, &[], None);
        check_quota(&one, &[(&quota, "-1\n"), (&period, "100000\n")], None);
        check_quota(&one, &[(&quota, "25000\n"), (&period, "100000\n")], Some(0.25));
        let both = [(&*quota, "50000"), (&*period, "100000"), (&*above, "20000"), (&*above_period, "100000")];
        check_quota(&one, &both, Some(0.2));

        let two = group("0::/a/b\n", V2_MOUNTS);
        check_quota(&two, &[("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n")], None);
        let both = [("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n"), ("/sys/fs/cgroup/a/cpu.max", "150000 100000\n")];
        check_quota(&two, &both, Some(1.5));
    }

    #[test]
    fn periods_and_those_that_were_cut_short_are_counted() {
        let group = group("4:cpu:/a\n", V1_MOUNTS);
        let count = |text: &'static str| group.periods(&|_| Some(text.to_owned()));
        assert_eq!(count("nr_periods 10\nnr_throttled 3\nthrottled_time 5\n"), Some((10, 3)));
        assert_eq!(count("usage_usec 7\n"), None);
        assert_eq!(group.periods(&|_| None), None);
    }

    #[test]
    fn a_quota_is_written_to_a_group_of_the_instance_only() {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("share.1f2e.function.scope");
        std::fs::create_dir(&own).unwrap();
        for version in [Version::One, Version::Two] {
            let group = CpuGroup { version, own: own.clone(), top: dir.path().into() };
            assert_eq!(group.set_quota(0.25, "1f2e"), Ok(0.25));
            let why = group.set_quota(0.25, "another").unwrap_err();
            assert!(why.ends_with("is not this instance's own"), "{why}");
        }
        assert_eq!(std::fs::read_to_string(own.join("cpu.cfs_quota_us")).unwrap(), "2500");
        assert_eq!(std::fs::read_to_string(own.join("cpu.max")).unwrap(), "2500 10000");
    }

    #[test]
    fn the_period_grows_where_the_quota_would_be_too_small() {
        assert_eq!(period_and_quota(2.0), (10_000, 20_000));
        assert_eq!(period_and_quota(0.1), (10_000, 1000));
        assert_eq!(period_and_quota(0.05), (20_000, 1000));
        assert_eq!(period_and_quota(0.0001), (1_000_000, 1000));
    }
}
