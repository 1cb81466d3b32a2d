//! Limits of CPU and memory by cgroup v1 or v2, read back after they are set.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use procfs::process::{MountInfo, Process};

use super::signal;

/// The period over which the CPU quota is counted.
const CPU_PERIOD_US: u64 = 100_000;
/// The controllers of v1 that are used; `cpuacct` only counts.
const V1: [&str; 3] = ["cpu", "cpuacct", "memory"];

/// What one instance may use.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Cores' worth of CPU time.
    pub cpu_cores: f64,
    /// Memory in bytes, above which it is killed.
    pub memory_bytes: u64,
}

impl Limits {
    fn quota_us(&self) -> u64 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "cores are few and not negative")]
        #[expect(clippy::cast_precision_loss, reason = "100000 is exact")]
        let quota = (self.cpu_cores.clamp(0.0, 1e6) * CPU_PERIOD_US as f64) as u64;
        quota.max(1000)
    }
}

/// The place below which this engine makes its cgroups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    version: Version,
    /// One directory per controller on v1, one on v2.
    dirs: Vec<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

impl Parent {
    /// Makes a cgroup called `name` beside or below the one that this process is in.
    ///
    /// # Errors
    /// Why this process may not, in words.
    pub fn create(name: &str) -> Result<Self, String> {
        let me = Process::myself().map_err(|e| e.to_string())?;
        let mounts = me.mountinfo().map_err(|e| e.to_string())?.0;
        let own: Vec<_> = me.cgroups().map_err(|e| e.to_string())?.0;
        let path_of = |controller: &str| {
            let found = own.iter().find(|g| g.controllers.iter().any(|c| c == controller));
            found.map_or_else(String::new, |g| g.pathname.clone())
        };
        let v1_mount = |controller: &str| {
            mounts.iter().find(|m| m.fs_type == "cgroup" && m.super_options.contains_key(controller))
        };
        if V1.iter().all(|c| v1_mount(c).is_some()) {
            let dirs = V1.iter().filter_map(|c| Some(inside(v1_mount(c)?, &path_of(c)).join(name))).collect();
            let parent = Self { version: Version::V1, dirs };
            return parent.make();
        }
        let Some(mount) = mounts.iter().find(|m| m.fs_type == "cgroup2") else {
            return Err("no cgroup file system is mounted".into());
        };
        let own = own.iter().find(|g| g.hierarchy == 0).map_or("/", |g| g.pathname.as_str());
        // A cgroup with processes cannot hand controllers down, so the new one goes beside our own.
        let own = inside(mount, own);
        let beside = if own == mount.mount_point { own.as_path() } else { own.parent().unwrap_or(&own) };
        hand_down(&mount.mount_point, beside);
        let parent = Self { version: Version::V2, dirs: vec![beside.join(name)] }.make()?;
        for dir in &parent.dirs {
            if let Err(e) = fs::write(dir.join("cgroup.subtree_control"), "+cpu +memory") {
                parent.remove();
                return Err(format!("{} has no controllers cpu and memory: {e}", dir.display()));
            }
        }
        Ok(parent)
    }

    /// Takes up a parent that an engine which is no more has left behind, to remove it.
    #[must_use]
    pub fn left_behind(dirs: Vec<PathBuf>) -> Self {
        Self { version: Version::V1, dirs }
    }

    /// Returns the directories, to write down for a later clean-up.
    #[must_use]
    pub fn dirs(&self) -> &[PathBuf] {
        &self.dirs
    }

    fn make(self) -> Result<Self, String> {
        for dir in &self.dirs {
            if let Err(e) = fs::create_dir(dir) {
                self.remove();
                return Err(format!("{} cannot be made: {e}", dir.display()));
            }
        }
        Ok(self)
    }

    /// Makes the cgroup of one instance, sets its limits and reads them back.
    ///
    /// # Errors
    /// Which limit does not hold and why, in words.
    pub fn instance(&self, name: &str, limits: Limits) -> Result<Cgroup, String> {
        let dirs = self.dirs.iter().map(|dir| dir.join(name)).collect();
        let group = Cgroup { version: self.version, dirs };
        for dir in &group.dirs {
            fs::create_dir(dir).map_err(|e| format!("{} cannot be made: {e}", dir.display()))?;
        }
        group.limit(limits).inspect_err(|_| group.remove())?;
        Ok(group)
    }

    /// Returns the cgroup of an instance that [`Parent::instance`] has made.
    #[must_use]
    pub fn existing(&self, name: &str) -> Cgroup {
        Cgroup { version: self.version, dirs: self.dirs.iter().map(|dir| dir.join(name)).collect() }
    }

