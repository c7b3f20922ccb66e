//! Our devices as twins: the script runs in a guest in our PC, with the interrupt controllers of user space, or with the kernel's local
//! APIC and the others of user space; its interrupt lines go by `pc-testdev`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use guests::Event;
use guests::protocol::REPORT_PORT;
use guests::script::{ANSWER_PORT, Script};
use harness::twins::Answers;
use harness::{Broken, HostFault, Outcome, Stop, entry};
use serde_json::Value;
use vmm::{Access, BuildError, Builder, Device, End, IrqChip, Limit, Machine, Region, accel, machine_class};

use super::parts::{Parts, of_ours};

/// The clock of the claim is shorter than this one.
const LIMIT: Limit = Limit { time: Duration::from_secs(600), exits: 10_000 };
pub(crate) const RAM: u32 = 0x80_0000;

/// What our devices say, with the interrupt controllers there; of their state, the parts with this word in their names.
pub(super) fn answer(script: &Script, device: &str, irqchip: IrqChip) -> Result<Answers, Stop> {
    told(script, irqchip, |states| {
        let mut state = of_ours(states);
        state.retain(|part, _| part.contains(device));
        state
    })
}

/// What our devices say, and what `parts` makes of their states.
pub(super) fn told(
    script: &Script,
    irqchip: IrqChip,
    parts: impl FnOnce(&[(String, Value)]) -> Parts,
) -> Result<Answers, Stop> {
    let told = Arc::default();
    let mut machine = machine(irqchip, &told)?;
    let events = run(&mut machine, script, &told)?;
    let said = script.said(&events).ok_or_else(|| fault(format!("these are no answers: {events:?}")))?;
    let states = machine.bus().states().map_err(fault)?;
    Ok(Answers { said, state: parts(&states) })
}

/// Where a guest's answers are written down.
pub(crate) type Events = Arc<Mutex<Vec<Event>>>;

/// Our PC with what scripts tell their answers by.
pub(crate) fn machine(irqchip: IrqChip, told: &Events) -> Result<Machine, Stop> {
    machine_and(irqchip, told, Ok)
}

/// The same, with more devices.
pub(crate) fn machine_and(
    irqchip: IrqChip,
    told: &Events,
    add: impl FnOnce(Builder) -> Result<Builder, BuildError>,
) -> Result<Machine, Stop> {
    let (_, hypervisor) = accel::open("kvm").map_err(fault)?;
    let pc = machine_class("pc").ok_or_else(|| fault("there is no PC"))?;
    let listener = Listener(Arc::clone(told));
    // Answers are as wide as a register, and what reaches over the end of a region would be split there.
    let ports = [Region::ports(REPORT_PORT, REPORT_PORT), Region::ports(ANSWER_PORT, ANSWER_PORT + 3)];
    Builder::with_cpus(hypervisor, RAM.into(), 1, irqchip)
        .and_then(pc.furnish)
        .and_then(|builder| builder.model("pc-testdev"))
        .and_then(|builder| builder.model("isa-debug-exit"))
        .and_then(|builder| builder.device("listener", Box::new(listener), &ports))
        .and_then(add)
        .and_then(Builder::build)
        .map_err(fault)
}

/// Runs a script to its end: what it told.
pub(crate) fn run(machine: &mut Machine, script: &Script, told: &Events) -> Result<Vec<Event>, Stop> {
    load(machine, script)?;
    go(machine)?;
    Ok(std::mem::take(&mut *told.lock().unwrap_or_else(PoisonError::into_inner)))
}

/// Lays a script's program out, and the processor at its beginning.
pub(crate) fn load(machine: &mut Machine, script: &Script) -> Outcome {
    let image = script.image().map_err(fault)?;
    machine.ram().write(0, &image.ram()).map_err(fault)?;
    let cpu = machine.cpu(0).map_err(fault)?;
    let sregs = entry::sregs(&image.entry, cpu.sregs().map_err(fault)?);
    cpu.set_sregs(&sregs).map_err(fault)?;
    cpu.set_regs(&entry::regs(&image.entry.registers)).map_err(fault)
}

/// Runs it to its end.
pub(crate) fn go(machine: &mut Machine) -> Outcome {
    match machine.run(LIMIT).map_err(fault)? {
        End::Exited { .. } => Ok(()),
        End::OutOfExits => {
            let broken = Broken::new(format!("the script did not end within {} exits", LIMIT.exits));
            Err(Stop::Hung(Box::new(broken)))
        }
        end => Err(fault(format!("the script ended with {end:?}"))),
    }
}

/// What the machine cannot do says nothing of its devices.
fn fault(error: impl std::fmt::Display) -> Stop {
    Stop::HostFault(HostFault(format!("cannot have our devices answer: {error}")))
}

/// The ports that answers and interrupts are told at.
struct Listener(Events);

impl Device for Listener {
    fn read(&mut self, _: usize, _: u64, _: &mut [u8]) -> Access {
        Access::NoRegister
    }

    fn write(&mut self, region: usize, _: u64, data: &[u8]) -> Access {
        let port = if region == 0 { REPORT_PORT } else { ANSWER_PORT };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Event::out(port, data));
        Access::Done
    }

    fn reset(&mut self) {}

    fn state(&self) -> Result<Value, serde_json::Error> {
        Ok(Value::Null)
    }

    fn load(&mut self, _: Value) -> Result<(), serde_json::Error> {
        Ok(())
    }
}
