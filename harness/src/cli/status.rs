//! Exit statuses, and the one sentence that is said where something cannot be done.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use clap::error::ErrorKind as UsageKind;
use reports::{Run, Verdict, one_line};

/// How a command ended, which is the program's exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Every claim held, was skipped or known; or there was nothing to try.
    Held,
    /// A claim is broken, or a run regressed.
    Broken,
    /// The command line makes no sense.
    Usage,
    /// The harness or the host broke.
    Fault,
    /// Nothing could be tried.
    Nothing,
    /// The run was interrupted.
    Interrupted,
}

impl Ending {
    /// What a run's verdicts amount to.
    pub(super) fn of(run: &Run) -> Self {
        let has = |verdict| run.totals.get(&verdict).is_some_and(|count| *count > 0);
        if run.claims.iter().any(reports::Entry::is_failure) {
            Self::Broken
        } else if has(Verdict::Fault) {
            Self::Fault
        } else if run.claims.iter().all(|entry| entry.verdict == Verdict::Skip) {
            Self::Nothing
        } else {
            Self::Held
        }
    }
}

impl From<Ending> for ExitCode {
    fn from(ending: Ending) -> Self {
        Self::from(match ending {
            Ending::Held => 0,
            Ending::Broken => 1,
            Ending::Usage => 2,
            Ending::Fault => 3,
            Ending::Nothing => 4,
            Ending::Interrupted => 130,
        })
    }
}

/// Why a command cannot be carried out: one sentence that names the cure.
#[derive(Debug, thiserror::Error)]
pub(super) enum Complaint {
    /// Something on the command line, or a file that it names, makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The host does not let it be done.
    #[error("{0}")]
    Fault(String),
    /// There is nothing to do it with.
    #[error("{0}")]
    Nothing(String),
}

impl From<&Complaint> for Ending {
    fn from(complaint: &Complaint) -> Self {
        match complaint {
            Complaint::Usage(_) => Self::Usage,
            Complaint::Fault(_) => Self::Fault,
            Complaint::Nothing(_) => Self::Nothing,
        }
    }
}

impl Complaint {
    /// Of an error that completes "cannot …", about something that the command line names.
    pub(super) fn unusable(error: impl Display) -> Self {
        Self::Usage(format!("cannot {error}"))
    }

    /// Of an error in writing to a place that the command line names: a disk that is full is the host's fault, anything else speaks
    /// against the place.
    pub(super) fn of_writing(error: &io::Error, sentence: String) -> Self {
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::Fault(sentence),
            _ => Self::Usage(sentence),
        }
    }
}

/// Says one sentence on standard error, on one line.
pub(super) fn say(sentence: impl Display) {
    let line = format!("assay: {}\n", one_line(&sentence.to_string()));
    // Where nobody listens there either, the status still tells.
    let _ = io::stderr().write_all(line.as_bytes());
}

/// Says what the parser has to say: help and the version are no errors.
pub(super) fn of_usage(error: &clap::Error, command: Option<&str>) -> ExitCode {
    let is_help = matches!(
        error.kind(),
        UsageKind::DisplayHelp
            | UsageKind::DisplayHelpOnMissingArgumentOrSubcommand
            | UsageKind::DisplayVersion
    );
    if is_help {
        let _ = error.print();
    } else {
        say(usage(&error.render().to_string(), command));
    }
    if error.use_stderr() { Ending::Usage.into() } else { Ending::Held.into() }
}

/// Says that a file of arguments, named by `@FILE`, cannot be read.
pub(super) fn of_lost_arguments(error: &io::Error) -> ExitCode {
    let why = reports::reason(error);
    say(format!(
        "cannot read the file of arguments that an @ names: {why}; name one that can be read, with one argument a line"
    ));
    Ending::Usage.into()
}

/// One sentence of the paragraphs that the parser makes: what is wrong, its tip, and where to read on.
fn usage(rendered: &str, command: Option<&str>) -> String {
    let paragraphs: Vec<_> = rendered.split("\n\n").map(one_line).collect();
    let beginning = |start: &str| paragraphs.iter().find_map(|paragraph| paragraph.strip_prefix(start));
    let wrong = beginning("error: ").unwrap_or("the command line makes no sense");
    // That an option may also be an argument behind `--` helps nobody here: a term is written `not:term`.
    let tip = beginning("tip: ").filter(|tip| !tip.starts_with("to pass "));
    let tip = tip.map(|tip| format!(" ({tip})")).unwrap_or_default();
    let command = command.map(|command| format!("{command} ")).unwrap_or_default();
    format!("{wrong}{tip}; assay {command}--help shows what can be written")
}

#[cfg(test)]
mod tests {
    use super::usage;

    #[test]
    fn what_the_parser_says_becomes_one_sentence() {
        let said = "error: the following required arguments were not provided:\n  <BEFORE>\n  <AFTER>\n\n\
                    Usage: assay diff <BEFORE> <AFTER> [QUERY]...\n\nFor more information, try '--help'.\n";
        assert_eq!(
            usage(said, Some("diff")),
            "the following required arguments were not provided: <BEFORE> <AFTER>; \
             assay diff --help shows what can be written"
        );
    }

    #[test]
    fn its_tip_is_kept() {
        let said = "error: unrecognized subcommand 'rum'\n\n  tip: a similar subcommand exists: 'run'\n\nUsage: assay <COMMAND>\n";
        assert_eq!(
            usage(said, None),
            "unrecognized subcommand 'rum' (a similar subcommand exists: 'run'); assay --help shows what can be written"
        );
    }
}
