//! `assay diff`: what changed between two runs.

use std::path::PathBuf;

use reports::{
    ChangeKind, Entry, Facts, Query, Run, changes, reason, write_html, write_markdown, write_text,
};

use super::screen::put;
use super::selection::{nothing, parse};
use super::status::{Complaint, Ending};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  assay run --out before           and after the change: assay run --out after
  assay diff before after          status 1 if a claim regressed, 0 otherwise
  assay diff before after vcpu/    of the claims below vcpu alone
  assay diff before after -f markdown -o comment.md
                                   for the comment on a pull request")]
pub(super) struct Arguments {
    /// The earlier run: a run.json, a journal, or the directory that holds them.
    before: PathBuf,
    /// The later run.
    after: PathBuf,
    /// Which claims [default: all of them].
    query: Vec<String>,
    /// How it is told: as text, as markdown for a comment on a pull request, or as a page of html.
    #[arg(long, short, value_enum, default_value = "text")]
    format: Form,
    /// Where to write instead of standard output.
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Form {
    Text,
    Markdown,
    Html,
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
    let write = match arguments.format {
        Form::Text => write_text,
        Form::Markdown => write_markdown,
        Form::Html => write_html,
    };
    write(&mut text, &before, &after, &changes)
        .map_err(|error| Complaint::Fault(format!("cannot render the difference: {}", reason(&error))))?;
    put(&text, arguments.out.as_deref())?;
    let has_regressed = changes.iter().any(|change| change.kind == ChangeKind::Regressed);
    Ok(if has_regressed { Ending::Broken } else { Ending::Held })
}

/// Whether the query names the entry, changed or not.
fn is_named(query: &Query, entry: &Entry) -> bool {
    [false, true].into_iter().any(|different| query.matches(&Facts { different, ..Facts::from(entry) }))
}
