//! One kernel's whole run: it is booted, listened to, and booted again after a claim that it died of, until there is nothing left to
//! try.
//!
//! A claim that a kernel died of is a Crash with the kernel's last words. It is tried a second time, last and in a fresh machine, so
//! that the record says whether it kills by itself; never a third time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use reports::{Entry, Host, Run, Verdict, Witness, settle};

use super::boot::BootError;
use super::channel::Word;
use super::death::{Console, Death};
use super::orders::Orders;
use crate::Claim;
use crate::runner::{Interrupt, blank};

/// How often an interrupt and the watchdog are looked at.
const TICK: Duration = Duration::from_millis(100);
/// How long a machine that panicked has to end by itself.
const AFTER_PANIC: Duration = Duration::from_secs(5);
/// How often a kernel is booted in vain before it is given up.
const IN_VAIN: u32 = 2;

/// What can be booted.
pub(crate) trait Boot {
    /// Boots it with these orders.
    fn boot(&self, orders: &Orders) -> Result<Box<dyn Emulator>, BootError>;
}

/// A machine that runs, until it is dropped.
pub(crate) trait Emulator {
    /// What happens next, waited for no longer than `patience`.
    fn next(&mut self, patience: Duration) -> Event;
}

/// What happens to a machine.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    /// A line of the channel.
    Said(Word),
    /// A line of the channel that is damaged.
    Garbled(String),
    /// A line of the console, or of the emulator itself.
    Console(String),
    /// The machine ended; the emulator's own failure, if it was one.
    Ended {
        /// How it exited, where not as it should.
        failure: Option<String>,
    },
    /// Nothing.
    Quiet,
}

/// Hears of a kernel's run while it goes on.
pub(crate) trait Watcher {
    /// The kernel is up, with its KVM. Where it is not the one that is wanted, why not; completes "cannot …".
    fn booted(&self, host: &Host) -> Result<(), String>;
    /// A claim's trial begins.
    fn began(&self, name: &str);
    /// Something is said of a claim, or said anew.
    fn ended(&self, entry: &Entry);
    /// Something is said of the run as a whole.
    fn noted(&self, note: &str);
}

/// What is to be tried on a kernel.
pub(crate) struct Plan {
    /// The claims, in this order.
    pub(crate) claims: Vec<&'static Claim>,
    /// What the init is told beside the claims.
    pub(crate) orders: Orders,
    /// How to ask for one claim again, but for its name.
    pub(crate) replay: String,
    /// How long a kernel may take to its first word.
    pub(crate) boot: Duration,
    /// How long it may be silent from then on.
    pub(crate) silence: Duration,
}

/// Why there is no record of a kernel; each completes "cannot …".
#[derive(Debug, thiserror::Error)]
pub(crate) enum LostError {
    /// It cannot be booted at all.
    #[error(transparent)]
    Boot(#[from] BootError),
    /// Its init was never heard of.
    #[error("reach init in this kernel: {death}; its last words: {words}")]
    NoInit {
        /// How it ended.
        death: Death,
        /// What its console said last.
        words: String,
    },
    /// There is no KVM in it.
    #[error("use KVM in this kernel: {0}")]
    NoKvm(String),
    /// It is not the one that is wanted.
    #[error("{0}")]
    Unwanted(String),
    /// It was interrupted before anything was known.
    #[error("tell anything of this kernel: it was interrupted before it was up")]
    Interrupted,
}

/// One kernel's run.
pub(crate) struct Session<'a> {
    lab: &'a dyn Boot,
    plan: &'a Plan,
    watcher: &'a dyn Watcher,
    interrupt: &'a Interrupt,
    host: Option<Host>,
    entries: BTreeMap<String, Entry>,
    /// How often the machine died of a claim.
    deaths: BTreeMap<String, u32>,
    notes: Vec<String>,
}

/// One boot, from its start to its end.
struct Life {
    console: Console,
    is_up: bool,
    trying: Option<(String, Instant)>,
    clock: Duration,
    /// When anything was heard on the channel.
    heard: Instant,
    /// When it was more than a beat.
    news: Instant,
    panicked: Option<Instant>,
}

enum End {
    Goodbye,
    Interrupted,
    NoKvm(String),
    Unwanted(String),
    Died(Death),
}

