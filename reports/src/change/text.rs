//! Changes as text, for `assay diff`.

use std::collections::BTreeSet;
use std::io;

use super::{counts, told, verdicts};
use crate::outline::{self, counted};
use crate::{Change, ChangeKind, Run, Verdict, host_changes, plain};

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
    let told = told(change);
    if !told.is_empty() {
        writeln!(out, "    {}", plain::one_line(change.claim))?;
    }
    told.iter().try_for_each(|(label, line)| writeln!(out, "    {label:8}{line}"))
}

fn write_totals(
    out: &mut dyn io::Write,
    before: &Run,
    after: &Run,
    changes: &[Change<'_>],
) -> io::Result<()> {
    writeln!(out, "\n{}", counts(changes))?;
    let faults = [before, after].map(|run| outline::with(run, Verdict::Fault));
    let faulty: BTreeSet<_> = faults.iter().flatten().map(|entry| &entry.name).collect();
    match faulty.len() {
        0 => Ok(()),
        count => writeln!(out, "not compared, because a fault says nothing: {}", counted(count, "claim")),
    }
}