    /// Kills whatever runs below and removes everything.
    pub fn remove(&self) {
        for dir in &self.dirs {
            let inner = fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path()).filter(|p| p.is_dir());
            let dirs: Vec<_> = inner.collect();
            Cgroup { version: self.version, dirs }.remove();
            let _gone = fs::remove_dir(dir);
        }
    }
}

/// The cgroup of one instance.
#[derive(Debug)]
pub struct Cgroup {
    version: Version,
    dirs: Vec<PathBuf>,
}

impl Cgroup {
    /// Returns the cgroup that the process `pid` of this machine is in; nothing if that cannot be seen.
    #[must_use]
    pub fn of_process(pid: u32) -> Option<Self> {
        let process = Process::new(i32::try_from(pid).ok()?).ok()?;
        let (mounts, own) = (Process::myself().ok()?.mountinfo().ok()?.0, process.cgroups().ok()?.0);
        let v1 = |controller: &str| {
            let mount = mounts.iter().find(|m| m.fs_type == "cgroup" && m.super_options.contains_key(controller))?;
            let group = own.iter().find(|group| group.controllers.iter().any(|c| c == controller))?;
            Some(inside(mount, &group.pathname))
        };
        if let Some(dirs) = V1.iter().map(|controller| v1(controller)).collect() {
            return Some(Self { version: Version::V1, dirs });
        }
        let mount = mounts.iter().find(|m| m.fs_type == "cgroup2")?;
        let group = own.iter().find(|group| group.hierarchy == 0)?;
        Some(Self { version: Version::V2, dirs: vec![inside(mount, &group.pathname)] })
    }

    /// Returns the limits that hold, as the kernel has them; nothing if one of them does not.
    #[must_use]
    pub fn limits(&self) -> Option<Limits> {
        let read = |controller: &str, file: &str| fs::read_to_string(self.dir(controller)?.join(file)).ok();
        let number = |text: &str| text.trim().parse::<f64>().ok();
        let (quota, period, memory) = match self.version {
            Version::V1 => (
                number(&read("cpu", "cpu.cfs_quota_us")?)?,
                number(&read("cpu", "cpu.cfs_period_us")?)?,
                read("memory", "memory.limit_in_bytes")?,
            ),
            Version::V2 => {
                let text = read("cpu", "cpu.max")?;
                let (quota, period) = text.split_once(' ')?;
                (number(quota)?, number(period)?, read("memory", "memory.max")?)
            }
        };
        let memory_bytes = memory.trim().parse().ok()?;
        (quota > 0.0 && period > 0.0).then_some(Limits { cpu_cores: quota / period, memory_bytes })
    }

    /// Returns the files into which a process writes itself to be limited.
    #[must_use]
    pub fn join_files(&self) -> Vec<PathBuf> {
        self.dirs.iter().map(|dir| dir.join("cgroup.procs")).collect()
    }

    fn dir(&self, controller: &str) -> Option<&Path> {
        match self.version {
            Version::V2 => self.dirs.first().map(PathBuf::as_path),
            Version::V1 => {
                V1.iter().position(|c| *c == controller).and_then(|i| self.dirs.get(i)).map(PathBuf::as_path)
            }
        }
    }

    /// Lets its processes use more CPU than the limit, while they start.
    pub fn loosen(&self) {
        let cpu = self.dir("cpu").unwrap_or(Path::new(""));
        let _stays_limited = match self.version {
            Version::V1 => fs::write(cpu.join("cpu.cfs_quota_us"), "-1"),
            Version::V2 => fs::write(cpu.join("cpu.max"), format!("max {CPU_PERIOD_US}")),
        };
    }

    /// Sets the limits and reads them back.
    ///
    /// # Errors
    /// Which limit does not hold and why, in words.
    pub fn limit(&self, limits: Limits) -> Result<(), String> {
        let (cpu, memory) = (self.dir("cpu").unwrap_or(Path::new("")), self.dir("memory").unwrap_or(Path::new("")));
        let (quota, bytes) = (limits.quota_us().to_string(), limits.memory_bytes.to_string());
        match self.version {
            Version::V1 => {
                set(&cpu.join("cpu.cfs_period_us"), &CPU_PERIOD_US.to_string())?;
                set(&cpu.join("cpu.cfs_quota_us"), &quota)?;
                let (ram, with_swap) =
                    (memory.join("memory.limit_in_bytes"), memory.join("memory.memsw.limit_in_bytes"));
                let now = fs::read_to_string(&ram).ok().and_then(|text| text.trim().parse::<u64>().ok());
                // The limit with swap may at no time be the smaller one.
                if now.is_some_and(|now| now < limits.memory_bytes) {
                    optional(&with_swap, &bytes)?;
                    return set(&ram, &bytes);
                }
                set(&ram, &bytes)?;
                optional(&with_swap, &bytes)
            }
            Version::V2 => {
                set(&cpu.join("cpu.max"), &format!("{quota} {CPU_PERIOD_US}"))?;
                set(&memory.join("memory.max"), &bytes)?;
                optional(&memory.join("memory.swap.max"), "0")?;
                optional(&memory.join("memory.oom.group"), "1")
            }
        }
    }

