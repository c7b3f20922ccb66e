//! `assay diff`: what changed between two runs.

use std::path::PathBuf;

use reports::{ChangeKind, Entry, Facts, Query, Run, changes, reason, write_text};

use super::screen::Output;
use super::selection::{nothing, parse};
use super::status::{Complaint, Ending};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  assay run --out before           and after the change: assay run --out after
  assay diff before after          status 1 if a claim regressed, 0 otherwise
  assay diff before after vcpu/    of the claims below vcpu alone")]
pub(super) struct Arguments {
    /// The earlier run: a run.json, a journal, or the directory that holds them.
    before: PathBuf,
    /// The later run.
    after: PathBuf,
    /// Which claims [default: all of them].
    query: Vec<String>,
}

pub(super) fn run(arguments: &Arguments) -> Result<Ending, Complaint> {
    let query = parse(&arguments.query)?;
    let load = |path: &PathBuf| Run::load(path).map_err(Complaint::unusable);
    let (before, after) = (load(&arguments.before)?, load(&arguments.after)?);
    if !arguments.query.is_empty()
        && !before.claims.iter().chain(&after.claims).any(|entry| is_named(&query, entry))
    {
        let names: Vec<_> =
            before.claims.iter().chain(&after.claims).map(|entry| entry.name.clone()).collect();
        let sentence =
            nothing(&arguments.query.join(" "), &names, "without a query all of them are compared");
        return Err(Complaint::Nothing(sentence));
    }
    let changes: Vec<_> =
        changes(&before, &after).into_iter().filter(|change| query.matches(&change.facts())).collect();
    let mut text = Vec::new();
    write_text(&mut text, &before, &after, &changes)
        .map_err(|error| Complaint::Fault(format!("cannot render the difference: {}", reason(&error))))?;
    let output = Output::default();
    output.print(&String::from_utf8_lossy(&text));
    output.end()?;
    let has_regressed = changes.iter().any(|change| change.kind == ChangeKind::Regressed);
    Ok(if has_regressed { Ending::Broken } else { Ending::Held })
}

/// Whether the query names the entry, changed or not.
fn is_named(query: &Query, entry: &Entry) -> bool {
    [false, true].into_iter().any(|different| query.matches(&Facts { different, ..Facts::from(entry) }))
}
