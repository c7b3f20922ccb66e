//! Many claims at once: workers that each have a keeper, the kernel's log beside them, and a record at the end.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use reports::{Entry, Run};

use super::Settings;
use super::kernel_log::KernelLog;
use super::trial::{Trial, is_complained_of};
use crate::isolate::{Interrupter, Keeper, KeeperError, What};
use crate::{Claim, Facts};

/// How many keepers a claim may lose before it is taken for the one that kills them.
const ATTEMPTS: usize = 2;

/// Hears of a run while it goes on, from the workers' threads.
pub trait Observer: Sync {
    /// A claim's trial begins.
    fn began(&self, claim: &Claim);

    /// A claim's trial ended.
    fn ended(&self, entry: &Entry);

    /// Something is said of the run as a whole.
    fn noted(&self, note: &str);
}

/// Ends a run before its time.
#[derive(Debug, Default)]
pub struct Interrupt {
    is_set: AtomicBool,
    keepers: Mutex<Vec<Interrupter>>,
}

impl Interrupt {
    /// Ends the run: what is being tried is killed and left out of the record.
    pub fn interrupt(&self) {
        self.is_set.store(true, Ordering::SeqCst);
        for keeper in lock(&self.keepers).iter() {
            keeper.interrupt();
        }
    }

    /// Whether the run was ended.
    pub fn is_set(&self) -> bool {
        self.is_set.load(Ordering::SeqCst)
    }

    fn keep(&self, keeper: &Keeper) {
        let mut keepers = lock(&self.keepers);
        // Those that this one replaces hold a descriptor each.
        keepers.retain(|keeper| !keeper.is_over());
        keepers.extend(keeper.interrupter());
        drop(keepers);
        // The interrupt may have come between the start of the keeper and this.
        if self.is_set() {
            self.interrupt();
        }
    }
}

/// Tries every claim whose needs the host meets, and makes the record.
pub fn run(
    claims: &[&'static Claim],
    facts: &Facts,
    settings: &Settings,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Run {
    let pool = Pool {
        facts,
        settings,
        observer,
        interrupt,
        log: KernelLog::open(&settings.kernel_log),
        queue: Mutex::new(claims.iter().copied().collect()),
        entries: Mutex::new(Vec::new()),
    };
    thread::scope(|scope| {
        for _ in 0..settings.workers.clamp(1, claims.len().max(1)) {
            scope.spawn(|| pool.worker());
        }
    });
    let notes = pool.notes(claims);
    Run::new(facts.host.clone(), pool.entries.into_inner().unwrap_or_else(PoisonError::into_inner), notes)
}

/// Tries one claim with the cases that are named, and makes its entry.
pub fn try_one(
    claim: &'static Claim,
    what: What,
    facts: &Facts,
    settings: &Settings,
) -> Result<Entry, KeeperError> {
    if let Some(entry) = Trial::unmet(claim, facts) {
        return Ok(entry);
    }
    let log = KernelLog::open(&settings.kernel_log);
    let mut keeper = settings.keeper()?;
    Trial::new(claim, settings, &mut keeper, &log).entry(what, facts)
}

struct Pool<'a> {
    facts: &'a Facts,
    settings: &'a Settings,
    observer: &'a dyn Observer,
    interrupt: &'a Interrupt,
    log: KernelLog,
    queue: Mutex<VecDeque<&'static Claim>>,
    entries: Mutex<Vec<Entry>>,
}

impl Pool<'_> {
    fn worker(&self) {
        let mut keeper = None;
        while !self.interrupt.is_set() {
            let Some(claim) = lock(&self.queue).pop_front() else { break };
            self.observer.began(claim);
            let entry = match Trial::unmet(claim, self.facts) {
                Some(entry) => entry,
                None => match self.attempt(claim, &mut keeper) {
                    Ok(entry) => entry,
                    Err(_) if self.interrupt.is_set() => break,
                    Err(error) => {
                        keeper = None;
                        Trial::fault(claim, &error)
                    }
                },
            };
            self.observer.ended(&entry);
            lock(&self.entries).push(entry);
        }
    }

    fn attempt(&self, claim: &'static Claim, keeper: &mut Option<Keeper>) -> Result<Entry, KeeperError> {
        for _ in 0..ATTEMPTS {
            match self.trial(claim, self.keeper(keeper)?).entry(self.cases(claim), self.facts) {
                Err(KeeperError::Lost) if !self.interrupt.is_set() => *keeper = None,
                ended => return ended,
            }
        }
        Ok(Trial::without_keeper(claim))
    }

    fn trial<'t>(&'t self, claim: &'static Claim, keeper: &'t mut Keeper) -> Trial<'t> {
        Trial::new(claim, self.settings, keeper, &self.log)
    }

    fn keeper<'k>(&self, kept: &'k mut Option<Keeper>) -> Result<&'k mut Keeper, KeeperError> {
        match kept.take().filter(Keeper::is_usable) {
            Some(keeper) => Ok(kept.insert(keeper)),
            None => {
                let started = kept.insert(self.settings.keeper()?);
                self.interrupt.keep(started);
                Ok(started)
            }
        }
    }

    fn cases(&self, claim: &Claim) -> What {
        What::Cases { seed: self.settings.seed, regressions: self.regressions(claim) }
    }

    fn regressions(&self, claim: &Claim) -> Vec<Vec<serde_json::Value>> {
        let name = claim.name();
        let of_claim = self.settings.regressions.iter().filter(|regression| regression.claim == name);
        of_claim.map(|regression| regression.input.clone()).collect()
    }

    /// What is said of the run as a whole. Where the kernel complained and named no claim, each claim is tried again alone: the one
    /// that makes it complain each time Fails, and what does not come again is told as it is.
    fn notes(&self, claims: &[&'static Claim]) -> Vec<String> {
        let mut notes = Vec::new();
        let mut note = |note: String| {
            self.observer.noted(&note);
            notes.push(note);
        };
        for splat in self.log.late() {
            note(format!("the kernel complained of a claim that had ended: {}", splat.lines.join(" / ")));
        }
        let loose = self.log.loose();
        for splat in &loose {
            note(format!("the kernel complained, and named no claim: {}", splat.lines.join(" / ")));
        }
        if !loose.is_empty() {
            self.again_alone(claims);
        }
        if self.interrupt.is_set() {
            let left = claims.len() - lock(&self.entries).len();
            note(format!("interrupted: {left} of {} claims were not tried", claims.len()));
        }
        notes
    }

    fn again_alone(&self, claims: &[&'static Claim]) {
        let mut kept = None;
        for claim in claims.iter().filter(|claim| Trial::unmet(claim, self.facts).is_none()) {
            // What complains once beside a claim may be anything of the host's; what complains each time is the claim's.
            let mut again = None;
            for _ in 0..2 {
                if self.interrupt.is_set() {
                    return;
                }
                again = self.alone(claim, &mut kept).filter(is_complained_of);
                if again.is_none() {
                    break;
                }
            }
            if let Some(again) = again {
                self.replace(again);
            }
        }
    }

    fn alone(&self, claim: &'static Claim, kept: &mut Option<Keeper>) -> Option<Entry> {
        self.observer.began(claim);
        let keeper = self.keeper(kept).ok()?;
        let entry = self.trial(claim, keeper).alone().entry(self.cases(claim), self.facts);
        if entry.is_err() {
            *kept = None;
        }
        entry.ok()
    }

    fn replace(&self, again: Entry) {
        let mut entries = lock(&self.entries);
        if let Some(entry) = entries.iter_mut().find(|entry| entry.name == again.name) {
            self.observer.ended(&again);
            *entry = again;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
