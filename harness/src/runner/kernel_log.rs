//! The kernel's log, watched for what no claim should cause: a WARNING, a BUG, an Oops, a complaint of lockdep or of a sanitizer.
//!
//! The kernel names the task that was running in such a splat, and each claim's child is named for its serial number, so that the
//! splat is pinned to it. `/dev/kmsg` is described in `Documentation/ABI/testing/dev-kmsg`: one record a read.

use std::collections::HashMap;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::isolate::NAME;

/// How many lines of a splat are kept.
const KEPT: usize = 40;
/// What begins a splat.
pub(crate) const BEGINNINGS: [&str; 13] = [
    "WARNING:",
    "BUG:",
    "Oops",
    "kernel BUG at",
    "general protection fault",
    "possible recursive locking detected",
    "possible circular locking dependency detected",
    "UBSAN:",
    "KASAN:",
    "divide error",
    "invalid opcode:",
    "INFO: task ",
    "rcu: INFO:",
];

/// What stands before the name of the task that was running.
const TASK: &str = "Comm: ";

/// The kernel's log from when it was opened on.
pub(super) struct KernelLog(Mutex<Option<Watch>>);

struct Watch {
    file: File,
    reader: Reader,
    pinned: HashMap<u64, Splat>,
    loose: Vec<Splat>,
}

/// What the kernel had to complain of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Splat {
    /// Its lines, without the log's own prefixes.
    pub(super) lines: Vec<String>,
    /// The serial number of the claim that was running.
    pub(super) serial: Option<u64>,
    /// Whether it has told which task was running.
    names_a_task: bool,
}

impl KernelLog {
    /// Watches the log from now on; does nothing where it cannot be read.
    pub(super) fn open(path: &Path) -> Self {
        let watch =
            File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path).ok().and_then(|mut file| {
                file.seek(SeekFrom::End(0)).ok()?;
                Some(Watch { file, reader: Reader::default(), pinned: HashMap::new(), loose: Vec::new() })
            });
        Self(Mutex::new(watch))
    }

    /// Reads what is new, and hands over what the kernel had to say of one claim.
    pub(super) fn of_claim(&self, serial: u64) -> Option<Splat> {
        self.with(|watch| {
            // What a claim has caused was written before it ended; another's may be half written.
            watch.sort(Some(serial));
            watch.pinned.remove(&serial)
        })
        .flatten()
    }

    /// Reads what is new, and hands over what could not be pinned to any claim.
    pub(super) fn loose(&self) -> Vec<Splat> {
        self.with(|watch| {
            watch.sort(None);
            std::mem::take(&mut watch.loose)
        })
        .unwrap_or_default()
    }

    /// Hands over what was pinned to a claim that had ended when it was read.
    pub(super) fn late(&self) -> Vec<Splat> {
        self.with(|watch| {
            watch.sort(None);
            watch.pinned.drain().map(|(_, splat)| splat).collect()
        })
        .unwrap_or_default()
    }

    fn with<T>(&self, act: impl FnOnce(&mut Watch) -> T) -> Option<T> {
        let mut watch = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let watch = watch.as_mut()?;
        watch.read();
        Some(act(watch))
    }
}

