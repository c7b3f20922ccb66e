//! What is noticed of a claim beside its verdict.

use std::collections::BTreeMap;

use reports::Verdict;

use crate::isolate::Report;

/// Descriptors left open, processes left behind, and, where the verdict asks for an explanation, what was printed.
pub(super) fn notes(report: &Report, verdict: Verdict) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(said) = report.said.as_ref().filter(|said| !said.open.is_empty()) {
        let descriptors = counted(said.open.len(), "descriptor", "descriptors");
        notes.push(format!("it left {descriptors} open: {}", tally(&said.open)));
    }
    let tallied = report.said.iter().flat_map(|said| &said.tallied);
    notes.extend(tallied.map(|(name, times)| format!("{name}, {times} ×")));
    if report.left_behind > 0 {
        let processes = counted(report.left_behind, "process", "processes");
        notes.push(format!("it left {processes} behind, killed now"));
    }
    if report.surviving > 0 {
        let processes = counted(report.surviving, "process", "processes");
        notes.push(format!("it left {processes} behind that could not be killed"));
    }
    if !report.output.is_empty() && !matches!(verdict, Verdict::Pass | Verdict::Skip) {
        notes.push(format!("it printed: {}", report.output));
    }
    notes
}

fn counted(count: usize, one: &str, several: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { several })
}

/// Each of the items once, with how many times it is there.
fn tally(items: &[String]) -> String {
    let mut counts = BTreeMap::new();
    for item in items {
        *counts.entry(item).or_insert(0) += 1;
    }
    let items = counts.into_iter().map(|(item, count)| match count {
        1 => item.clone(),
        _ => format!("{count} × {item}"),
    });
    items.collect::<Vec<_>>().join(", ")
}
