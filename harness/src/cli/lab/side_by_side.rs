//! Machines side by side: as many boots at once as there are processors, each machine with a line of its own and a record of its own.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use reports::{Entry, Host, Known, Run, Verdict};

use super::machines::{self, Machine};
use super::screen::{Line, Screen};
use super::{Arguments, BUDGET, folder, resume};
use crate::Claim;
use crate::cli::record::{self, Written};
use crate::cli::status::say;
use crate::lab::{Cpu, Lab, LostError, Orders, Plan, Session, Watcher, firmware};
use crate::runner::{Interrupt, blank};

/// How much of the machine's memory one claim may take, in bytes.
const MEMORY: u64 = 640 << 20;
/// How many claims take longer than another boot.
const WORTH_A_BOOT: usize = 100;
/// How a note begins that says what was not tried, for as long as it was not.
pub(super) const LEFT_OUT: &str = "left out: ";

/// What became of one machine.
pub(super) struct Tried {
    pub(super) name: String,
    pub(super) run: Result<Run, String>,
    /// What became of its record.
    pub(super) written: Option<Written>,
    /// Why its journal is not whole.
    pub(super) unwritten: Option<String>,
}

impl Tried {
    /// Whether all that was asked for was tried.
    pub(super) fn is_whole(&self) -> bool {
        self.run.as_ref().is_ok_and(|run| !run.notes.iter().any(|note| note.starts_with(LEFT_OUT)))
    }
}

/// What all machines share.
pub(super) struct Bench<'a> {
    pub(super) arguments: &'a Arguments,
    pub(super) claims: Vec<&'static Claim>,
    pub(super) known: Vec<Known>,
    pub(super) parameters: BTreeMap<String, String>,
    pub(super) screen: Screen,
    pub(super) interrupt: Arc<Interrupt>,
}