impl Watch {
    fn read(&mut self) {
        let mut record = [0; 8192];
        loop {
            match self.file.read(&mut record) {
                Ok(0) => break,
                Ok(length) => {
                    for line in String::from_utf8_lossy(&record[..length]).lines() {
                        self.reader.line(line);
                    }
                }
                // Records that were overwritten before they were read are lost; the next is there.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
    }

    fn sort(&mut self, serial: Option<u64>) {
        for splat in self.reader.finished(serial) {
            match splat.serial {
                Some(serial) => {
                    self.pinned.entry(serial).or_insert(splat);
                }
                None => self.loose.push(splat),
            }
        }
    }
}

/// Takes lines of the log and finds splats among them.
#[derive(Default)]
struct Reader {
    open: Option<Splat>,
    done: Vec<Splat>,
}

impl Reader {
    fn line(&mut self, line: &str) {
        // A record's own line has the form "prefix;text"; those that begin with a space are its properties.
        let Some((prefix, text)) = line.split_once(';').filter(|_| !line.starts_with(' ')) else { return };
        if !is_kernels(prefix) {
            return;
        }
        // One splat may have several beginnings, an Oops within a BUG, until it says whose it is.
        let is_beginning = BEGINNINGS.iter().any(|beginning| text.contains(beginning));
        if is_beginning && self.open.as_ref().is_none_or(|open| open.names_a_task) {
            let begun = Splat { lines: Vec::new(), serial: None, names_a_task: false };
            self.done.extend(self.open.replace(begun));
        }
        let Some(open) = &mut self.open else { return };
        open.serial = open.serial.or_else(|| serial(text));
        open.names_a_task |= text.contains(TASK);
        if open.lines.len() < KEPT {
            open.lines.push(text.to_owned());
        }
        if text.contains("---[ end trace") {
            self.done.extend(self.open.take());
        }
    }

    /// The splats that have been read to their end. One of the claim that is asked about, or any where none is, is over too: not
    /// every splat has an end that can be told.
    fn finished(&mut self, serial: Option<u64>) -> Vec<Splat> {
        let is_over = |open: &mut Splat| serial.is_none() || open.serial == serial;
        self.done.extend(self.open.take_if(is_over));
        std::mem::take(&mut self.done)
    }
}

/// Whether the kernel itself wrote a record: its facility, above the three bits of the level, is 0. Programs may write to the log too.
fn is_kernels(prefix: &str) -> bool {
    prefix
        .split(',')
        .next()
        .and_then(|number| number.parse::<u32>().ok())
        .is_some_and(|number| number >> 3 == 0)
}

/// The serial number in the name of the task that the kernel says was running.
fn serial(text: &str) -> Option<u64> {
    let name = text.split_once(TASK)?.1.strip_prefix(NAME)?;
    let digits = name.split(|c: char| !c.is_ascii_hexdigit()).next()?;
    u64::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn splats(lines: &[&str]) -> Vec<Splat> {
        let mut reader = Reader::default();
        for line in lines {
            reader.line(line);
        }
        reader.finished(None)
    }

    #[test]
    fn a_warning_is_pinned_by_the_task_that_it_names() {
        let found = splats(&[
            "6,1,1,-;harmless",
            "4,2,2,-;------------[ cut here ]------------",
            "4,3,3,-;WARNING: CPU: 1 PID: 77 at arch/x86/kvm/x86.c:1 kvm_something+0x1/0x2 [kvm]",
            "4,4,4,-;CPU: 1 UID: 0 PID: 77 Comm: claim-42 Not tainted 6.12.0",
            " SUBSYSTEM=misc",
            "4,5,5,-;---[ end trace 0000000000000000 ]---",
            "6,6,6,-;harmless again",
        ]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].serial, Some(0x42));
        assert_eq!(found[0].lines.len(), 3);
    }

    #[test]
    fn a_splat_of_another_task_is_pinned_to_nobody() {
        let found =
            splats(&["4,1,1,-;BUG: unable to handle page fault", "4,2,2,-;CPU: 0 PID: 1 Comm: kworker/0:1"]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].serial, None);
    }

    #[test]
    fn half_a_splat_waits_for_its_other_half() {
        let mut reader = Reader::default();
        reader.line("4,1,1,-;BUG: unable to handle page fault");
        assert_eq!(reader.finished(Some(7)), vec![]);
        reader.line("4,2,2,-;Oops: 0002 [#1]");
        reader.line("4,3,3,-;CPU: 0 PID: 1 Comm: claim-7");
        let found = reader.finished(Some(7));
        assert_eq!((found.len(), found[0].lines.len(), found[0].serial), (1, 3, Some(7)));
    }

    #[test]
    fn a_splat_ends_where_the_next_begins() {
        let found = splats(&[
            "4,1,1,-;BUG: one",
            "4,2,2,-;CPU: 0 PID: 1 Comm: claim-1",
            "4,3,3,-;BUG: another",
            "4,4,4,-;CPU: 0 PID: 2 Comm: claim-2",
        ]);
        assert_eq!(found.iter().map(|splat| splat.serial).collect::<Vec<_>>(), [Some(1), Some(2)]);
    }

    #[test]
    fn what_a_program_writes_to_the_log_is_no_splat() {
        assert_eq!(splats(&["12,1,1,-;WARNING: a daemon says so"]), vec![]);
    }

    #[test]
    fn ordinary_lines_are_no_splats() {
        assert_eq!(splats(&["6,1,1,-;kvm: SMP vm created on host", "no prefix WARNING:"]), vec![]);
    }
}
