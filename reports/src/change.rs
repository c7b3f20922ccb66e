//! What changed between two runs, and whether it is bad news.
//!
//! Each pair of verdicts, before down and after across; `.` is no change, `!` Regressed, `+` Fixed, `~` Different.
//!
//! | | pass | fail | skip | known | surprise | crash | hang | fault |
//! |---|---|---|---|---|---|---|---|---|
//! | **pass** | . | ! | ~ | ~ | ~ | ! | ! | . |
//! | **fail** | + | value | ~ | ~ | + | ! | ! | . |
//! | **skip** | ~ | ~ | . | ~ | ~ | ~ | ~ | . |
//! | **known** | + | ! | ~ | value | + | ! | ! | . |
//! | **surprise** | ~ | ! | ~ | ~ | . | ! | ! | . |
//! | **crash** | + | ~ | ~ | ~ | + | value | ~ | . |
//! | **hang** | + | ~ | ~ | ~ | + | ~ | value | . |
//! | **fault** | . | . | . | . | . | . | . | . |
//!
//! *value*: Different if another value was seen (for a Known also if the reason is another), else no change. A Fault
//! says nothing of the claim, so nothing can be compared; [`write_text`] counts those. A Skip says nothing either, but
//! that a claim began or ceased to be tried is worth knowing. A claim that was broken as expected and now holds is
//! Fixed, and one that is broken in another way than was expected is Regressed. A Fail that becomes a Crash or a Hang
//! is Regressed: it costs more. Drift (see [`Entry::is_drift`]) is Different where a Fail would be Regressed.

mod host;
mod html;
mod markdown;
mod text;

use std::collections::BTreeMap;

use crate::{Entry, Facts, Run, Verdict, outline, plain};

pub use host::host_changes;
pub use html::write_html;
pub use markdown::write_markdown;
pub use text::write_text;

/// The most characters of a value that a line of a comparison shows.
const SHORT: usize = 160;

/// What changed for one claim between two runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change<'a> {
    /// The claim's name.
    pub name: &'a str,
    /// The claim's sentence, in the later run where it is in both.
    pub claim: &'a str,
    /// Its entry in the earlier run.
    pub before: Option<&'a Entry>,
    /// Its entry in the later run.
    pub after: Option<&'a Entry>,
    /// What kind of change it is.
    pub kind: ChangeKind,
}

/// The kinds of change, in the order in which they are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChangeKind {
    /// It was as it should be, or as expected, and is now bad.
    Regressed,
    /// It is not the same, and neither better nor worse.
    Different,
    /// It was broken, and holds.
    Fixed,
    /// It is in the earlier run only.
    Vanished,
    /// It is in the later run only.
    Appeared,
}

impl ChangeKind {
    /// Every kind, in the order in which they are told.
    pub const ALL: [Self; 5] =
        [Self::Regressed, Self::Different, Self::Fixed, Self::Vanished, Self::Appeared];

    /// The word for the kind.
    pub fn name(self) -> &'static str {
        match self {
            Self::Regressed => "regressed",
            Self::Different => "different",
            Self::Fixed => "fixed",
            Self::Vanished => "vanished",
            Self::Appeared => "appeared",
        }
    }
}

impl<'a> Change<'a> {
    /// What a query can ask about the change: the later entry's facts, or the earlier one's if there is no later.
    pub fn facts(&self) -> Facts<'a> {
        let facts = self.after.or(self.before).map(Facts::from).unwrap_or_default();
        Facts { different: true, ..facts }
    }
}

/// Every claim that changed between `before` and `after`, by kind and then by name.
pub fn changes<'a>(before: &'a Run, after: &'a Run) -> Vec<Change<'a>> {
    let mut pairs: BTreeMap<&str, (Option<&Entry>, Option<&Entry>)> = BTreeMap::new();
    for entry in &before.claims {
        pairs.entry(&entry.name).or_default().0 = Some(entry);
    }
    for entry in &after.claims {
        pairs.entry(&entry.name).or_default().1 = Some(entry);
    }
    let changed = pairs.into_iter().filter_map(|(name, (before, after))| {
        let kind = match (before, after) {
            (Some(before), Some(after)) => kind_of(before, after)?,
            (Some(_), None) => ChangeKind::Vanished,
            (None, _) => ChangeKind::Appeared,
        };
        let claim = after.or(before).map_or("", |entry| &entry.claim);
        Some(Change { name, claim, before, after, kind })
    });
    let mut changed: Vec<_> = changed.collect();
    changed.sort_by_key(|change| change.kind);
    changed
}

