//! `assay report`: renders runs again.

use std::path::{Path, PathBuf};

use reports::{Run, formats};

use super::screen::Output;
use super::selection::parse;
use super::status::{Complaint, Ending};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The runs: a run.json each, a journal, or the directory that holds them.
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// The format: text, ktap, junit, json or markdown.
    #[arg(long, short, value_name = "FORMAT", default_value = "text")]
    format: String,
    /// Only the claims that a query names, such as status:fail.
    #[arg(long, short, value_name = "QUERY")]
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
    for path in &arguments.runs {
        let run = selected(path, arguments.query.as_deref())?;
        (format.write)(&run, &mut text)
            .map_err(|error| Complaint::Fault(format!("cannot render {}: {error}", path.display())))?;
    }
    match &arguments.out {
        Some(path) => std::fs::write(path, text).map_err(|error| {
            Complaint::Usage(format!(
                "cannot write {}: {error}; name another place with --out",
                path.display()
            ))
        })?,
        None => {
            let output = Output::default();
            output.print(&String::from_utf8_lossy(&text));
            output.flush();
        }
    }
    Ok(Ending::Held)
}

fn selected(path: &Path, query: Option<&str>) -> Result<Run, Complaint> {
    let run = Run::load(path).map_err(|error| Complaint::Usage(error.to_string()))?;
    let Some(query) = query else { return Ok(run) };
    let query = parse(&[query.to_owned()])?;
    let matches = |entry: &reports::Entry| {
        query.matches(&reports::Facts {
            name: &entry.name,
            claim: &entry.claim,
            needs: &[],
            source: &entry.source,
            verdict: Some(entry.verdict),
            different: false,
        })
    };
    let Run { host, claims, notes, .. } = run;
    Ok(Run::new(host, claims.into_iter().filter(matches).collect(), notes))
}
