//! `capabilities.tsv`: what KVM_CHECK_EXTENSION is asked about, and what shows that a capability does what it says.

use std::collections::BTreeSet;

use super::Since;
use super::table::{Cells, InterfaceError, number, rows};

/// A capability that x86 may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capability {
    /// What KVM_CHECK_EXTENSION takes.
    pub number: u32,
    /// The name in `linux/kvm.h`.
    pub name: &'static str,
    /// Since when it is there.
    pub since: Since,
    /// What shows its behaviour: any of these.
    pub seen_by: Vec<SeenBy>,
    /// Why no claim can be seen to show it.
    pub out_of_reach: Option<&'static str>,
}

/// What shows a capability's behaviour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeenBy {
    /// KVM_ENABLE_CAP of it succeeded.
    Enabling,
    /// This command succeeded on this kind of descriptor.
    Command(&'static str, &'static str),
    /// KVM_RUN came back for this reason, or its page showed this detail.
    Exit(&'static str),
}

const FILE: &str = "capabilities.tsv";
const COLUMNS: &[&str] = &[
    "number",
    "name",
    "since",
    "kernels",
    "enabled_on",
    "seen_by",
    "out_of_reach",
    "value",
    "enabling",
    "behaviour",
];
const ELSEWHERE: &[&str] = &["number", "name", "value"];

/// The capabilities of x86.
pub(super) fn read(text: &'static str) -> Result<Vec<Capability>, InterfaceError> {
    let mut seen = BTreeSet::new();
    let mut capabilities = Vec::new();
    for cells in rows(FILE, text, COLUMNS)? {
        let (number, name) = named(&cells, &mut seen)?;
        let seen_by: Option<Vec<_>> = cells.words("seen_by").into_iter().map(seen_by).collect();
        let seen_by = seen_by.ok_or_else(|| cells.wrong("seen_by", "what shows a capability"))?;
        let out_of_reach = cells.said("out_of_reach");
        if seen_by.is_empty() && out_of_reach.is_none() {
            return Err(cells.wrong("seen_by", "there, and nothing says why"));
        }
        let since = cells.read("since", "a kernel's version", Since::parse)?;
        capabilities.push(Capability { number, name, since, seen_by, out_of_reach });
    }
    Ok(capabilities)
}

/// The numbers and names of those of other architectures alone.
pub(super) fn read_elsewhere(text: &'static str) -> Result<Vec<(u32, &'static str)>, InterfaceError> {
    let mut seen = BTreeSet::new();
    let rows = rows("capabilities-elsewhere.tsv", text, ELSEWHERE)?;
    rows.iter().map(|cells| named(cells, &mut seen)).collect()
}

fn named(cells: &Cells, seen: &mut BTreeSet<u32>) -> Result<(u32, &'static str), InterfaceError> {
    let is_name = |text: &'static str| text.starts_with("KVM_CAP_").then_some(text);
    let name = cells.read("name", "a capability's name", is_name)?;
    let number = cells.read("number", "a capability's number", number)?;
    if seen.insert(number) { Ok((number, name)) } else { Err(cells.twice(format!("capability {number}"))) }
}

fn seen_by(word: &'static str) -> Option<SeenBy> {
    match word.split_once(':') {
        None if word == "enable" => Some(SeenBy::Enabling),
        Some(("exit", name)) => Some(SeenBy::Exit(name)),
        Some((descriptor @ ("system" | "vm" | "vcpu" | "device"), name)) => {
            Some(SeenBy::Command(descriptor, name))
        }
        _ => None,
    }
}
