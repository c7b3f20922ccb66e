//! What is shown while kernels run side by side: one live line each on a terminal, plain lines in a pipe. Each keeps its journal.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use reports::{Entry, Host, Journal, JournalError, Run, Verdict, one_line};

use super::resume::{ResumeError, same_machine};
use crate::cli::record;
use crate::cli::screen::{Output, is_lively, line};
use crate::lab::Watcher;

/// What is shown of all kernels.
pub(super) struct Screen {
    output: Output,
    bars: Option<MultiProgress>,
    claims: usize,
    width: usize,
}

/// What is shown of one kernel, and its journal.
pub(super) struct Line<'a> {
    screen: &'a Screen,
    name: String,
    out: PathBuf,
    bar: Option<ProgressBar>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    journal: Option<Journal>,
    /// The record that is gone on with.
    earlier: Option<Run>,
    broken: Option<String>,
    bad: usize,
}

impl Screen {
    /// A screen for so many claims and these kernels.
    pub(super) fn new(claims: usize, names: &[String]) -> Self {
        let bars = is_lively().then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stdout()));
        let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        Self { output: Output::default(), bars, claims, width }
    }

    /// The line of one kernel, whose record goes to `out`.
    pub(super) fn line(&self, name: &str, out: &Path) -> Line<'_> {
        let bar = self.bars.as_ref().map(|bars| bars.add(bar(self.claims, name, self.width)));
        Line { screen: self, name: name.to_owned(), out: out.to_owned(), bar, kept: Mutex::default() }
    }

    /// Takes the live lines away.
    pub(super) fn finish(self) -> Output {
        if let Some(bars) = &self.bars {
            // Where the terminal has gone there is nothing to clear.
            let _ = bars.clear();
        }
        self.output
    }
}

impl Line<'_> {
    /// Leaves the line as it is, or says why there is no record; hands over what became of the journal.
    pub(super) fn finish(self, lost: Option<&str>) -> Option<String> {
        let message = lost.unwrap_or("done").lines().next().unwrap_or_default().to_owned();
        if let Some(bar) = &self.bar {
            bar.finish_with_message(message);
        }
        self.kept.into_inner().unwrap_or_else(PoisonError::into_inner).broken
    }

    /// The journal begins with what this record says.
    pub(super) fn goes_on_with(&self, earlier: Run) {
        self.print(&format!(
            "goes on   {} of {} claims were tried before",
            earlier.claims.len(),
            self.screen.claims
        ));
        if let Some(bar) = &self.bar {
            bar.set_position(earlier.claims.len() as u64);
        }
        self.kept().earlier = Some(earlier);
    }

    fn write(&self, act: impl FnOnce(&mut Journal) -> Result<(), JournalError>) {
        let mut kept = self.kept();
        if let Some(Err(error)) = kept.journal.as_mut().map(act) {
            kept.broken.get_or_insert(format!("cannot {error}"));
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins the journal, with what is gone on with; whether this was the first of the machine's boots.
    fn begin(&self, host: &Host) -> Result<bool, ResumeError> {
        let mut kept = self.kept();
        if kept.journal.is_some() || kept.broken.is_some() {
            return Ok(false);
        }
        let begun = match kept.earlier.take() {
            None => record::begin(&self.out, host),
            Some(earlier) => {
                same_machine(&self.out, &earlier.host, host)?;
                record::go_on(&self.out, &earlier)
            }
        };
        match begun {
            Ok(journal) => kept.journal = Some(journal),
            Err(complaint) => kept.broken = Some(complaint.to_string()),
        }
        Ok(true)
    }

    fn print(&self, text: &str) {
        let (name, width) = (&self.name, self.screen.width);
        let text = format!("{name:<width$}  {text}");
        match &self.bar {
            Some(bar) => bar.println(text),
            None => self.screen.output.print(&format!("{text}\n")),
        }
    }
}

impl Watcher for Line<'_> {
    fn booted(&self, host: &Host) -> Result<(), String> {
        let is_first = self.begin(host).map_err(|error| error.to_string())?;
        match &self.bar {
            Some(bar) if is_first => bar.set_message("up"),
            None if is_first => self.print(&format!("booted    {}", host.summary())),
            _ => {}
        }
        Ok(())
    }

    fn began(&self, name: &str) {
        self.write(|journal| journal.trying(name));
        if let Some(bar) = &self.bar {
            bar.set_message(name.to_owned());
        }
    }

    fn ended(&self, entry: &Entry) {
        self.write(|journal| journal.append(entry));
        let is_bad = entry.is_failure() || entry.verdict == Verdict::Fault;
        if is_bad || self.bar.is_none() {
            self.print(&line(entry));
        }
        if let Some(bar) = &self.bar {
            bar.inc(1);
            if is_bad {
                let mut kept = self.kept();
                kept.bad += 1;
                bar.set_prefix(format!("{} bad", kept.bad));
            }
        }
    }

    fn noted(&self, note: &str) {
        self.write(|journal| journal.note(note));
        self.print(&format!("note      {}", one_line(note)));
    }
}

fn bar(claims: usize, name: &str, width: usize) -> ProgressBar {
    let bar = ProgressBar::new(claims as u64);
    let template = format!(
        "{{spinner}} {name:<width$} {{pos:>4}}/{{len}} {{elapsed:>4}}, {{eta:>4}} left {{prefix:.red}} {{wide_msg:.dim}}"
    );
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style);
    }
    bar.set_message("booting");
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}
