//! The table in words, as the record of a run has it.

use reports::{Answers, Commands, Exits, OK};

use super::index::{self, COUNT};
use super::ioctl::Entry;
use super::run_page::DETAILS;
use super::table::{KINDS, Table};
use crate::kvm::{CAPS, Errno, ExitReason};

/// The kinds of descriptor, by their places in the table.
const NAMES: [&str; KINDS] = ["system", "vm", "vcpu", "device", "guest_memfd", "stats", "other"];

/// What this process and all that it forked were answered since it began to record, which is forgotten now: for benches. A keeper does
/// the same once for each claim.
#[doc(hidden)]
pub fn recorded() -> Answers {
    let Some(table) = Table::shared() else { return Answers::default() };
    let answers = table.answers();
    table.clear();
    answers
}

impl Table {
    /// What was seen, in words.
    pub(crate) fn answers(&self) -> Answers {
        Answers {
            commands: self.commands(Entry::Native),
            compat: self.commands(Entry::Compat),
            enabled: self.enabled_bits().map(capability).collect(),
            exits: self
                .exits()
                .map(|(reason, times, fastest_ns)| (exit(reason), Exits { times, fastest_ns }))
                .collect(),
            details: self
                .detail_bits()
                .filter_map(|bit| DETAILS.get(bit))
                .map(|name| (*name).into())
                .collect(),
        }
    }

    fn commands(&self, entry: Entry) -> Commands {
        let mut commands = Commands::new();
        for (kind, name) in NAMES.iter().enumerate() {
            for command in 0..COUNT {
                let mut answers = self.bits(entry, kind, command).map(answer).peekable();
                if answers.peek().is_some() {
                    let of_kind = commands.entry((*name).to_owned()).or_default();
                    of_kind.insert(index::name(command).to_owned(), answers.collect());
                }
            }
        }
        commands
    }
}

fn answer(bit: usize) -> String {
    match i32::try_from(bit) {
        Ok(0) | Err(_) => OK.to_owned(),
        Ok(errno) => Errno(errno).to_string(),
    }
}

fn capability(number: usize) -> String {
    let known = CAPS.iter().find(|cap| cap.number as usize == number);
    known.map_or_else(|| format!("capability {number}"), |cap| cap.name.to_owned())
}

fn exit(number: usize) -> String {
    let known = u32::try_from(number).ok().and_then(ExitReason::of);
    known.map_or_else(|| format!("exit {number}"), |reason| reason.name.to_owned())
}
