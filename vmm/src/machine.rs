//! A machine, and the kinds of it that are found by name.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::thread;

use thiserror::Error;

use crate::accel::{AccelError, Cpu, CpuError, Hypervisor, Kick};
use crate::acpi::Tables;
use crate::clock::Clock;
use crate::irq::Wake;
use crate::main_loop::Loop;
use crate::vcpu::{Attention, Surroundings};
use crate::{BuildError, Builder, Bus, Console, End, Input, IrqChip, Limit, Power, Ram, Wires, vcpu};

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
    /// The host does not let it wait.
    #[error("wait for the alarm and for input: {0}")]
    Wait(std::io::Error),
    /// The accel refused something.
    #[error(transparent)]
    Accel(#[from] AccelError),
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
    pub(crate) cpus: Vec<Box<dyn Cpu>>,
    pub(crate) attentions: Vec<Arc<Attention>>,
    pub(crate) hypervisor: Box<dyn Hypervisor>,
    bus: Bus,
    wires: Wires,
    irqchip: IrqChip,
    inputs: Vec<Input>,
    acpi: Option<Tables>,
}

/// What a machine is made of.
pub(crate) struct Parts {
    pub(crate) cpus: Vec<Box<dyn Cpu>>,
    pub(crate) hypervisor: Box<dyn Hypervisor>,
    pub(crate) bus: Bus,
    pub(crate) wires: Wires,
    pub(crate) irqchip: IrqChip,
    pub(crate) acpi: Option<Tables>,
}

/// Ends the run of a machine from outside.
#[derive(Clone)]
pub struct Stop {
    power: Power,
    kicks: Vec<Arc<dyn Kick>>,
}

impl Machine {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { cpus, hypervisor, bus, wires, irqchip, acpi } = parts;
        let attentions: Vec<_> =
            cpus.iter().enumerate().map(|(id, cpu)| Arc::new(Attention::new(id, cpu.kick()))).collect();
        let wakes = attentions.iter().map(|attention| Arc::<Attention>::clone(attention) as Arc<dyn Wake>);
        wires.chips.set_wakes(wakes.collect());
        Self { cpus, attentions, hypervisor, bus, wires, irqchip, inputs: Vec::new(), acpi }
    }

    /// Its RAM.
    pub fn ram(&self) -> &Ram {
        &self.wires.ram
    }

    /// What lies at which address.
    pub fn bus(&self) -> &Bus {
        &self.bus
    }

    /// The text that its guest writes to the debug port.
    pub fn console(&self) -> &Console {
        &self.wires.console
    }

    /// What its devices reach outside with.
    pub fn wires(&self) -> &Wires {
        &self.wires
    }

    /// Its time.
    pub fn clock(&self) -> &Clock {
        &self.wires.clock
    }

    /// Where its interrupt controllers are.
    pub fn irqchip(&self) -> IrqChip {
        self.irqchip
    }

    /// What its firmware would tell of it, if there is anything.
    pub(crate) fn acpi(&self) -> Option<&Tables> {
        self.acpi.as_ref()
    }

    /// Types what comes from somewhere into a console, while the machine runs.
    pub fn add_input(&mut self, input: Input) {
        self.inputs.push(input);
    }

    /// Has writes to RAM noted from now on, or no longer.
    pub fn track(&mut self, on: bool) -> Result<(), MachineError> {
        Ok(self.hypervisor.track(on)?)
    }

    /// The guest-physical addresses of the pages that the guest or a device has written to since the last time, of those that are
    /// tracked.
    pub fn take_written(&mut self) -> Result<Vec<u64>, MachineError> {
        Ok(self.hypervisor.take_written()?)
    }

    /// Makes devices and vCPUs as they were when the machine was built; RAM stays, and what a battery keeps.
    pub fn reset(&mut self) -> Result<(), MachineError> {
        self.bus.reset();
        self.hypervisor.reset()?;
        self.attentions.iter().for_each(|attention| attention.set_halted(false));
        for (id, cpu) in self.cpus.iter_mut().enumerate() {
            cpu.reset().map_err(|source| MachineError::Cpu { id, source })?;
        }
        Ok(())
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
        let kicks =
            self.attentions.iter().map(|attention| Arc::<Attention>::clone(attention) as Arc<dyn Kick>);
        Stop { power: self.wires.power.clone(), kicks: kicks.collect() }
    }

    /// Runs every vCPU, each in a thread of its own, until all have halted, one cannot go on, or something asks for an end. It can
    /// run again from where it ended.
    pub fn run(&mut self, limit: Limit) -> Result<End, MachineError> {
        self.run_some(limit, &|_| true)
    }

    /// Runs the vCPUs of these numbers alone.
    pub(crate) fn run_some(
        &mut self,
        limit: Limit,
        runs: &dyn Fn(usize) -> bool,
    ) -> Result<End, MachineError> {
        let stop = self.stop();
        let bell = self.wires.clock.bell().map_err(MachineError::Wait)?;
        let count = (0..self.cpus.len()).filter(|id| runs(*id)).count();
        let (tell, ends) = mpsc::channel();
        let result = thread::scope(|scope| {
            let cpus = self.cpus.iter_mut().enumerate().zip(&self.attentions);
            for ((id, cpu), attention) in cpus.filter(|((id, _), _)| runs(*id)) {
                let around = Surroundings {
                    id,
                    bus: &self.bus,
                    power: &self.wires.power,
                    exits: limit.exits,
                    irqchip: self.irqchip,
                    chips: &self.wires.chips,
                    clock: &self.wires.clock,
                    attention,
                };
                let tell = tell.clone();
                let run = move || {
                    // Whatever a panic leaves half done, the machine comes to its end with it.
                    let end = catch_unwind(AssertUnwindSafe(|| vcpu::run(&mut **cpu, &around)));
                    let end = end.unwrap_or_else(|panic| Err(CpuError::Panicked(said(&*panic))));
                    // Nobody listens any more if another vCPU could not be started.
                    let _ = tell.send((id, end));
                    bell.ring();
                };
                if let Err(error) = thread::Builder::new().name(format!("vcpu {id}")).spawn_scoped(scope, run)
                {
                    stop.now(End::Stopped);
                    return Err(MachineError::Thread(error));
                }
            }
            let (bus, clock) = (&self.bus, &self.wires.clock);
            let (interrupts, nics) = (&self.wires.interrupts, &self.wires.nics);
            let inputs = &mut self.inputs;
            let mut main = Loop { bus, clock, bell, ends: &ends, stop: &stop, inputs, interrupts, nics };
            main.run(count, limit.time).inspect_err(|_| stop.now(End::Stopped))
        });
        let asked = self.wires.power.take();
        result.map(|()| asked.unwrap_or(End::Halted))
    }
}

/// What a panic says.
fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref().cloned()).unwrap_or_else(|| "it does not say why".to_owned())
}

impl Stop {
    /// Ends the run with [`End::Stopped`].
    pub fn stop(&self) {
        self.now(End::Stopped);
    }

    pub(crate) fn now(&self, end: End) {
        self.power.ask(end);
        self.kicks.iter().for_each(|kick| kick.kick());
    }

    pub(crate) fn asked(&self) -> Option<End> {
        self.power.asked()
    }
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
