//! Changes as Markdown, short enough for the comment on a pull request.

use std::io;

use super::{Change, ChangeKind, counts, told, verdicts};
use crate::markdown::escaped;
use crate::{Run, host_changes, plain};

/// The most changes of one kind that are listed.
const MOST: usize = 40;

/// Writes `changes` between `before` and `after` as a page of Markdown: regressions open, the rest folded.
pub fn write_markdown(
    out: &mut dyn io::Write,
    before: &Run,
    after: &Run,
    changes: &[Change<'_>],
) -> io::Result<()> {
    writeln!(out, "## Assay: {}\n", counts(changes))?;
    writeln!(out, "| | |\n|---|---|")?;
    for (name, run) in [("before", before), ("after", after)] {
        writeln!(out, "| {name} | {} |", escaped(&run.host.summary()))?;
    }
    for kind in ChangeKind::ALL {
        let of_kind: Vec<_> = changes.iter().filter(|change| change.kind == kind).collect();
        if !of_kind.is_empty() {
            write_kind(out, kind, &of_kind)?;
        }
    }
    let hosts = host_changes(&before.host, &after.host);
    if !hosts.is_empty() {
        writeln!(out, "\n<details><summary>What differs between the hosts ({})</summary>\n", hosts.len())?;
        for line in hosts {
            writeln!(out, "* {}", escaped(&line))?;
        }
        writeln!(out, "\n</details>")?;
    }
    Ok(())
}

fn write_kind(out: &mut dyn io::Write, kind: ChangeKind, changes: &[&Change<'_>]) -> io::Result<()> {
    let (name, count, is_open) = (kind.name(), changes.len(), kind == ChangeKind::Regressed);
    match is_open {
        true => writeln!(out, "\n### {name} ({count})\n")?,
        false => writeln!(out, "\n<details><summary>{name} ({count})</summary>\n")?,
    }
    writeln!(out, "| claim | verdict | |\n|---|---|---|")?;
    for change in changes.iter().take(MOST) {
        let [name, claim] = [change.name, change.claim].map(|text| escaped(&plain::one_line(text)));
        let told: Vec<_> =
            told(change).iter().map(|(label, line)| format!("{label}: {}", escaped(line))).collect();
        writeln!(
            out,
            "| {claim}<br><code>{name}</code> | {} | {} |",
            escaped(&verdicts(change)),
            told.join("<br>")
        )?;
    }
    if let Some(more) = count.checked_sub(MOST).filter(|more| *more > 0) {
        writeln!(out, "\nand {more} more, which assay diff lists")?;
    }
    if is_open { Ok(()) } else { writeln!(out, "\n</details>") }
}
