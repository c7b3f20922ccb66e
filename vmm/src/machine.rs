//! A machine, and the kinds of it that are found by name.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::accel::{Cpu, CpuError, Hypervisor, Kick};
use crate::{BuildError, Builder, Bus, Console, End, Limit, Power, Ram, vcpu};

/// Every kind of machine that is linked in, in no order; [`machine_classes`] sorts them.
#[linkme::distributed_slice]
pub static MACHINES: [MachineClass];

/// A kind of machine: its name, and what it puts on the bus.
#[derive(Debug)]
pub struct MachineClass {
    /// What asks for it.
    pub name: &'static str,
    /// What it is, in a few words.
    pub about: &'static str,
    /// Puts its devices on the bus.
    pub furnish: fn(Builder) -> Result<Builder, BuildError>,
}

/// Why a machine cannot run.
#[derive(Debug, Error)]
pub enum MachineError {
    /// A vCPU cannot go on.
    #[error("run vCPU {id}: cannot {source}")]
    Cpu {
        /// Which.
        id: usize,
        /// Why.
        source: CpuError,
    },
    /// The host does not give another thread.
    #[error("start a thread: {0}")]
    Thread(std::io::Error),
    /// There is no such vCPU.
    #[error("reach vCPU {id}: there are {count}")]
    NoCpu {
        /// Which.
        id: usize,
        /// How many there are.
        count: usize,
    },
}

/// A machine: RAM, a bus and vCPUs.
pub struct Machine {
    cpus: Vec<Box<dyn Cpu>>,
    _hypervisor: Box<dyn Hypervisor>,
    bus: Bus,
    ram: Ram,
    console: Console,
    power: Power,
}

/// Ends the run of a machine from outside.
#[derive(Clone)]
pub struct Stop {
    power: Power,
    kicks: Vec<Arc<dyn Kick>>,
}

/// What a vCPU's thread says at its end.
type Ended = (usize, Result<(), CpuError>);

impl Machine {
    pub(crate) fn new(
        cpus: Vec<Box<dyn Cpu>>,
        hypervisor: Box<dyn Hypervisor>,
        bus: Bus,
        ram: Ram,
        console: Console,
        power: Power,
    ) -> Self {
        Self { cpus, _hypervisor: hypervisor, bus, ram, console, power }
    }

    /// Its RAM.
    pub fn ram(&self) -> &Ram {
        &self.ram
    }

    /// What lies at which address.
    pub fn bus(&self) -> &Bus {
        &self.bus
    }

    /// The text that its guest writes.
    pub fn console(&self) -> &Console {
        &self.console
    }

    /// The vCPU of this number, from zero.
    pub fn cpu(&mut self, id: usize) -> Result<&mut dyn Cpu, MachineError> {
        let count = self.cpus.len();
        match self.cpus.get_mut(id) {
            Some(cpu) => Ok(&mut **cpu),
            None => Err(MachineError::NoCpu { id, count }),
        }
    }

    /// What ends a run from outside: the present one, or the next.
    pub fn stop(&self) -> Stop {
        Stop { power: self.power.clone(), kicks: self.cpus.iter().map(|cpu| cpu.kick()).collect() }
    }

    /// Runs every vCPU, each in a thread of its own, until all have halted, one cannot go on, or something asks for an end. It can
    /// run again from where it ended.
    pub fn run(&mut self, limit: Limit) -> Result<End, MachineError> {
        let stop = self.stop();
        let (bus, power, count) = (&self.bus, &self.power, self.cpus.len());
        let result = thread::scope(|scope| {
            let (tell, ends) = mpsc::channel();
            for (id, cpu) in self.cpus.iter_mut().enumerate() {
                let tell = tell.clone();
                let run = move || {
                    // Nobody listens any more if another vCPU could not be started.
                    let _ = tell.send((id, vcpu::run(&mut **cpu, bus, power, limit.exits)));
                };
                if let Err(error) = thread::Builder::new().name(format!("vcpu {id}")).spawn_scoped(scope, run)
                {
                    stop.now(End::Stopped);
                    return Err(MachineError::Thread(error));
                }
            }
            drop(tell);
            wait(&ends, count, limit.time, &stop)
        });
        let asked = self.power.take();
        result.map(|()| asked.unwrap_or(End::Halted))
    }
}

impl Stop {
    /// Ends the run with [`End::Stopped`].
    pub fn stop(&self) {
        self.now(End::Stopped);
    }

    fn now(&self, end: End) {
        self.power.ask(end);
        self.kicks.iter().for_each(|kick| kick.kick());
    }
}

/// Waits for `count` vCPUs, and ends them all when one has asked for an end or cannot go on, or when the time is over.
fn wait(ends: &Receiver<Ended>, count: usize, time: Duration, stop: &Stop) -> Result<(), MachineError> {
    let deadline = Instant::now().checked_add(time);
    let mut result = Ok(());
    let mut running = count;
    while running > 0 {
        let ended = match deadline {
            Some(deadline) if stop.power.asked().is_none() => {
                ends.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()
            }
            _ => Some(match ends.recv() {
                Ok(ended) => ended,
                Err(_) => break,
            }),
        };
        match ended {
            None => stop.now(End::OutOfTime),
            Some((id, end)) => {
                running -= 1;
                if let Err(source) = end {
                    result = result.and(Err(MachineError::Cpu { id, source }));
                    stop.now(End::Stopped);
                } else if let Some(end) = stop.power.asked() {
                    stop.now(end);
                }
            }
        }
    }
    result
}

/// Every kind of machine that is linked in, sorted by name.
pub fn machine_classes() -> Vec<&'static MachineClass> {
    let mut classes: Vec<_> = MACHINES.iter().collect();
    classes.sort_by_key(|class| class.name);
    classes
}

/// The kind of machine of this name.
pub fn machine_class(name: &str) -> Option<&'static MachineClass> {
    MACHINES.iter().find(|class| class.name == name)
}

/// Adds a [`MachineClass`] to [`MACHINES`]: its name, what it is, and the function that puts its devices on the bus.
#[macro_export]
macro_rules! machine {
    ($name:literal, $about:literal, $furnish:path $(,)?) => {
        #[allow(unsafe_code, reason = "linkme places the entry in the slice's link section")]
        const _: () = {
            #[$crate::linkme::distributed_slice($crate::MACHINES)]
            #[linkme(crate = $crate::linkme)]
            static CLASS: $crate::MachineClass =
                $crate::MachineClass { name: $name, about: $about, furnish: $furnish };
        };
    };
}
