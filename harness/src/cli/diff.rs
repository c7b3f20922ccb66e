//! `assay diff`: what changed between two runs.

use std::path::PathBuf;

use reports::{ChangeKind, Run, changes, write_text};

use super::screen::Output;
use super::selection::parse;
use super::status::{Complaint, Ending};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The earlier run: a run.json, a journal, or the directory that holds them.
    before: PathBuf,
    /// The later run.
    after: PathBuf,
    /// Which claims; all of them if not given.
    query: Vec<String>,
}

pub(super) fn run(arguments: &Arguments) -> Result<Ending, Complaint> {
    let query = parse(&arguments.query)?;
    let load = |path: &PathBuf| Run::load(path).map_err(|error| Complaint::Usage(error.to_string()));
    let (before, after) = (load(&arguments.before)?, load(&arguments.after)?);
    let changes: Vec<_> =
        changes(&before, &after).into_iter().filter(|change| query.matches(&change.facts())).collect();
    let mut text = Vec::new();
    write_text(&mut text, &before, &after, &changes)
        .map_err(|error| Complaint::Fault(format!("cannot render the difference: {error}")))?;
    let output = Output::default();
    output.print(&String::from_utf8_lossy(&text));
    output.flush();
    let has_regressed = changes.iter().any(|change| change.kind == ChangeKind::Regressed);
    Ok(if has_regressed { Ending::Broken } else { Ending::Held })
}