impl<'a> Session<'a> {
    pub(crate) fn new(
        lab: &'a dyn Boot,
        plan: &'a Plan,
        watcher: &'a dyn Watcher,
        interrupt: &'a Interrupt,
    ) -> Self {
        let (entries, deaths) = (BTreeMap::new(), BTreeMap::new());
        Self { lab, plan, watcher, interrupt, host: None, entries, deaths, notes: Vec::new() }
    }

    /// Boots the kernel until every claim was tried, and makes the record.
    pub(crate) fn run(mut self) -> Result<Run, LostError> {
        let mut in_vain = 0;
        loop {
            let claims = self.left();
            if claims.is_empty() {
                break;
            }
            let count = claims.len();
            let mut machine = self.lab.boot(&Orders { claims, ..self.plan.orders.clone() })?;
            let mut life = Life::new();
            match self.live(&mut *machine, &mut life) {
                End::Interrupted => break,
                End::NoKvm(why) => return Err(LostError::NoKvm(why)),
                End::Unwanted(why) => return Err(LostError::Unwanted(why)),
                End::Goodbye => {}
                End::Died(death) => self.died(&death, &life)?,
            }
            in_vain = if self.left().len() < count || life.trying.is_some() { 0 } else { in_vain + 1 };
            if in_vain == IN_VAIN {
                self.give_up();
                break;
            }
        }
        let host = self.host.ok_or(LostError::Interrupted)?;
        Ok(Run::new(host, self.entries.into_values().collect(), self.notes))
    }

    /// What is still to be tried: first what never was, then what the machine died of once.
    fn left(&self) -> Vec<String> {
        let names = self.plan.claims.iter().map(|claim| claim.name());
        let (once, rest): (Vec<_>, Vec<_>) = names
            .filter(|name| !self.entries.contains_key(name) || self.deaths.get(name) == Some(&1))
            .partition(|name| self.deaths.contains_key(name));
        rest.into_iter().chain(once).collect()
    }

    fn live(&mut self, machine: &mut dyn Emulator, life: &mut Life) -> End {
        loop {
            if self.interrupt.is_set() {
                return End::Interrupted;
            }
            match machine.next(TICK) {
                Event::Said(word) => {
                    if let Some(end) = self.hear(word, life) {
                        return end;
                    }
                }
                Event::Garbled(line) => self.note(format!("a line of the channel is damaged: {line}")),
                Event::Console(line) => life.console(&line),
                Event::Ended { failure } => {
                    return End::Died(match (life.console.panic(), failure) {
                        (Some(line), _) => Death::Panicked(line),
                        (None, Some(exit)) => Death::Emulator(exit),
                        (None, None) => Death::Rebooted,
                    });
                }
                Event::Quiet => {}
            }
            if let Some(death) = life.overdue(self.plan) {
                return End::Died(death);
            }
        }
    }

    fn hear(&mut self, word: Word, life: &mut Life) -> Option<End> {
        life.heard = Instant::now();
        if word != Word::Beat {
            life.news = life.heard;
        }
        match word {
            Word::Host { facts, clock } => {
                life.is_up = true;
                life.clock = Duration::from_millis(clock);
                for complaint in life.console.complaints() {
                    self.note(format!("the kernel complained before any claim was tried: {complaint}"));
                }
                if self.host.is_none() {
                    if let Err(why) = self.watcher.booted(&facts) {
                        return Some(End::Unwanted(why));
                    }
                    self.host = Some(*facts);
                }
            }
            Word::Trying(name) => {
                life.console.mark();
                self.watcher.began(&name);
                life.trying = Some((name, Instant::now()));
            }
            Word::Entry(entry) => {
                life.trying = None;
                self.entry(*entry);
            }
            Word::Note(note) => self.note(note),
            Word::Beat => {}
            Word::Unusable(why) => return Some(End::NoKvm(why)),
            Word::Goodbye => return Some(End::Goodbye),
        }
        None
    }