/// The table at the head of this file.
fn kind_of(before: &Entry, after: &Entry) -> Option<ChangeKind> {
    use ChangeKind::{Different, Fixed, Regressed};
    use Verdict::{Crash, Fail, Fault, Hang, Known, Pass, Skip, Surprise};
    match (before.verdict, after.verdict) {
        (Fault, _) | (_, Fault) | (Pass, Pass) | (Skip, Skip) | (Surprise, Surprise) => None,
        (Fail, Fail) | (Known, Known) | (Crash, Crash) | (Hang, Hang) => {
            (answer(before) != answer(after)).then_some(Different)
        }
        (Pass | Known | Surprise, Fail) if after.is_drift() => Some(Different),
        (Pass | Known | Surprise, Fail | Crash | Hang) | (Fail, Crash | Hang) => Some(Regressed),
        (Fail | Known | Crash | Hang, Pass | Surprise) => Some(Fixed),
        (Skip, _) | (_, Skip | Known) => Some(Different),
        (Pass, Surprise) | (Surprise, Pass) => Some(Different),
        (Crash, Fail | Hang) | (Hang, Fail | Crash) => Some(Different),
    }
}

/// What a broken claim answered: the value seen, and for an expected one the reason that is given for it. Where there
/// is no value the reason is all there is.
fn answer(entry: &Entry) -> (Option<&str>, Option<&str>) {
    let seen = entry.witness.as_ref().and_then(|witness| witness.seen.as_deref());
    let why = entry.why.as_deref().filter(|_| seen.is_none() || entry.verdict == Verdict::Known);
    (seen, why)
}

/// How many changes there are of each kind, in words.
fn counts(changes: &[Change<'_>]) -> String {
    let counts: Vec<_> = ChangeKind::ALL
        .into_iter()
        .map(|kind| (kind, changes.iter().filter(|change| change.kind == kind).count()))
        .filter(|(_, count)| *count > 0)
        .map(|(kind, count)| format!("{count} {}", kind.name()))
        .collect();
    if counts.is_empty() { "nothing changed".to_owned() } else { counts.join(", ") }
}

/// The verdict before and after.
fn verdicts(change: &Change<'_>) -> String {
    match (change.before, change.after) {
        (Some(before), Some(after)) if before.verdict == after.verdict => {
            format!("{}, as before", after.verdict)
        }
        (Some(before), Some(after)) => format!("{} → {}", before.verdict, after.verdict),
        (Some(only), None) | (None, Some(only)) => only.verdict.to_string(),
        (None, None) => String::new(),
    }
}

/// What was answered before and after, and how to see it again. What merely began or ceased to be tried, or appeared, is told by its
/// name; what is or was wrong wants a look.
fn told(change: &Change<'_>) -> Vec<(&'static str, String)> {
    let wants_a_look = match change.kind {
        ChangeKind::Regressed | ChangeKind::Different => true,
        ChangeKind::Appeared => change.after.is_some_and(|entry| entry.verdict.is_bad()),
        ChangeKind::Fixed | ChangeKind::Vanished => false,
    };
    if !wants_a_look {
        return Vec::new();
    }
    let said = |entry: &&Entry| entry.verdict != Verdict::Pass;
    let witness =
        change.after.filter(|entry| entry.verdict.is_bad()).and_then(|entry| entry.witness.as_ref());
    let replay = witness.map(|witness| plain::one_line(&witness.replay)).filter(|replay| !replay.is_empty());
    [
        ("before", change.before.filter(said).map(answered)),
        ("after", change.after.filter(said).map(answered)),
        ("replay", replay),
    ]
    .into_iter()
    .filter_map(|(label, line)| Some((label, line?)))
    .collect()
}

fn answered(entry: &Entry) -> String {
    let seen = entry.witness.as_ref().and_then(|witness| witness.seen.as_deref()).map(plain::one_line);
    let line = match seen {
        Some(seen) => format!("saw {seen}: {}", outline::why(entry)),
        None => outline::why(entry),
    };
    plain::clipped(&line, SHORT)
}
