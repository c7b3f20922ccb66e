//! `exits.tsv`: why KVM_RUN comes back, and what the run page tells beside that.

use std::collections::BTreeSet;

use super::Since;
use super::table::{InterfaceError, number, rows};

/// A reason for which KVM_RUN comes back, or a detail that the run page tells beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Which of both.
    pub row: ExitRow,
    /// The name: in `linux/kvm.h`, or where that has none, a field of the run page.
    pub name: &'static str,
    /// Since when it is there.
    pub since: Since,
    /// The only vendor whose module gives it, as it calls itself.
    pub vendor: Option<&'static str>,
    /// Why no claim can see it.
    pub out_of_reach: Option<&'static str>,
}

/// What a row of `exits.tsv` is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitRow {
    /// An exit reason, by number.
    Reason(u32),
    /// What the run page tells beside the reason.
    Detail,
}

const COLUMNS: &[&str] = &[
    "row",
    "number",
    "name",
    "of",
    "since",
    "vendor",
    "out_of_reach",
    "where",
    "svm",
    "vmx",
    "guest",
    "host",
    "notes",
];

/// The reasons, each before its details.
pub(super) fn read(text: &'static str) -> Result<Vec<Exit>, InterfaceError> {
    let mut seen = BTreeSet::new();
    let mut exits = Vec::new();
    for cells in rows("exits.tsv", text, COLUMNS)? {
        let row = match cells.text("row")? {
            "exit" => ExitRow::Reason(cells.read("number", "an exit's number", number)?),
            "detail" => ExitRow::Detail,
            _ => return Err(cells.wrong("row", "a kind of row")),
        };
        let name = cells.text("name")?;
        if !seen.insert(name) {
            return Err(cells.twice(name.to_owned()));
        }
        let vendor = match cells.said("vendor") {
            None => None,
            vendor @ Some("AMD" | "Intel") => vendor,
            Some(_) => return Err(cells.wrong("vendor", "AMD or Intel")),
        };
        let since = match cells.said("since") {
            None => Since::always(),
            Some(_) => cells.read("since", "a kernel's version", Since::parse)?,
        };
        exits.push(Exit { row, name, since, vendor, out_of_reach: cells.said("out_of_reach") });
    }
    Ok(exits)
}
