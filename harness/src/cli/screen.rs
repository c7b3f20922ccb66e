//! What is shown while a run goes on: one line that stays alive on a terminal, plain lines in a pipe.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use reports::{Entry, Journal, JournalError, Verdict, one_line, reason};

use super::status::Complaint;
use crate::Claim;
use crate::runner::Observer;

/// Standard output that may be closed at any time.
#[derive(Debug, Default)]
pub(super) struct Output {
    broken: OnceLock<io::Error>,
}

impl Output {
    /// Prints, unless nobody listens any more.
    pub(super) fn print(&self, text: &str) {
        self.attempt(|out| out.write_all(text.as_bytes()));
    }

    /// Hands on what is left, and says why not everything could be printed.
    pub(super) fn broken(&self) -> Option<String> {
        self.attempt(io::Write::flush);
        self.broken.get().map(|error| match error.kind() {
            ErrorKind::BrokenPipe => "standard output was closed".to_owned(),
            _ => format!("cannot write to standard output ({})", reason(error)),
        })
    }

    /// The end of a command whose whole purpose is to print: whoever closes its output has read enough.
    pub(super) fn end(&self) -> Result<(), Complaint> {
        match self.broken() {
            Some(why) if self.broken.get().is_some_and(|error| error.kind() != ErrorKind::BrokenPipe) => {
                Err(Complaint::Fault(format!("{why}: make room, or send it elsewhere")))
            }
            _ => Ok(()),
        }
    }

    fn attempt(&self, act: impl FnOnce(&mut io::StdoutLock<'static>) -> io::Result<()>) {
        if self.broken.get().is_none()
            && let Err(error) = act(&mut io::stdout().lock())
        {
            // Another thread may have been the first to find out: it does not matter which.
            let _ = self.broken.set(error);
        }
    }
}

/// How a run is shown while it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Shown {
    /// For people: a line that lives on a terminal, a line for each claim in a pipe, and the record as text.
    Text,
    /// For programs: each line of the journal as it is written.
    Jsonl,
}

/// Shows a run and keeps its journal.
pub(super) struct Screen {
    output: Output,
    shown: Shown,
    bar: Option<ProgressBar>,
    kept: Mutex<Kept>,
}

struct Kept {
    journal: Journal,
    broken: Option<String>,
    bad: usize,
}

impl Screen {
    /// A screen for a run of so many claims.
    pub(super) fn new(journal: Journal, claims: usize, shown: Shown) -> Self {
        let bar = (shown == Shown::Text && is_lively()).then(|| bar(claims));
        let journal = if shown == Shown::Jsonl { journal.told() } else { journal };
        let kept = Kept { journal, broken: None, bad: 0 };
        Self { output: Output::default(), shown, bar, kept: Mutex::new(kept) }
    }

    /// Takes the live line away; says what became of the journal.
    pub(super) fn finish(self) -> (Output, Option<String>) {
        match &self.bar {
            Some(bar) => bar.finish_and_clear(),
            None => self.print("\n"),
        }
        let kept = self.kept.into_inner().unwrap_or_else(PoisonError::into_inner);
        (self.output, kept.broken)
    }

    fn print(&self, text: &str) {
        if self.shown == Shown::Text {
            self.output.print(text);
        }
    }

    fn write(&self, act: impl FnOnce(&mut Journal) -> Result<(), JournalError>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = act(&mut kept.journal) {
            kept.broken.get_or_insert(format!("cannot {error}"));
        }
    }
}

impl Observer for Screen {
    fn began(&self, claim: &Claim) {
        let name = claim.name();
        self.write(|journal| journal.trying(&name));
        if let Some(bar) = &self.bar {
            bar.set_message(name);
        }
    }

    fn ended(&self, entry: &Entry) {
        self.write(|journal| journal.append(entry));
        let line = line(entry);
        match &self.bar {
            None => self.print(&format!("{line}\n")),
            Some(bar) => {
                if entry.is_failure() || entry.verdict == Verdict::Fault {
                    bar.println(line);
                    let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
                    kept.bad += 1;
                    bar.set_prefix(format!("{} bad", kept.bad));
                }
                bar.inc(1);
            }
        }
    }

    fn noted(&self, note: &str) {
        self.write(|journal| journal.note(note));
        match &self.bar {
            None => self.print(&format!("note      {note}\n")),
            Some(bar) => bar.println(format!("note      {note}")),
        }
    }
}

/// One entry in one line.
pub(super) fn line(entry: &Entry) -> String {
    format!("{:<9} {}{}", entry.verdict, entry.name, because(entry))
}

/// The first line of why an entry is what it is, behind a colon; nothing of one that held.
pub(super) fn because(entry: &Entry) -> String {
    match (&entry.why, entry.verdict) {
        (_, Verdict::Pass) | (None, _) => String::new(),
        (Some(why), _) => format!(": {}", one_line(why.lines().next().unwrap_or_default())),
    }
}

/// Whether standard output is a terminal that can take a line back.
pub(super) fn is_lively() -> bool {
    let is_dumb = std::env::var_os("TERM").is_none_or(|terminal| terminal == "dumb");
    io::stdout().is_terminal() && !is_dumb
}

fn bar(claims: usize) -> ProgressBar {
    // Where standard output is a terminal, standard error may still be a file.
    let bar = ProgressBar::with_draw_target(Some(claims as u64), ProgressDrawTarget::stdout());
    if let Ok(style) = ProgressStyle::with_template(
        "{spinner} {pos}/{len} {per_sec} {elapsed}, {eta} left {prefix:.red} {wide_msg:.dim}",
    ) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// Writes what a command made to a file, or to standard output where none is named.
pub(super) fn put(text: &[u8], path: Option<&Path>) -> Result<(), Complaint> {
    let Some(path) = path else {
        let output = Output::default();
        output.print(&String::from_utf8_lossy(text));
        return output.end();
    };
    std::fs::write(path, text).map_err(|error| {
        let (path, why) = (path.display(), reason(&error));
        let sentence = format!("cannot write {path}: {why}; name another place with --out FILE");
        Complaint::of_writing(&error, sentence)
    })
}
