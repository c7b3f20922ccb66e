//! What is shown while a run goes on: one line that stays alive on a terminal, plain lines in a pipe.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use reports::{Entry, Journal, Verdict};

use crate::Claim;
use crate::runner::Observer;

/// Standard output that may be closed at any time.
#[derive(Debug, Default)]
pub(super) struct Output {
    is_closed: AtomicBool,
}

impl Output {
    /// Prints, unless nobody listens any more.
    pub(super) fn print(&self, text: &str) {
        if !self.is_closed() && io::stdout().lock().write_all(text.as_bytes()).is_err() {
            self.is_closed.store(true, Ordering::Relaxed);
        }
    }

    /// Whether somebody closed it.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }

    /// Hands on what is left; a failure means that it is closed.
    pub(super) fn flush(&self) {
        if io::stdout().flush().is_err() {
            self.is_closed.store(true, Ordering::Relaxed);
        }
    }
}

/// Shows a run and keeps its journal.
pub(super) struct Screen {
    output: Output,
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
    pub(super) fn new(journal: Journal, claims: usize) -> Self {
        let bar = io::stdout().is_terminal().then(|| bar(claims));
        let kept = Kept { journal, broken: None, bad: 0 };
        Self { output: Output::default(), bar, kept: Mutex::new(kept) }
    }

    /// Takes the live line away; says what became of the journal.
    pub(super) fn finish(self) -> (Output, Option<String>) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let kept = self.kept.into_inner().unwrap_or_else(PoisonError::into_inner);
        (self.output, kept.broken)
    }

    fn write(&self, act: impl FnOnce(&mut Journal) -> Result<(), reports::JournalError>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = act(&mut kept.journal) {
            kept.broken.get_or_insert(error.to_string());
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
            None => self.output.print(&format!("{line}\n")),
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
            None => self.output.print(&format!("note      {note}\n")),
            Some(bar) => bar.println(format!("note      {note}")),
        }
    }
}

/// One entry in one line.
pub(super) fn line(entry: &Entry) -> String {
    let why = match (&entry.why, entry.verdict) {
        (_, Verdict::Pass) | (None, _) => String::new(),
        (Some(why), _) => format!(": {}", why.lines().next().unwrap_or_default()),
    };
    format!("{:<9} {}{why}", entry.verdict, entry.name)
}

fn bar(claims: usize) -> ProgressBar {
    let bar = ProgressBar::new(claims as u64);
    if let Ok(style) =
        ProgressStyle::with_template("{spinner} {pos}/{len} {elapsed} {prefix:.red} {wide_msg:.dim}")
    {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}
