//! The outline of a run, which the formats share: its areas, what is bad in it, why claims were skipped.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::{Entry, Run, Verdict, plain};

/// The area of a claim: the first segment of its name.
pub(crate) fn area(name: &str) -> &str {
    name.split_once("::").map_or(name, |(area, _)| area)
}

/// The module and the function of a claim's name.
pub(crate) fn module_and_function(name: &str) -> (&str, &str) {
    name.rsplit_once("::").unwrap_or(("", name))
}

/// The entries of each area.
pub(crate) fn by_area(run: &Run) -> BTreeMap<&str, Vec<&Entry>> {
    let mut areas: BTreeMap<&str, Vec<&Entry>> = BTreeMap::new();
    for entry in &run.claims {
        areas.entry(area(&entry.name)).or_default().push(entry);
    }
    areas
}

/// What somebody has to act on, the worst first.
pub(crate) fn failures(run: &Run) -> Vec<&Entry> {
    let mut failures: Vec<_> = run.claims.iter().filter(|entry| entry.is_failure()).collect();
    // Stable, so that names stay sorted within a verdict.
    failures.sort_by_key(|entry| std::cmp::Reverse(entry.verdict));
    failures
}

/// Observed behaviour that is no longer so.
pub(crate) fn drift(run: &Run) -> Vec<&Entry> {
    run.claims.iter().filter(|entry| entry.is_drift()).collect()
}

/// The entries with `verdict`.
pub(crate) fn with(run: &Run, verdict: Verdict) -> Vec<&Entry> {
    run.claims.iter().filter(|entry| entry.verdict == verdict).collect()
}

/// The skipped claims by their reason, the commonest reason first.
pub(crate) fn skips(run: &Run) -> Vec<(String, Vec<&Entry>)> {
    let mut reasons: BTreeMap<String, Vec<&Entry>> = BTreeMap::new();
    for entry in with(run, Verdict::Skip) {
        reasons.entry(why(entry)).or_default().push(entry);
    }
    let mut reasons: Vec<_> = reasons.into_iter().collect();
    reasons.sort_by_key(|(_, entries)| std::cmp::Reverse(entries.len()));
    reasons
}

/// Why the verdict is what it is, on one line.
pub(crate) fn why(entry: &Entry) -> String {
    match entry.why.as_deref().map(plain::one_line) {
        Some(why) if !why.is_empty() => why,
        _ => "no reason given".to_owned(),
    }
}

/// How many claims there are and how many of each verdict that occurs: `5 claims: 4 pass, 1 fail`.
pub(crate) fn totals(run: &Run) -> String {
    let counts: Vec<_> = Verdict::ALL
        .into_iter()
        .filter_map(|verdict| match with(run, verdict).len() {
            0 => None,
            count => Some(format!("{count} {verdict}")),
        })
        .collect();
    match counts.is_empty() {
        true => "no claim was tried".to_owned(),
        false => format!("{}: {}", counted(run.claims.len(), "claim"), counts.join(", ")),
    }
}

/// `1 claim`, `2 claims`.
pub(crate) fn counted(count: usize, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}

/// What the run comes to, in a few words: `4 failures in 12 claims`.
pub(crate) fn headline(run: &Run) -> String {
    let claims = counted(run.claims.len(), "claim");
    match (run.claims.len(), failures(run).len()) {
        (0, _) => "no claim was tried".to_owned(),
        (_, 0) => format!("no failure in {claims}"),
        (_, failures) => format!("{} in {claims}", counted(failures, "failure")),
    }
}

/// How long the claim took; nothing, where the record says no time that can be.
pub(crate) fn time(entry: &Entry) -> Duration {
    Duration::try_from_secs_f64(entry.ms / 1000.0).unwrap_or_default()
}

/// How long the claims took together.
pub(crate) fn total_time<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Duration {
    entries.into_iter().map(time).fold(Duration::ZERO, Duration::saturating_add)
}
