//! Inside the child: tries the cases that the task names, and writes down each before it begins and what became of them.

use std::collections::BTreeMap;
use std::fs;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};

use super::record::Pen;
use super::task::{Ending, Said, Task, Tried, What};
use crate::claim::claim_named;
use crate::{Body, Broken, Case, HostFault, Stop, check};

/// The exit status of a child whose claim panicked, as that of any Rust program.
pub(super) const PANICKED: i32 = 101;
/// How many descriptors a claim may not have, so that what it leaves open can be looked at even where it took all of them.
const SPARE: u64 = 8;

/// The last panic.
static PANIC: Mutex<Option<Broken>> = Mutex::new(None);

/// A line of the record.
#[derive(Serialize, Deserialize)]
pub(super) enum Line {
    Tried(Tried),
    Said(Said),
}

/// Tries the task's cases; false where one panicked.
pub(super) fn run(task: &Task, pen: &mut Pen) -> bool {
    spare_descriptors();
    note_panics();
    let before = descriptors();
    let mut trial = Trial { pen, cases: 0, reached: 0, skipped: None };
    let ending = match catch_unwind(AssertUnwindSafe(|| trial.run(task))) {
        Ok(Ok(progress)) => progress.into(),
        Ok(Err(stop)) => Ending::Stopped(stop),
        Err(_) => Ending::Panicked(last_panic()),
    };
    let has_panicked = matches!(ending, Ending::Panicked(_));
    let (cases, reached) = (trial.cases, trial.reached);
    crate::testbed::close();
    let (open, tallied) = (left_open(&before), check::tallied());
    // Where even this cannot be written, the missing line tells the runner so.
    let _ = pen.write(&Line::Said(Said { ending, cases, reached, open, tallied }));
    !has_panicked
}

/// The seed of a run's case: each claim and each case has its own, whatever else is tried.
pub(super) fn case_seed(run: u64, claim: &str, index: u64) -> u64 {
    let mut seed = run ^ 0xcbf2_9ce4_8422_2325;
    for byte in claim.bytes().chain(index.to_le_bytes()) {
        seed = (seed ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    seed
}

enum Progress {
    Done,
    Exhausted,
}

impl From<Progress> for Ending {
    fn from(progress: Progress) -> Self {
        match progress {
            Progress::Done => Self::Held,
            Progress::Exhausted => Self::Exhausted,
        }
    }
}

struct Trial<'a> {
    pen: &'a mut Pen,
    cases: u64,
    reached: u64,
    skipped: Option<String>,
}

impl Trial<'_> {
    fn run(&mut self, task: &Task) -> Result<Progress, Stop> {
        let Some(claim) = claim_named(&task.claim) else {
            return Err(Stop::HostFault(HostFault(format!("this program has no claim {}", task.claim))));
        };
        let body = (claim.body)();
        match &task.what {
            What::Cases { seed, regressions } => {
                for input in regressions {
                    self.one_of_many(&*body, None, input.clone())?;
                }
                self.cases(&*body, task, *seed)
            }
            What::Case { seed, steps } => match stepped(&*body, *seed, steps)? {
                Some(case) => self.attempt(&*body, Some(*seed), case.input()?),
                None => Ok(Progress::Exhausted),
            },
            What::Input(input) => self.attempt(&*body, None, input.clone()),
        }
    }

    fn cases(&mut self, body: &dyn Body, task: &Task, run: u64) -> Result<Progress, Stop> {
        if !body.is_generated() {
            return self.attempt(body, None, Vec::new());
        }
        let limits = &task.limits;
        let start = Instant::now();
        for index in 0..limits.most_cases {
            if index >= limits.least_cases && start.elapsed() >= limits.budget {
                break;
            }
            let seed = case_seed(run, &task.claim, index);
            let case = body.case(seed)?;
            self.one_of_many(body, Some(seed), case.input()?)?;
        }
        match self.skipped.take() {
            Some(why) if self.reached == 0 => Err(Stop::Skip(why)),
            _ => Ok(Progress::Done),
        }
    }

    /// Tries a case beside others: that this host cannot show one input says nothing of the next.
    fn one_of_many(
        &mut self,
        body: &dyn Body,
        seed: Option<u64>,
        input: Vec<serde_json::Value>,
    ) -> Result<Progress, Stop> {
        match self.attempt(body, seed, input) {
            Err(Stop::Skip(why)) => {
                self.skipped.get_or_insert(why);
                Ok(Progress::Done)
            }
            other => other,
        }
    }

    fn attempt(
        &mut self,
        body: &dyn Body,
        seed: Option<u64>,
        input: Vec<serde_json::Value>,
    ) -> Result<Progress, Stop> {
        self.pen.write(&Line::Tried(Tried { seed, input: input.clone() }))?;
        self.cases += 1;
        let before = check::made();
        let outcome = body.attempt(&input);
        let has_skipped = matches!(outcome, Err(Stop::Skip(_)));
        if check::made() > before && !has_skipped {
            self.reached += 1;
        }
        outcome.map(|()| Progress::Done)
    }
}

fn stepped(body: &dyn Body, seed: u64, steps: &str) -> Result<Option<Box<dyn Case>>, Stop> {
    let mut case = body.case(seed)?;
    for step in steps.chars() {
        let moved = if step == 's' { case.simplify() } else { case.complicate() };
        if !moved {
            return Ok(None);
        }
    }
    Ok(Some(case))
}

/// Notes what each panic says and where, before it is printed as usual: what is printed may be cut off or mixed up.
fn note_panics() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
        let payload = info.payload();
        let said = payload.downcast_ref::<&str>().copied();
        let said = said.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let panic = Broken {
            why: format!("it panicked: {}", said.unwrap_or("without a word")),
            at: info.location().map(crate::outcome::line_of).unwrap_or_default(),
            ..Broken::default()
        };
        *PANIC.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic);
        print(info);
    }));
}

fn last_panic() -> Box<Broken> {
    let panic = PANIC.lock().unwrap_or_else(PoisonError::into_inner).take();
    Box::new(panic.unwrap_or_else(|| Broken { why: "it panicked".into(), ..Broken::default() }))
}

/// Keeps some descriptors from the claim.
fn spare_descriptors() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let current = maximum.map(|most| most.saturating_sub(SPARE));
    let _ = setrlimit(Resource::Nofile, Rlimit { current, maximum });
}

/// Every open descriptor, with what it refers to.
fn descriptors() -> BTreeMap<String, String> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let own = format!("/proc/{}/fd", std::process::id());
    let open = fs::read_dir("/proc/self/fd")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let target = fs::read_link(entry.path()).ok()?;
            Some((entry.file_name().into_string().ok()?, target.to_string_lossy().into_owned()))
        })
        .filter(|(_, target)| *target != own)
        .collect();
    let _ = setrlimit(Resource::Nofile, Rlimit { current, maximum });
    open
}

fn left_open(before: &BTreeMap<String, String>) -> Vec<String> {
    descriptors()
        .into_iter()
        .filter(|(number, target)| before.get(number) != Some(target))
        .map(|(_, target)| target)
        .collect()
}