    /// Takes what the inside says of a claim. Where the kernel died of it before, that stays the verdict.
    fn entry(&mut self, entry: Entry) {
        let name = entry.name.clone();
        let Some(earlier) = self.entries.get(&name).filter(|_| self.deaths.contains_key(&name)).cloned()
        else {
            return self.keep(entry);
        };
        self.deaths.insert(name, 2);
        if earlier.verdict == Verdict::Fault {
            let note =
                format!("tried a second time, because the first time {}", earlier.why.unwrap_or_default());
            let notes = entry.notes.iter().cloned().chain([note]).collect();
            return self.keep(Entry { notes, ..entry });
        }
        let note = format!(
            "tried a second time, in a fresh machine, it was a {}, and the kernel lived",
            entry.verdict
        );
        let notes = earlier.notes.iter().cloned().chain([note]).collect();
        self.keep(Entry { notes, ..earlier });
    }

    /// Makes of a machine that died what it says of the claim that was tried, or of the run.
    fn died(&mut self, death: &Death, life: &Life) -> Result<(), LostError> {
        let words = life.console.last_words();
        if self.host.is_none() {
            return Err(LostError::NoInit { death: death.clone(), words: words.join(" / ") });
        }
        let Some((name, since)) = &life.trying else {
            self.note(format!("while no claim was tried, {death}: {}", words.join(" / ")));
            return Ok(());
        };
        let Some(claim) = self.plan.claims.iter().find(|claim| claim.name() == *name) else { return Ok(()) };
        let deaths = self.deaths.entry(name.clone()).or_insert(0);
        *deaths += 1;
        if let Some(mut earlier) = self.entries.get(name).filter(|_| *deaths > 1).cloned() {
            earlier.notes.push(format!("tried a second time, in a fresh machine: {death}"));
            self.keep(earlier);
            return Ok(());
        }
        let verdict = if death.is_the_kernels() { Verdict::Crash } else { Verdict::Fault };
        let witness = Witness { detail: words, ..Witness::default() };
        self.keep(Entry {
            why: Some(death.to_string()),
            witness: Some(witness),
            ms: since.elapsed().as_secs_f64() * 1000.0,
            ..blank(claim, verdict)
        });
        Ok(())
    }

    /// Says of what is left that nothing can be said of it.
    fn give_up(&mut self) {
        let left = self.left();
        for claim in self.plan.claims.iter().filter(|claim| left.contains(&claim.name())) {
            // What the kernel died of once has its entry.
            if !self.entries.contains_key(&claim.name()) {
                let why = format!(
                    "the kernel was booted {IN_VAIN} times in vain: the notes of the run say how it ended"
                );
                self.keep(Entry { why: Some(why), ..blank(claim, Verdict::Fault) });
            }
        }
    }

    fn keep(&mut self, mut entry: Entry) {
        if let Some(host) = &self.host {
            settle(&self.plan.orders.known, &mut entry, host);
        }
        if let Some(witness) = &mut entry.witness {
            // What the inside says of this is true inside.
            witness.replay = format!("{} {}", self.plan.replay, entry.name);
        }
        self.watcher.ended(&entry);
        self.entries.insert(entry.name.clone(), entry);
    }

    fn note(&mut self, note: String) {
        self.watcher.noted(&note);
        self.notes.push(note);
    }
}

impl Life {
    fn new() -> Self {
        let now = Instant::now();
        let console = Console::default();
        let clock = Duration::ZERO;
        Self { console, is_up: false, trying: None, clock, heard: now, news: now, panicked: None }
    }

    fn console(&mut self, line: &str) {
        self.console.push(line);
        if line.contains("Kernel panic") {
            self.panicked.get_or_insert_with(Instant::now);
        }
    }

    /// What the machine died of, where it had its time and more.
    fn overdue(&self, plan: &Plan) -> Option<Death> {
        if self.panicked.is_some_and(|at| at.elapsed() > AFTER_PANIC) {
            return self.console.panic().map(Death::Panicked);
        }
        let silence = if self.is_up { plan.silence } else { plan.boot };
        if self.heard.elapsed() >= silence {
            return Some(Death::Silent(silence));
        }
        // Every case winds the claim's clock, and a failing one is made smaller; the inside has seen to all that long before.
        let patience = plan.silence + plan.orders.budget + self.clock * 8;
        (self.is_up && self.news.elapsed() >= patience).then_some(Death::Stuck(patience))
    }
}

#[cfg(test)]
mod tests;
