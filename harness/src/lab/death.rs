//! What a kernel's console says of its end, and the last words that a record keeps of it.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use crate::runner::kernel_log::BEGINNINGS;

/// How many lines of a kernel's last words a record keeps.
pub(super) const LAST_WORDS: usize = 40;
/// How many lines of the console are kept at all.
const KEPT: usize = 2000;

/// What a panic begins with, which is a complaint beside those of the kernel's log.
const PANIC: &str = "Kernel panic";

/// How a machine ended that did not say goodbye.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Death {
    /// The kernel panicked: its own line.
    Panicked(String),
    /// The machine was reset, or went off, without a word.
    Rebooted,
    /// Nothing was heard for so long.
    Silent(Duration),
    /// Its init lived, but one claim did not come to an end for so long.
    Stuck(Duration),
    /// The emulator itself died, with this exit.
    Emulator(String),
}

impl Death {
    /// Whether it is the kernel that died, and not the emulator.
    pub(crate) fn is_the_kernels(&self) -> bool {
        !matches!(self, Self::Emulator(_))
    }
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(line) => write!(f, "the kernel panicked: {line}"),
            Self::Rebooted => f.write_str("the kernel died without a word: the machine was reset"),
            Self::Silent(time) => {
                write!(f, "the kernel hung: nothing was heard of it for {} s", time.as_secs())
            }
            Self::Stuck(time) => write!(
                f,
                "the kernel did not give the claim's process back within {} s, though the rest of it lived",
                time.as_secs()
            ),
            Self::Emulator(exit) => write!(f, "the emulator died ({exit})"),
        }
    }
}

/// What was read from a console.
#[derive(Debug, Default)]
pub(super) struct Console {
    lines: VecDeque<String>,
    /// How many lines were forgotten.
    gone: usize,
    mark: usize,
}

impl Console {
    /// Takes a line.
    pub(super) fn push(&mut self, line: &str) {
        let line = line.trim_end();
        if line.is_empty() {
            return;
        }
        if self.lines.len() == KEPT {
            self.lines.pop_front();
            self.gone += 1;
        }
        self.lines.push_back(line.to_owned());
    }

    /// What comes from here on belongs to the claim that begins.
    pub(super) fn mark(&mut self) {
        self.mark = self.gone + self.lines.len();
    }

    /// The line with which the kernel panicked.
    pub(super) fn panic(&self) -> Option<String> {
        let line = self.lines.iter().find(|line| line.contains("Kernel panic"))?;
        Some(without_time(line).to_owned())
    }

    /// The lines in which the kernel complained since the mark.
    pub(super) fn complaints(&self) -> Vec<String> {
        let complaints = self.since_mark().filter(|line| is_complaint(line));
        complaints.map(|line| without_time(line).to_owned()).collect()
    }

    /// The last words since the mark: from the first complaint on where there is one, and otherwise the end.
    pub(super) fn last_words(&self) -> Vec<String> {
        let since: Vec<_> = self.since_mark().cloned().collect();
        let end = since.len().saturating_sub(LAST_WORDS);
        let from =
            since.iter().position(|line| is_complaint(line)).map_or(end, |first| first.saturating_sub(1));
        since.into_iter().skip(from).take(LAST_WORDS).collect()
    }

    fn since_mark(&self) -> impl Iterator<Item = &String> {
        self.lines.iter().skip(self.mark.saturating_sub(self.gone))
    }
}

fn is_complaint(line: &str) -> bool {
    BEGINNINGS.iter().chain(&[PANIC]).any(|complaint| line.contains(complaint))
}

/// A line of the console without the time that the kernel puts before it.
fn without_time(line: &str) -> &str {
    match line.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
        Some((time, text)) if time.trim().parse::<f64>().is_ok() => text,
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn console(lines: &[&str]) -> Console {
        let mut console = Console::default();
        lines.iter().for_each(|line| console.push(line));
        console
    }

    #[test]
    fn a_panic_is_found_and_quoted_without_its_time() {
        let console = console(&[
            "[    7.100000] sysrq: Trigger a crash",
            "[    7.200000] Kernel panic - not syncing: sysrq triggered crash\r",
            "[    7.300000] CPU: 0 PID: 70 Comm: claim-3 Not tainted 6.1.0",
        ]);
        assert_eq!(console.panic().unwrap(), "Kernel panic - not syncing: sysrq triggered crash");
        assert_eq!(console.last_words().len(), 3);
    }

    #[test]
    fn last_words_begin_where_the_kernel_complained() {
        let mut lines: Vec<_> = (0..60).map(|n| format!("[ 1.{n}] harmless {n}")).collect();
        lines.push("[ 2.0] BUG: kernel NULL pointer dereference, address: 0".into());
        lines.extend((0..60).map(|n| format!("[ 3.{n}] trace {n}")));
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        let words = console(&lines).last_words();
        assert_eq!(words.len(), LAST_WORDS);
        assert_eq!(words[0], "[ 1.59] harmless 59");
        assert!(words[1].contains("NULL pointer"));
    }

    #[test]
    fn what_was_said_before_the_claim_is_not_its_doing() {
        let mut console = console(&["[ 1.0] WARNING: CPU: 0 at boot"]);
        console.mark();
        console.push("[ 2.0] kvm: something");
        assert_eq!(console.last_words(), ["[ 2.0] kvm: something"]);
        assert_eq!(console.complaints(), Vec::<String>::new());
        console.push("[ 3.0] Oops: 0002 [#1] PREEMPT SMP NOPTI");
        assert_eq!(console.complaints(), ["Oops: 0002 [#1] PREEMPT SMP NOPTI"]);
        assert_eq!(console.panic(), None);
    }

    #[test]
    fn a_long_console_forgets_its_beginning_and_not_its_mark() {
        let mut console = Console::default();
        (0..KEPT).for_each(|n| console.push(&format!("early {n}")));
        console.mark();
        (0..KEPT + 5).for_each(|n| console.push(&format!("late {n}")));
        assert_eq!(console.last_words().last().unwrap(), &format!("late {}", KEPT + 4));
        assert!(console.since_mark().all(|line| line.starts_with("late")));
    }
}