    /// Sets other limits while its processes run, and reads them back.
    ///
    /// # Errors
    /// As [`Cgroup::limit`]; also a limit of memory that is below what its processes hold now, for the kernel would
    /// kill them.
    pub fn relimit(&self, limits: Limits) -> Result<(), String> {
        match self.held_bytes() {
            Some(held) if held >= limits.memory_bytes => {
                Err(format!("it holds {} MiB of memory now, more than {} MiB", held >> 20, limits.memory_bytes >> 20))
            }
            _ => self.limit(limits),
        }
    }

    /// Returns the memory that its processes hold and that cannot be taken from them.
    #[must_use]
    pub fn held_bytes(&self) -> Option<u64> {
        let name = match self.version {
            Version::V1 => "total_rss ",
            Version::V2 => "anon ",
        };
        let text = fs::read_to_string(self.dir("memory")?.join("memory.stat")).ok()?;
        text.lines().find_map(|line| line.strip_prefix(name))?.trim().parse().ok()
    }

    /// Returns how many of its processes the kernel has killed for want of memory.
    #[must_use]
    pub fn n_oom_kills(&self) -> u64 {
        let file = match self.version {
            Version::V1 => "memory.oom_control",
            Version::V2 => "memory.events",
        };
        let text = self.dir("memory").and_then(|dir| fs::read_to_string(dir.join(file)).ok()).unwrap_or_default();
        text.lines().find_map(|l| l.strip_prefix("oom_kill ")).and_then(|n| n.trim().parse().ok()).unwrap_or(0)
    }

    /// Returns the CPU time that its processes have used.
    #[must_use]
    pub fn cpu_time(&self) -> Option<Duration> {
        match self.version {
            Version::V1 => {
                let text = fs::read_to_string(self.dir("cpuacct")?.join("cpuacct.usage")).ok()?;
                text.trim().parse().ok().map(Duration::from_nanos)
            }
            Version::V2 => {
                let text = fs::read_to_string(self.dir("cpu")?.join("cpu.stat")).ok()?;
                let usec = text.lines().find_map(|l| l.strip_prefix("usage_usec "))?;
                usec.trim().parse().ok().map(Duration::from_micros)
            }
        }
    }

    /// Kills whatever runs in it.
    pub fn kill(&self) {
        for dir in &self.dirs {
            if fs::write(dir.join("cgroup.kill"), "1").is_ok() {
                continue;
            }
            let pids = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
            for pid in pids.lines().filter_map(|line| line.trim().parse().ok()) {
                signal::send(pid, rustix::process::Signal::KILL);
            }
        }
    }

    /// Kills whatever runs in it and removes it; waits up to a second for the kernel.
    pub fn remove(&self) {
        self.kill();
        let deadline = Instant::now() + Duration::from_secs(1);
        for dir in &self.dirs {
            while let Err(e) = fs::remove_dir(dir) {
                if e.kind() == io::ErrorKind::NotFound || Instant::now() > deadline {
                    break;
                }
                self.kill();
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }
}

/// Returns the directory of the cgroup `path` as seen below `mount`.
fn inside(mount: &MountInfo, path: &str) -> PathBuf {
    let below = Path::new(path).strip_prefix(&mount.root).unwrap_or(Path::new(""));
    mount.mount_point.join(below).components().collect()
}

/// Lets the cgroups from `top` down to `to` hand the controllers of v2 down, where this process may: systemd
/// turns on what its units ask for, and few ask for `cpu`.
fn hand_down(top: &Path, to: &Path) {
    let mut all: Vec<_> = to.ancestors().take_while(|dir| dir.starts_with(top)).collect();
    all.reverse();
    for dir in all {
        for controller in ["+cpu", "+memory"] {
            let _may_be_on = fs::write(dir.join("cgroup.subtree_control"), controller);
        }
    }
}

/// Writes a limit and reads it back.
fn set(file: &Path, value: &str) -> Result<(), String> {
    fs::write(file, value).map_err(|e| format!("{} = {value}: {e}", file.display()))?;
    let holds = fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    if holds.trim() == value { Ok(()) } else { Err(format!("{} is {}, not {value}", file.display(), holds.trim())) }
}

/// Writes a limit that not every kernel has.
fn optional(file: &Path, value: &str) -> Result<(), String> {
    if file.exists() { set(file, value) } else { Ok(()) }
}
