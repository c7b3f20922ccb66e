//! Machines side by side: as many at once as there are processors, each with a line of its own and a record of its own.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use reports::{Known, Run};

use super::machines::Machine;
use super::screen::{Line, Screen};
use super::{Arguments, folder};
use crate::Claim;
use crate::cli::record;
use crate::lab::{Cpu, Lab, LostError, Orders, Plan, Session};
use crate::runner::Interrupt;

/// How much of the machine's memory one claim may take, in bytes.
const MEMORY: u64 = 640 << 20;

/// What became of one machine.
pub(super) struct Tried {
    pub(super) name: String,
    pub(super) run: Result<Run, String>,
    /// Why its record could not be written.
    pub(super) unwritten: Option<String>,
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
        let workers = self.arguments.jobs.unwrap_or(processors).clamp(1, machines.len().max(1));
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
                        let became = self.machine(&machine);
                        tried.lock().unwrap_or_else(PoisonError::into_inner).insert(index, became);
                    }
                });
            }
        });
        tried.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect()
    }

    fn machine(&self, machine: &Machine) -> Tried {
        let (name, all) = (&machine.name, &self.arguments.out);
        let out = if self.arguments.alone { all.clone() } else { all.join(folder(name)) };
        let line = self.screen.line(name, &out);
        let run = self.session(machine, &line).map_err(|error| error.to_string());
        let mut unwritten = line.finish(run.as_ref().err().map(String::as_str));
        let written = run.as_ref().ok().map(|run| record::write(run, &out));
        if let Some(why) = written.as_ref().and_then(|written| written.trouble()) {
            unwritten.get_or_insert(why.to_owned());
        }
        Tried { name: name.clone(), run, unwritten }
    }

    fn session(&self, machine: &Machine, line: &Line<'_>) -> Result<Run, LostError> {
        let (arguments, cpu) = (self.arguments, machine.cpu);
        let lab = Lab::new(&machine.kernel, cpu, &arguments.append, &self.parameters)?;
        let plan = Plan {
            claims: self.claims.clone(),
            orders: Orders {
                claims: Vec::new(),
                seed: arguments.seed,
                budget: Duration::from_millis(arguments.budget),
                clock: arguments.clock.map(Duration::from_secs),
                memory: MEMORY,
                parameters: self.parameters.clone(),
            },
            known: self.known.clone(),
            replay: match cpu {
                Cpu::Amd => format!("assay lab --kernel {}", machine.kernel.name),
                cpu => format!("assay lab --kernel {} --cpu {cpu}", machine.kernel.name),
            },
            emulator: lab.emulator().to_owned(),
            boot: cpu.boot(),
            silence: arguments.silence.map_or_else(|| cpu.silence(), Duration::from_secs),
        };
        Session::new(&lab, &plan, line, &self.interrupt).run()
    }
}
