//! Changes as text, for `assay diff`.

use std::collections::BTreeSet;
use std::io;

use crate::outline::{self, counted, why};
use crate::{Change, ChangeKind, Entry, Run, Verdict, host_changes, plain};

/// The most characters of a value that a line of a comparison shows.
const SHORT: usize = 160;

/// Writes `changes` between `before` and `after`: first the hosts, then regressions, then the rest.
pub fn write_text(
    out: &mut dyn io::Write,
    before: &Run,
    after: &Run,
    changes: &[Change<'_>],
) -> io::Result<()> {
    writeln!(out, "before  {}", before.host.summary())?;
    writeln!(out, "after   {}", after.host.summary())?;
    for line in host_changes(&before.host, &after.host) {
        writeln!(out, "        {line}")?;
    }
    for kind in ChangeKind::ALL {
        let of_kind: Vec<_> = changes.iter().filter(|change| change.kind == kind).collect();
        if !of_kind.is_empty() {
            writeln!(out, "\n{} ({})", kind.name(), of_kind.len())?;
        }
        for change in of_kind {
            write_change(out, change)?;
        }
    }
    write_totals(out, before, after, changes)
}

fn write_change(out: &mut dyn io::Write, change: &Change<'_>) -> io::Result<()> {
    writeln!(out, "  {}  {}", plain::one_line(change.name), verdicts(change))?;
    // What began or ceased to be tried, or appeared, is told by its line; what is or was wrong wants a look.
    let told = match change.kind {
        ChangeKind::Regressed | ChangeKind::Different => true,
        ChangeKind::Appeared => change.after.is_some_and(|entry| entry.verdict.is_bad()),
        ChangeKind::Fixed | ChangeKind::Vanished => false,
    };
    if !told {
        return Ok(());
    }
    writeln!(out, "    {}", plain::one_line(change.claim))?;
    if let Some(line) = change.before.filter(|entry| entry.verdict != Verdict::Pass).map(answer) {
        writeln!(out, "    before  {line}")?;
    }
    if let Some(line) = change.after.filter(|entry| entry.verdict != Verdict::Pass).map(answer) {
        writeln!(out, "    after   {line}")?;
    }
    let witness =
        change.after.filter(|entry| entry.verdict.is_bad()).and_then(|entry| entry.witness.as_ref());
    match witness.map(|witness| plain::one_line(&witness.replay)) {
        Some(replay) if !replay.is_empty() => writeln!(out, "    replay  {replay}"),
        _ => Ok(()),
    }
}

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

fn answer(entry: &Entry) -> String {
    let witness = entry.witness.as_ref();
    let seen = witness.and_then(|witness| witness.seen.as_deref()).map(plain::one_line);
    let line = match seen {
        Some(seen) => format!("saw {seen}: {}", why(entry)),
        None => why(entry),
    };
    plain::clipped(&line, SHORT)
}

fn write_totals(
    out: &mut dyn io::Write,
    before: &Run,
    after: &Run,
    changes: &[Change<'_>],
) -> io::Result<()> {
    let counts: Vec<_> = ChangeKind::ALL
        .into_iter()
        .map(|kind| (kind, changes.iter().filter(|change| change.kind == kind).count()))
        .filter(|(_, count)| *count > 0)
        .map(|(kind, count)| format!("{count} {}", kind.name()))
        .collect();
    let counts = if counts.is_empty() { "nothing changed".to_owned() } else { counts.join(", ") };
    writeln!(out, "\n{counts}")?;
    let faults = [before, after].map(|run| outline::with(run, Verdict::Fault));
    let faulty: BTreeSet<_> = faults.iter().flatten().map(|entry| &entry.name).collect();
    match faulty.len() {
        0 => Ok(()),
        count => writeln!(out, "not compared, because a fault says nothing: {}", counted(count, "claim")),
    }
}