impl Bench<'_> {
    /// Tries every machine; what became of each, in the order in which they were named.
    pub(super) fn side_by_side(&self, machines: Vec<Machine>) -> Vec<Tried> {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let jobs = self.arguments.jobs.unwrap_or(processors).max(1);
        let workers = jobs.min(machines.len()).max(1);
        let mut queue: Vec<_> = machines.into_iter().enumerate().collect();
        // The slowest first, so that none of them is left to the end alone.
        queue.sort_by_key(|(_, machine)| machine.cpu == Cpu::Amd);
        let queue = Mutex::new(VecDeque::from(queue));
        let tried = Mutex::new(BTreeMap::new());
        thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| {
                    loop {
                        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                        let Some((index, machine)) = next.filter(|_| !self.interrupt.is_set()) else { break };
                        let became = self.machine(&machine, jobs / workers);
                        tried.lock().unwrap_or_else(PoisonError::into_inner).insert(index, became);
                    }
                });
            }
        });
        tried.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect()
    }

    fn machine(&self, machine: &Machine, boots: usize) -> Tried {
        let (name, all) = (&machine.name, &self.arguments.out);
        let out = if self.arguments.alone { all.clone() } else { all.join(folder(name)) };
        let line = self.screen.line(name, &out);
        let run = self.record(machine, boots, &out, &line);
        let mut unwritten = line.finish(run.as_ref().err().map(String::as_str));
        let written = run.as_ref().ok().map(|run| record::write(run, &out));
        if let Some(why) = written.as_ref().and_then(|written| written.trouble()) {
            unwritten.get_or_insert(why.to_owned());
        }
        Tried { name: name.clone(), run, written, unwritten }
    }

    /// A machine's record: what an earlier run said of it, where that is gone on with, and what is tried now.
    fn record(&self, machine: &Machine, boots: usize, out: &Path, line: &Line<'_>) -> Result<Run, String> {
        let earlier = match self.arguments.resume {
            true => resume::earlier(out, &self.claims, &self.known).map_err(|error| error.to_string())?,
            false => None,
        };
        let mut lab = Lab::new(&machine.kernel, machine.cpu, &self.arguments.append, &self.parameters)
            .map_err(|error| error.to_string())?;
        let claims = resume::rest(&self.claims, earlier.as_ref());
        // Without it, what needs it is skipped and says what it lacks.
        match firmware::files(&claims, &machines::cache(), &|doing| say(doing)) {
            Ok(files) => lab.bring(files),
            Err(error) => say(format!("cannot {error}")),
        }
        let Some(earlier) = earlier else {
            return self.in_parts(machine, &lab, boots, &claims, line).map_err(|error| error.to_string());
        };
        resume::may_be_of(out, &earlier.host, machine, lab.emulator(), self.arguments)
            .map_err(|error| error.to_string())?;
        line.goes_on_with(earlier.clone());
        if claims.is_empty() {
            return Ok(earlier);
        }
        let run = self.in_parts(machine, &lab, boots, &claims, line).map_err(|error| error.to_string())?;
        Ok(earlier.and(run))
    }

    /// Tries claims in several boots of a machine at once, where there are so many and it is worth it, dealt out in turn, and makes
    /// one record of it.
    fn in_parts(
        &self,
        machine: &Machine,
        lab: &Lab,
        boots: usize,
        claims: &[&'static Claim],
        line: &Line<'_>,
    ) -> Result<Run, LostError> {
        let parts = parts(boots, claims.len());
        let deal = |part| claims.iter().copied().skip(part).step_by(parts).collect();
        let plans: Vec<_> = (0..parts).map(|part| self.plan(machine, lab, deal(part))).collect();
        let became = thread::scope(|scope| {
            let session = |plan| Session::new(lab, plan, line, &self.interrupt).run();
            let running: Vec<_> = plans.iter().map(|plan| scope.spawn(move || session(plan))).collect();
            running.into_iter().map(|part| part.join()).collect::<Vec<_>>()
        });
        let mut run: Option<Run> = None;
        let mut lost = None;
        let mut untried = Vec::new();
        for (plan, part) in plans.iter().zip(became) {
            match part.unwrap_or_else(|panic| std::panic::resume_unwind(panic)) {
                Ok(part) => {
                    run = Some(match run {
                        Some(run) => run.and(part),
                        None => part,
                    });
                }
                Err(error) => {
                    let why = Some(format!("cannot {error}"));
                    let fault = |claim| Entry { why: why.clone(), ..blank(claim, Verdict::Fault) };
                    untried.extend(plan.claims.iter().map(|claim| fault(claim)));
                    lost = Some(error);
                }
            }
        }
        let Some(mut run) = run else { return Err(lost.unwrap_or(LostError::Interrupted)) };
        let mut note = |note: String| {
            line.noted(&note);
            run.notes.push(note);
        };
        match lost {
            _ if self.interrupt.is_set() => {
                let (all, left) = (claims.len(), claims.len() - run.claims.len());
                note(format!("{LEFT_OUT}{left} of {all} claims, because the lab was interrupted"));
            }
            Some(error) => {
                note(format!("{LEFT_OUT}{} claims, because the lab cannot {error}", untried.len()));
                untried.iter().for_each(|entry| line.ended(entry));
                run = run.and(Run::new(Host::default(), untried, vec![]));
            }
            None => {}
        }
        Ok(run)
    }

    /// How to have the same machine again, with the same cases.
    fn replay(&self, machine: &Machine) -> String {
        let Arguments { seed, module, append, suite, budget, clock, .. } = self.arguments;
        let mut words = vec![format!("assay lab --kernel {}", quoted(&machine.kernel.name))];
        words.extend(suite.iter().map(|suite| format!("--suite {}", quoted(suite))));
        if machine.cpu != Cpu::Amd {
            words.push(format!("--cpu {}", machine.cpu));
        }
        words.extend(
            module
                .iter()
                .map(|(module, parameter)| format!("--module {}", quoted(&format!("{module}.{parameter}")))),
        );
        if !append.is_empty() {
            words.push(format!("--append {}", quoted(append)));
        }
        if *seed != 0 {
            words.push(format!("--seed {seed:#x}"));
        }
        if *budget != BUDGET {
            words.push(format!("--budget {budget}"));
        }
        words.extend(clock.map(|clock| format!("--clock {clock}")));
        words.join(" ")
    }

    fn plan(&self, machine: &Machine, lab: &Lab, claims: Vec<&'static Claim>) -> Plan {
        let (arguments, cpu) = (self.arguments, machine.cpu);
        Plan {
            claims,
            orders: Orders {
                claims: Vec::new(),
                seed: arguments.seed,
                budget: Duration::from_millis(arguments.budget),
                clock: arguments.clock.map(Duration::from_secs),
                memory: MEMORY,
                parameters: self.parameters.clone(),
                emulator: lab.emulator().to_owned(),
                known: self.known.clone(),
            },
            replay: self.replay(machine),
            boot: cpu.boot(),
            silence: arguments.silence.map_or_else(|| cpu.silence(), Duration::from_secs),
        }
    }
}

/// A word as a shell takes it for one.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./_~-".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// In how many boots at once so many claims are tried: in as many as a machine may have, but in none for a few claims.
fn parts(boots: usize, claims: usize) -> usize {
    boots.min(claims / WORTH_A_BOOT).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_can_be_pasted() {
        assert_eq!(quoted("debian:6.12~bpo"), "debian:6.12~bpo");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn no_processor_is_idle_and_no_boot_is_in_vain() {
        let one = WORTH_A_BOOT;
        assert_eq!(parts(2, 10 * one), 2);
        assert_eq!(parts(1, 10 * one), 1);
        assert_eq!(parts(64, 2 * one), 2);
        assert_eq!(parts(2, one - 1), 1);
        assert_eq!(parts(1, 0), 1);
    }
}
