//! A control group that bounds what a claim and all that it starts may take, memory of the kernel for its VMs included; where none
//! can be made, the keeper watches the resident memory of what it has started instead.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A control group of our own, removed when dropped.
#[derive(Debug)]
pub(super) struct ControlGroup(PathBuf);

/// The two versions of control groups, by the files of the memory controller.
const VERSIONS: [Version; 2] = [
    Version { limit: "memory.max", events: "memory.events" },
    Version { limit: "memory.limit_in_bytes", events: "memory.oom_control" },
];

struct Version {
    limit: &'static str,
    events: &'static str,
}

impl ControlGroup {
    /// Makes one below this process's own, if the system lets it.
    pub(super) fn make(memory: u64) -> Option<Self> {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let name = format!("assay-{}-{serial}", std::process::id());
        parents().into_iter().find_map(|parent| {
            remove_stale(&parent);
            let group = Self(parent.join(&name));
            fs::create_dir(&group.0).ok()?;
            let version = VERSIONS.iter().find(|version| group.0.join(version.limit).exists())?;
            fs::write(group.0.join(version.limit), memory.to_string()).ok()?;
            Some(group)
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        // A group that still holds a process stays: nothing worse than an empty directory comes of it.
        let _ = fs::remove_dir(&self.0);
    }
}

/// Removes the empty groups of runners that were killed.
fn remove_stale(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let runner =
            name.to_str().and_then(|name| name.strip_prefix("assay-")?.split_once('-')).map(|(pid, _)| pid);
        if runner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// Enters a group; this process's children follow.
pub(super) fn enter(group: &Path) -> std::io::Result<()> {
    fs::write(group.join("cgroup.procs"), "0")
}

/// Leaves a group that nothing else is in, and removes it: a runner that was killed cannot.
pub(super) fn leave(group: &Path) {
    if let Some(parent) = group.parent()
        && enter(parent).is_ok()
    {
        let _ = fs::remove_dir(group);
    }
}

/// How many processes the kernel has killed in a group for lack of memory.
pub(super) fn kills(group: &Path) -> u64 {
    VERSIONS
        .iter()
        .filter_map(|version| fs::read_to_string(group.join(version.events)).ok())
        .find_map(|text| text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok()))
        .unwrap_or(0)
}

/// Whether what this process has started takes more than so many bytes, pages that several of them share counted once.
pub(super) fn takes_more_than(most: u64) -> bool {
    let mut processes = children(&std::process::id().to_string());
    let mut next = 0;
    while let Some(pid) = processes.get(next) {
        let more = children(pid);
        processes.extend(more);
        next += 1;
    }
    let resident = processes.iter().map(|pid| resident(pid));
    // The proportional size is exact, but takes the kernel long to tell: it is asked for where the resident one is in doubt.
    resident.sum::<u64>() > most && processes.iter().map(|pid| proportional(pid)).sum::<u64>() > most
}

fn children(pid: &str) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let children = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    children.flat_map(|pids| pids.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// The resident memory of a process, in bytes.
fn resident(pid: &str) -> u64 {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    let pages = statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * rustix::param::page_size() as u64
}

/// Its share of the memory that is resident, in bytes; all of it where the kernel does not tell.
fn proportional(pid: &str) -> u64 {
    let told = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok().and_then(|text| {
        let share = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
        share.trim().strip_suffix(" kB")?.parse::<u64>().ok()
    });
    told.map_or_else(|| resident(pid), |kilobytes| kilobytes << 10)
}

/// Where a group with a memory controller could be made: below the group that this process is in.
fn parents() -> Vec<PathBuf> {
    let Ok(own) = fs::read_to_string("/proc/self/cgroup") else { return Vec::new() };
    own.lines()
        .filter_map(|line| {
            let mut fields = line.splitn(3, ':');
            let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
            let path = path.trim_start_matches('/');
            if controllers.is_empty() {
                Some(Path::new("/sys/fs/cgroup").join(path))
            } else if controllers.split(',').any(|controller| controller == "memory") {
                Some(Path::new("/sys/fs/cgroup/memory").join(path))
            } else {
                None
            }
        })
        .filter(|parent| parent.is_dir())
        .collect()
}
