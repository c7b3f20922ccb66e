//! Inside the child: tries the cases that the task names, and writes down each before it begins and what became of them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::time::Instant;

use serde::Serialize;

use super::task::{Said, Task, Tried, What};
use crate::claim::claims;
use crate::{Body, Case, HostFault, Stop, check};

/// The record that the child writes: one JSON value a line.
pub(super) struct Record(pub(super) File);

/// A line of the record.
#[derive(Serialize, serde::Deserialize)]
pub(super) enum Line {
    Tried(Tried),
    Said(Said),
}

impl Record {
    fn write(&mut self, line: &Line) -> Result<(), Stop> {
        let fault = |error: &dyn std::error::Error| {
            Stop::HostFault(HostFault(format!("cannot write the case down: {error}")))
        };
        let mut text = serde_json::to_vec(line).map_err(|error| fault(&error))?;
        text.push(b'\n');
        self.0.write_all(&text).map_err(|error| fault(&error))
    }
}

/// Tries the task's cases.
pub(super) fn run(task: &Task, record: &mut Record) {
    let before = descriptors();
    let mut trial = Trial { record, cases: 0, reached: 0 };
    let ended = trial.run(task);
    let (cases, reached) = (trial.cases, trial.reached);
    let open = left_open(&before);
    let said =
        Said { exhausted: matches!(ended, Ok(Progress::Exhausted)), stop: ended.err(), cases, reached, open };
    // Where even this cannot be written, the missing line tells the runner so.
    let _ = record.write(&Line::Said(said));
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

struct Trial<'a> {
    record: &'a mut Record,
    cases: u64,
    reached: u64,
}

impl Trial<'_> {
    fn run(&mut self, task: &Task) -> Result<Progress, Stop> {
        let Some(claim) = claims().into_iter().find(|claim| claim.name() == task.claim) else {
            return Err(Stop::HostFault(HostFault(format!("this program has no claim {}", task.claim))));
        };
        let body = (claim.body)();
        match &task.what {
            What::Cases { seed, regressions } => {
                for input in regressions {
                    self.attempt(&*body, None, input.clone())?;
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
            self.attempt(body, Some(seed), case.input()?)?;
        }
        Ok(Progress::Done)
    }

    fn attempt(
        &mut self,
        body: &dyn Body,
        seed: Option<u64>,
        input: Vec<serde_json::Value>,
    ) -> Result<Progress, Stop> {
        self.record.write(&Line::Tried(Tried { seed, input: input.clone() }))?;
        self.cases += 1;
        let before = check::made();
        let outcome = body.attempt(&input);
        if check::made() > before {
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

/// Every open descriptor, with what it refers to.
fn descriptors() -> BTreeMap<String, String> {
    fs::read_dir("/proc/self/fd")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let target = fs::read_link(entry.path()).ok()?;
            Some((entry.file_name().into_string().ok()?, target.to_string_lossy().into_owned()))
        })
        .filter(|(_, target)| !target.starts_with("/proc/"))
        .collect()
}

fn left_open(before: &BTreeMap<String, String>) -> Vec<String> {
    descriptors()
        .into_iter()
        .filter(|(number, target)| before.get(number) != Some(target))
        .map(|(_, target)| target)
        .collect()
}
