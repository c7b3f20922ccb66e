//! Where a process is that does not come to an end: what the kernel tells of it before it is killed.

use std::fs;

use rustix::process::Pid;

/// How many lines of its stack are told.
const LINES: usize = 16;

/// Its state, and where in the kernel it is, as far as this process may know.
pub(super) fn whereabouts(pid: Pid) -> Vec<String> {
    let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let state = read("status")
        .lines()
        .find_map(|line| line.strip_prefix("State:"))
        .map(str::trim)
        .map(|state| format!("its process was in state {state} when the clock ran out"));
    let waits = Some(read("wchan")).filter(|name| !matches!(name.as_str(), "" | "0"));
    let stack = read("stack");
    let frames = stack.lines().filter_map(|line| line.strip_prefix("[<0>] ")).take(LINES);
    state
        .into_iter()
        .chain(waits.map(|name| format!("in the kernel it was in {name}")))
        .chain(frames.map(|frame| format!("  {frame}")))
        .collect()
}
