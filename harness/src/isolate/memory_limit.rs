//! A control group that bounds what a claim and all that it starts may take, memory of the kernel for its VMs included; where none
//! can be made, the keeper watches the child's resident memory instead.

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

/// Enters a group; this process's children follow.
pub(super) fn enter(group: &Path) -> std::io::Result<()> {
    fs::write(group.join("cgroup.procs"), "0")
}

/// How many processes the kernel has killed in a group for lack of memory.
pub(super) fn kills(group: &Path) -> u64 {
    VERSIONS
        .iter()
        .filter_map(|version| fs::read_to_string(group.join(version.events)).ok())
        .find_map(|text| text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok()))
        .unwrap_or(0)
}

/// The resident memory of a process, in bytes.
pub(super) fn resident(pid: i32) -> u64 {
    let pages = fs::read_to_string(format!("/proc/{pid}/statm"))
        .ok()
        .and_then(|text| text.split_whitespace().nth(1)?.parse::<u64>().ok())
        .unwrap_or(0);
    pages * rustix::param::page_size() as u64
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
