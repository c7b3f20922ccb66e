//! `assay report`: renders runs again.

use std::path::PathBuf;

use reports::{Facts, Query, Run, formats, reason};

use super::screen::Output;
use super::selection::{nothing, parse};
use super::status::{Complaint, Ending};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  assay report target/assay                            what the last run found out
  assay report target/assay --query status:fail,crash  what failed or crashed
  assay report target/assay --format markdown          for a bug report
  assay report other/run.json -f junit --out out.xml   for CI")]
pub(super) struct Arguments {
    /// The runs, rendered one after the other: a run.json each, a journal, or the directory that holds them.
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// The format: text, ktap, junit, json or markdown.
    #[arg(long, short, value_name = "FORMAT", default_value = "text")]
    format: String,
    /// Only the claims that a query names, such as status:fail.
    #[arg(long, short, value_name = "QUERY", allow_hyphen_values = true)]
    query: Option<String>,
    /// Where to write instead of standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<Ending, Complaint> {
    let format = reports::format(&arguments.format).ok_or_else(|| {
        let names: Vec<_> = formats().iter().map(|format| format.name).collect();
        Complaint::Usage(format!("there is no format {}: there are {}", arguments.format, names.join(", ")))
    })?;
    let mut text = Vec::new();
    for run in runs(arguments)? {
        (format.write)(&run, &mut text)
            .map_err(|error| Complaint::Fault(format!("cannot render the record: {}", reason(&error))))?;
    }
    match &arguments.out {
        Some(path) => std::fs::write(path, text).map_err(|error| {
            let (path, why) = (path.display(), reason(&error));
            let sentence = format!("cannot write {path}: {why}; name another place with --out FILE");
            Complaint::of_writing(&error, sentence)
        })?,
        None => {
            let output = Output::default();
            output.print(&String::from_utf8_lossy(&text));
            output.end()?;
        }
    }
    Ok(Ending::Held)
}

/// The runs, and of them what the query names; a complaint where it names nothing in any.
fn runs(arguments: &Arguments) -> Result<Vec<Run>, Complaint> {
    let query = arguments.query.as_deref().map(|text| Ok((text, parse(&[text.to_owned()])?))).transpose()?;
    let load = |path| Run::load(path).map_err(Complaint::unusable);
    let runs: Vec<_> = arguments.runs.iter().map(load).collect::<Result<_, _>>()?;
    let Some((text, query)) = query else { return Ok(runs) };
    let names: Vec<_> = runs.iter().flat_map(|run| &run.claims).map(|entry| entry.name.clone()).collect();
    let selected: Vec<_> = runs.into_iter().map(|run| selected(run, &query)).collect();
    match selected.iter().all(|run| run.claims.is_empty()) {
        true => Err(Complaint::Nothing(nothing(
            text,
            &names,
            "without --query every claim of the record is shown",
        ))),
        false => Ok(selected),
    }
}

fn selected(run: Run, query: &Query) -> Run {
    let Run { host, claims, notes, .. } = run;
    Run::new(host, claims.into_iter().filter(|entry| query.matches(&Facts::from(entry))).collect(), notes)
}
