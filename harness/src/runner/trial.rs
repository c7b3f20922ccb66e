//! One claim's trial: its needs, its cases, what became of the child, and the entry that is made of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reports::{Entry, Verdict, Witness, is_expected, settle};

use super::Settings;
use super::fate::{Fate, because};
use super::kernel_log::{KernelLog, Splat};
use super::notes::notes;
use crate::isolate::{Keeper, KeeperError, Limits, Report, Task, Tried, What};
use crate::{Broken, Claim, Facts};

/// How the reason begins of a claim that held and that the kernel complained of, and the note at one that did not.
const COMPLAINED: &str = "the kernel complained: ";
const BESIDE: &str = "the kernel complained beside it: ";

/// A serial number that no other task on this host has: other runners read the same kernel log. In hexadecimal it leaves room for
/// the beginning of the name of a process, which may have 15 characters.
fn serial() -> u64 {
    static SERIAL: AtomicU64 = AtomicU64::new(0);
    (u64::from(std::process::id()) << 14) | (SERIAL.fetch_add(1, Ordering::Relaxed) & 0x3fff)
}

/// Tries one claim with a keeper.
pub(super) struct Trial<'a> {
    pub(super) claim: &'static Claim,
    pub(super) settings: &'a Settings,
    pub(super) clock: Duration,
    keeper: &'a mut Keeper,
    log: &'a KernelLog,
    splat: Option<Splat>,
    name: String,
    is_alone: bool,
}

impl<'a> Trial<'a> {
    pub(super) fn new(
        claim: &'static Claim,
        settings: &'a Settings,
        keeper: &'a mut Keeper,
        log: &'a KernelLog,
    ) -> Self {
        let clock = settings.limits.clock * claim.patience();
        Self { claim, settings, clock, keeper, log, splat: None, name: claim.name(), is_alone: false }
    }

    /// The same while no other claim is tried: whatever the kernel says meanwhile is this claim's doing.
    pub(super) fn alone(self) -> Self {
        Self { is_alone: true, ..self }
    }

    /// The entry of a claim that this host cannot show; none where it can.
    pub(super) fn unmet(claim: &Claim, facts: &Facts) -> Option<Entry> {
        let need = claim.needs.iter().find(|need| !need.is_met(facts))?;
        Some(Entry { why: Some(format!("needs {need}")), ..blank(claim, Verdict::Skip) })
    }

    /// Tries the claim, makes what fails smaller, and holds the entry against what is known.
    pub(super) fn entry(&mut self, what: What, facts: &Facts) -> Result<Entry, KeeperError> {
        let (mut fate, report) = self.work(what)?;
        let (ms, mut cases, mut reached) = (report.ms, report.begun, 0);
        if let Some(said) = &report.said {
            (cases, reached) = (said.cases, said.reached);
        }
        let (mut notes, answers) = (notes(&report, fate.verdict()), report.answers.clone());
        // That all cases together check nothing is no case's doing.
        let mut tried = report.tried.clone().filter(|_| !matches!(fate, Fate::Vacuous(_)));
        if fate.verdict().is_bad()
            && let Some(seed) = tried.as_ref().and_then(|tried| tried.seed).filter(|_| self.is_generated())
        {
            match self.shrink(seed, fate.verdict(), self.effort(fate.verdict(), facts)) {
                Ok(Some((smaller, report))) => {
                    fate = smaller;
                    tried = report.tried;
                }
                Ok(None) => {
                    notes.push("tried a second time with the same input, it did not come again".into())
                }
                // The verdict is known, whatever became of the keeper meanwhile.
                Err(error) => notes.push(format!("it could not be made smaller: {error}")),
            }
        }
        let mut entry = Entry { cases, reached, ms, notes, answers, ..blank(self.claim, fate.verdict()) };
        self.tell(&mut entry, fate, tried);
        if !entry.notes.iter().any(|note| note.starts_with(BESIDE)) {
            settle(&self.settings.known, &mut entry, &facts.host);
        }
        Ok(entry)
    }

    /// How long a case of such a verdict is made smaller; an expected one less long, since why it is broken is known.
    fn effort(&self, verdict: Verdict, facts: &Facts) -> Duration {
        if is_expected(&self.settings.known, &self.name, verdict, &facts.host) {
            return self.clock / 10;
        }
        let hangs = if verdict == Verdict::Hang { 4 } else { 1 };
        self.settings.shrinking.max(self.clock * hangs)
    }

    /// The entry of a claim of which nothing can be said, because the harness broke.
    pub(super) fn fault(claim: &Claim, error: &KeeperError) -> Entry {
        Entry { why: Some(error.to_string()), ..blank(claim, Verdict::Fault) }
    }

