//! One claim's trial: its needs, its cases, what became of the child, and the entry that is made of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reports::{Entry, Verdict, Witness, settle};

use super::Settings;
use super::kernel_log::{KernelLog, Splat};
use crate::isolate::{End, Keeper, KeeperError, Limits, Report, Task, Tried, What};
use crate::{Broken, Claim, Facts, HostFault, Stop};

/// The serial numbers of tasks.
static SERIAL: AtomicU64 = AtomicU64::new(1);

/// What became of a child.
#[derive(Clone, Debug)]
pub(super) enum Fate {
    Held,
    Skipped(String),
    Fault(String),
    /// The claim is broken: it Failed, Crashed or Hung.
    Broken(Verdict, Box<Broken>),
}

impl Fate {
    pub(super) fn verdict(&self) -> Verdict {
        match self {
            Self::Held => Verdict::Pass,
            Self::Skipped(_) => Verdict::Skip,
            Self::Fault(_) => Verdict::Fault,
            Self::Broken(verdict, _) => *verdict,
        }
    }

    fn of(report: &Report, limits: &Limits) -> Self {
        match report.end {
            End::OutOfTime => Self::hung(format!("it did not come to an end within {:?}", limits.clock)),
            End::OutOfMemory => {
                Self::crashed(format!("it took more than {} MiB of memory", limits.memory >> 20))
            }
            End::Killed(signal) => {
                Self::crashed(format!("its process was killed by {}", signal_name(signal)))
            }
            End::Exited(101) => Self::crashed(format!("it panicked: {}", panic_line(&report.output))),
            End::Exited(status) => Self::of_exit(report, status),
        }
    }

    fn of_exit(report: &Report, status: i32) -> Self {
        let Some(said) = report.said.as_ref().filter(|_| status == 0) else {
            return Self::crashed(format!(
                "its process exited with status {status} in the middle of the claim"
            ));
        };
        match &said.stop {
            None if said.reached == 0 && !said.exhausted => {
                Self::failed(format!("vacuous: none of {} cases made a check", said.cases))
            }
            None => Self::Held,
            Some(Stop::Skip(why)) => Self::Skipped(why.clone()),
            Some(Stop::HostFault(HostFault(why))) => Self::Fault(why.clone()),
            Some(Stop::Broken(broken)) => Self::Broken(Verdict::Fail, broken.clone()),
            Some(Stop::Hung(broken)) => Self::Broken(Verdict::Hang, broken.clone()),
        }
    }

    fn failed(why: String) -> Self {
        Self::Broken(Verdict::Fail, Box::new(Broken { why, ..Broken::default() }))
    }

    fn crashed(why: String) -> Self {
        Self::Broken(Verdict::Crash, Box::new(Broken { why, ..Broken::default() }))
    }

    fn hung(why: String) -> Self {
        Self::Broken(Verdict::Hang, Box::new(Broken { why, ..Broken::default() }))
    }
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
        let clock = settings.limits.clock;
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
        let mut notes = notes(&report, fate.verdict());
        let mut tried = report.tried.clone();
        if fate.verdict().is_bad()
            && let Some(seed) = tried.as_ref().and_then(|tried| tried.seed).filter(|_| self.is_generated())
        {
            match self.shrink(seed, fate.verdict())? {
                Some((smaller, report)) => {
                    fate = smaller;
                    tried = report.tried;
                }
                None => notes.push("tried a second time with the same input, it held".into()),
            }
        }
        let mut entry = Entry { cases, reached, ms, notes, ..blank(self.claim, fate.verdict()) };
        self.tell(&mut entry, fate, tried);
        settle(&self.settings.known, &mut entry, &facts.host);
        Ok(entry)
    }

    /// The entry of a claim of which nothing can be said, because the harness broke.
    pub(super) fn fault(claim: &Claim, error: &KeeperError) -> Entry {
        Entry { why: Some(error.to_string()), ..blank(claim, Verdict::Fault) }
    }

    /// Has a keeper do one task, and listens to the kernel meanwhile.
    pub(super) fn work(&mut self, what: What) -> Result<(Fate, Report), KeeperError> {
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let limits = Limits { clock: self.clock, ..self.settings.limits };
        let task = Task { serial, claim: self.name.clone(), what, limits };
        let report = self.keeper.work(&task)?;
        let loose = || self.log.loose().into_iter().next().filter(|_| self.is_alone);
        if let Some(splat) = self.log.of_claim(serial).or_else(loose) {
            self.splat.get_or_insert(splat);
        }
        Ok((Fate::of(&report, &limits), report))
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
            Fate::Broken(_, broken) => Some(*broken),
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

    /// A kernel that complained breaks a claim that held, and is heard beside one that did not.
    fn with_splat(&mut self, entry: &mut Entry, broken: Option<Broken>) -> Option<Broken> {
        let Some(splat) = self.splat.take() else { return broken };
        let mut broken = broken.unwrap_or_else(|| {
            entry.verdict = Verdict::Fail;
            Broken {
                why: format!("the kernel complained: {}", splat.lines.first().map_or("", String::as_str)),
                ..Broken::default()
            }
        });
        broken.detail.extend(splat.lines);
        broken.detail.push("a WARN_ONCE needs a fresh boot to fire again".into());
        Some(broken)
    }
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
    }
}

fn notes(report: &Report, verdict: Verdict) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(said) = report.said.as_ref().filter(|said| !said.open.is_empty()) {
        notes.push(format!("it left {} descriptors open: {}", said.open.len(), said.open.join(", ")));
    }
    if report.left_behind > 0 {
        notes.push(format!("it left {} processes behind, which were killed", report.left_behind));
    }
    if !report.output.is_empty() && !matches!(verdict, Verdict::Pass | Verdict::Skip) {
        notes.push(format!("it printed: {}", report.output));
    }
    notes
}

/// The line in which a panic says what it is about.
fn panic_line(output: &str) -> String {
    let mut lines = output.lines().skip_while(|line| !line.contains("panicked at"));
    let place = lines.next().and_then(|line| line.split_once("panicked at ")).map_or("", |(_, place)| place);
    format!("{} (at {})", lines.next().unwrap_or("without a word"), place.trim_end_matches(':'))
}

fn signal_name(signal: i32) -> String {
    let name = match signal {
        libc::SIGILL => "SIGILL",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGKILL => "SIGKILL",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGALRM => "SIGALRM",
        libc::SIGTERM => "SIGTERM",
        libc::SIGXCPU => "SIGXCPU",
        libc::SIGSYS => "SIGSYS",
        other => return format!("signal {other}"),
    };
    name.to_owned()
}
