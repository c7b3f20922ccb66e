//! `assay report`: renders runs again.

use std::io;
use std::path::{Path, PathBuf};

use reports::{Facts, Format, Known, Matrix, Query, Run, formats, merged, reason, settle};

use super::screen::put;
use super::selection::{nothing, parse};
use super::status::{Complaint, Ending};
use crate::shipped_expectations;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  assay report target/assay                            what the last run found out
  assay report target/assay --query status:fail,crash  what failed or crashed
  assay report target/assay --format markdown          for a bug report
  assay report target/assay-lab/* -f html -o lab.html  several kernels on one page
  assay report 1 2 3 4 -f junit -o out.xml             the parts of a run that was split, as one
  assay report other/run.json -f junit --out out.xml   for CI")]
pub(super) struct Arguments {
    /// The runs, as HTML and Markdown side by side and otherwise one after the other: a run.json each, a journal, or the directory that holds them.
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// The format: text, html, ktap, junit, json, markdown, github (annotations) or badge (SVG).
    #[arg(long, short, value_name = "FORMAT", default_value = "text")]
    format: String,
    /// Only the claims that a query names, such as status:fail.
    #[arg(long, short, value_name = "QUERY", allow_hyphen_values = true)]
    query: Option<String>,
    /// Hold what is broken in the runs against today's expectations, which may explain more than there were when they were made.
    #[arg(long)]
    settle: bool,
    /// Where to write instead of standard output.
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<Ending, Complaint> {
    let format = reports::format(&arguments.format).ok_or_else(|| {
        let names: Vec<_> = formats().iter().map(|format| format.name).collect();
        Complaint::Usage(format!("there is no format {}: there are {}", arguments.format, names.join(", ")))
    })?;
    let mut text = Vec::new();
    render(format, &runs(arguments)?, &mut text)
        .map_err(|error| Complaint::Fault(format!("cannot render the record: {}", reason(&error))))?;
    put(&text, arguments.out.as_deref())?;
    Ok(Ending::Held)
}

fn render(format: &Format, runs: &[(String, Run)], text: &mut Vec<u8>) -> io::Result<()> {
    match format.side_by_side.filter(|_| runs.len() > 1) {
        Some(side_by_side) => {
            side_by_side(&Matrix::new(runs.iter().map(|(name, run)| (name.as_str(), run))), text)
        }
        None => runs.iter().try_for_each(|(_, run)| (format.write)(run, text)),
    }
}

/// The runs, and of them what the query names; a complaint where it names nothing in any.
fn runs(arguments: &Arguments) -> Result<Vec<(String, Run)>, Complaint> {
    let query = arguments.query.as_deref().map(|text| Ok((text, parse(&[text.to_owned()])?))).transpose()?;
    let mut runs = read(&arguments.runs)?;
    if arguments.settle {
        let known = shipped_expectations().map_err(|error| Complaint::Fault(error.to_string()))?;
        runs = runs.into_iter().map(|(name, run)| (name, settled(run, &known))).collect();
    }
    let Some((text, query)) = query else { return Ok(runs) };
    let names: Vec<_> =
        runs.iter().flat_map(|(_, run)| &run.claims).map(|entry| entry.name.clone()).collect();
    let selected: Vec<_> = runs.into_iter().map(|(name, run)| (name, selected(run, &query))).collect();
    match selected.iter().all(|(_, run)| run.claims.is_empty()) {
        true => Err(Complaint::Nothing(nothing(
            text,
            &names,
            "without --query every claim of the record is shown",
        ))),
        false => Ok(selected),
    }
}

/// The records at these paths, each under its name, with what was split made whole.
pub(super) fn read(paths: &[PathBuf]) -> Result<Vec<(String, Run)>, Complaint> {
    let load = |path: &PathBuf| {
        let run = Run::load(path).map_err(Complaint::unusable)?;
        Ok((name(path, &run), run))
    };
    let runs: Vec<_> = paths.iter().map(load).collect::<Result<_, _>>()?;
    merged(runs).map_err(Complaint::unusable)
}

/// What heads a run's column: the name of its directory, which the lab makes of the kernel and the processor.
fn name(path: &Path, run: &Run) -> String {
    let directory = if path.is_dir() { Some(path) } else { path.parent() };
    let name = directory.and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_else(|| run.host.release.clone())
}

/// The run with every claim that was found broken held against what is known. What held then was held against it then.
fn settled(run: Run, known: &[Known]) -> Run {
    let Run { host, mut claims, notes, .. } = run;
    for entry in claims.iter_mut().filter(|entry| entry.verdict.is_bad()) {
        settle(known, entry, &host);
    }
    Run::new(host, claims, notes)
}

fn selected(run: Run, query: &Query) -> Run {
    let Run { host, claims, notes, .. } = run;
    Run::new(host, claims.into_iter().filter(|entry| query.matches(&Facts::from(entry))).collect(), notes)
}