    /// The entry of a claim that went away together with its keeper, each time that it was tried.
    pub(super) fn without_keeper(claim: &Claim) -> Entry {
        let why = "the process that watches over it was killed or stopped, each time that it was tried";
        let witness = Witness { replay: replay(&claim.name(), None), ..Witness::default() };
        Entry { why: Some(why.into()), witness: Some(witness), ..blank(claim, Verdict::Crash) }
    }

    /// Has a keeper do one task, and listens to the kernel meanwhile.
    pub(super) fn work(&mut self, what: What) -> Result<(Fate, Report), KeeperError> {
        let serial = serial();
        let is_one_of_many = matches!(what, What::Case { .. });
        let limits = Limits { clock: self.clock, ..self.settings.limits };
        let task = Task { serial, claim: self.name.clone(), what, limits };
        let report = self.keeper.work(&task)?;
        let loose = || if self.is_alone { self.log.loose().into_iter().next() } else { None };
        if let Some(splat) = self.log.of_claim(serial).or_else(loose) {
            self.splat.get_or_insert(splat);
        }
        let fate = match Fate::of(&report, &limits) {
            // One of many cases may well have nothing to check.
            Fate::Held if !is_one_of_many => Fate::unless_vacuous(&report),
            fate => fate,
        };
        Ok((fate, report))
    }

    fn is_generated(&self) -> bool {
        (self.claim.body)().is_generated()
    }

    fn tell(&mut self, entry: &mut Entry, fate: Fate, tried: Option<Tried>) {
        let broken = match fate {
            Fate::Held => None,
            Fate::Skipped(why) | Fate::Fault(why) => {
                entry.why = Some(why);
                None
            }
            Fate::Vacuous(why) => Some(because(why)),
            Fate::Broken(broken) | Fate::Crashed(broken) | Fate::Hung(broken) => Some(*broken),
        };
        let broken = self.with_splat(entry, broken);
        let Some(broken) = broken else { return };
        let input = tried.as_ref().map(|tried| &tried.input).filter(|input| !input.is_empty());
        entry.witness = Some(Witness {
            input: input.map(|input| input.clone().into()),
            seed: tried
                .as_ref()
                .and_then(|tried| tried.seed)
                .filter(|_| input.is_some())
                .map(|seed| format!("{seed:#x}")),
            at: Some(broken.at).filter(|at| !at.is_empty()),
            expected: broken.expected,
            seen: broken.seen,
            detail: broken.detail,
            replay: replay(&self.name, tried.as_ref()),
        });
        entry.why = Some(broken.why);
    }

    /// A kernel that complained breaks a claim that held, and is heard beside one that did not: no expectation of that one expects it.
    fn with_splat(&mut self, entry: &mut Entry, broken: Option<Broken>) -> Option<Broken> {
        let Some(splat) = self.splat.take() else { return broken };
        let first = splat.lines.first().map_or("", String::as_str);
        if broken.is_some() {
            entry.notes.push(format!("{BESIDE}{first}"));
        }
        let mut broken = broken.unwrap_or_else(|| {
            entry.verdict = Verdict::Fail;
            because(format!("{COMPLAINED}{first}"))
        });
        broken.detail.extend(splat.lines);
        broken.detail.push("a WARN_ONCE needs a fresh boot to fire again".into());
        Some(broken)
    }
}

/// Whether the kernel complained while the claim of this entry was tried.
pub(super) fn is_complained_of(entry: &Entry) -> bool {
    let is_the_reason = entry.why.as_ref().is_some_and(|why| why.starts_with(COMPLAINED));
    is_the_reason || entry.notes.iter().any(|note| note.starts_with(BESIDE))
}

/// The command that shows a case again: by its input where that is short enough to read, by its seed otherwise.
fn replay(name: &str, tried: Option<&Tried>) -> String {
    let Some(tried) = tried.filter(|tried| !tried.input.is_empty()) else {
        return format!("assay replay {name}");
    };
    let input = serde_json::Value::from(tried.input.clone()).to_string();
    match tried.seed {
        Some(seed) if input.len() > 200 || input.contains('\'') => {
            format!("assay replay {name} --seed {seed:#x}")
        }
        _ => format!("assay replay {name} --input '{input}'"),
    }
}

/// The entry of a claim before anything is known of it.
pub(crate) fn blank(claim: &Claim, verdict: Verdict) -> Entry {
    Entry {
        name: claim.name(),
        claim: claim.sentence.to_owned(),
        verdict,
        why: None,
        witness: None,
        cases: 0,
        reached: 0,
        ms: 0.0,
        source: claim.source_texts(),
        notes: Vec::new(),
        answers: Default::default(),
    }
}
