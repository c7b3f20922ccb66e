//! `ioctls.tsv`: commands by the kind of descriptor that they are sent to, and their errors.

use std::collections::{BTreeMap, BTreeSet};

use super::table::{Cells, InterfaceError, number, rows};
use super::{Since, shipped};

/// A command on one kind of descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// What kind of row it is.
    pub row: Row,
    /// The name in `linux/kvm.h`.
    pub name: &'static str,
    /// The number that the kernel dispatches on.
    pub number: u32,
    /// The kind of descriptor: `system`, `vm`, `vcpu` or `device`.
    pub descriptor: &'static str,
    /// Since when it is there.
    pub since: Since,
    /// The heading's number in api.rst; none where it has none.
    pub section: Option<&'static str>,
    /// The errors that api.rst names.
    pub documented: Vec<&'static str>,
    /// The errors that the kernel's source has besides.
    pub in_source: Vec<&'static str>,
    /// Why no claim can get an error, by the error.
    pub errors_out_of_reach: BTreeMap<&'static str, &'static str>,
    /// Why no claim can see it succeed.
    pub out_of_reach: Option<&'static str>,
}

/// What a row of `ioctls.tsv` is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    /// A command that the newest kernel has.
    Command,
    /// The form of one for 32-bit programs.
    Compat,
    /// A command that older kernels had.
    Removed,
}

const COLUMNS: &[&str] = &[
    "row",
    "name",
    "number",
    "descriptor",
    "since",
    "kernels",
    "capability",
    "section",
    "documented_errors",
    "source_errors",
    "errors_out_of_reach",
    "out_of_reach",
    "documentation_says",
    "source_says",
];
/// The kinds of descriptor that have commands.
const DESCRIPTORS: [&str; 4] = ["system", "vm", "vcpu", "device"];
/// The rows that are no command of their own.
const APART: [&str; 3] = ["attribute", "sub-command", "file-operation"];

/// The commands, and how many rows are about something else.
pub(super) fn read(text: &'static str) -> Result<(Vec<Command>, usize), InterfaceError> {
    let mut commands = Vec::new();
    let mut seen = BTreeSet::new();
    let mut apart = 0;
    for cells in rows("ioctls.tsv", text, COLUMNS)? {
        let row = match cells.text("row")? {
            "command" => Row::Command,
            "compat" => Row::Compat,
            "removed" => Row::Removed,
            other if APART.contains(&other) => {
                apart += 1;
                continue;
            }
            _ => return Err(cells.wrong("row", "a kind of row")),
        };
        let command = command(row, &cells)?;
        if !seen.insert((command.descriptor, command.name)) {
            return Err(cells.twice(format!("{} of {}", command.name, command.descriptor)));
        }
        commands.push(command);
    }
    Ok((commands, apart))
}

fn command(row: Row, cells: &Cells) -> Result<Command, InterfaceError> {
    let known = |text: &'static str| DESCRIPTORS.contains(&text).then_some(text);
    let (documented, in_source) = (cells.words("documented_errors"), cells.words("source_errors"));
    let mut errors_out_of_reach = BTreeMap::new();
    for part in cells.said("errors_out_of_reach").into_iter().flat_map(|text| text.split("; ")) {
        match part.split_once(": ") {
            Some((error, why)) if documented.contains(&error) || in_source.contains(&error) => {
                errors_out_of_reach.insert(error, why);
            }
            _ => return Err(cells.wrong("errors_out_of_reach", "an error of the row and why")),
        }
    }
    for column in ["documented_errors", "source_errors"] {
        if !cells.words(column).iter().all(|word| shipped::is_error(word)) {
            return Err(cells.wrong(column, "errors by name"));
        }
    }
    if documented.iter().any(|error| in_source.contains(error)) {
        return Err(cells.wrong("source_errors", "those that are not documented"));
    }
    Ok(Command {
        row,
        name: cells.read("name", "a command's name", |text| text.starts_with("KVM_").then_some(text))?,
        number: cells.read("number", "a command's number", number)?,
        descriptor: cells.read("descriptor", "a kind of descriptor", known)?,
        since: cells.read("since", "a kernel's version", Since::parse)?,
        section: cells.said("section"),
        documented,
        in_source,
        errors_out_of_reach,
        out_of_reach: cells.said("out_of_reach"),
    })
}

impl Command {
    /// Every error that is known of it, and why no claim can get it.
    pub fn errors(&self) -> impl Iterator<Item = (&'static str, Option<&'static str>)> + '_ {
        let all = self.documented.iter().chain(&self.in_source);
        all.map(|error| (*error, self.errors_out_of_reach.get(error).copied()))
    }
}
