//! The machine `bare` on the KVM accel as a subject: the payloads that bare KVM tells, told through accel, bus and vCPU thread.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use guests::{Event, Image, MMIO_HOLE, Memory, Mode, Story, payloads};
use harness::{HostFault, Outcome, Stop, claim, each, entry, equal, subject, subjects, tells};
use serde_json::Value;
use vmm::{Access, Builder, Device, End, Limit, Region, Space, accel};

use crate::guests::needs::BUSY_TASKS;

subject!("bare", "our machine without a PC's devices, on the KVM accel", tell);

fn every_payload_is_told() -> Outcome {
    told(|mode| !matches!(mode, Mode::Virtual8086 | Mode::Pae))
}
claim!(
    every_payload_is_told,
    "Through the KVM accel of our machine, every payload tells the story that it tells on bare KVM",
    [Api("5 The kvm_run structure")]
);

fn pae_payloads_are_told() -> Outcome {
    told(|mode| mode == Mode::Pae)
}
claim!(
    pae_payloads_are_told,
    "Through the KVM accel of our machine, payloads under PAE paging tell the stories that they tell on bare KVM",
    [Api("5 The kvm_run structure")]
);

fn virtual_8086_payloads_are_told() -> Outcome {
    told(|mode| mode == Mode::Virtual8086)
}
claim!(
    virtual_8086_payloads_are_told,
    "Through the KVM accel of our machine, virtual-8086 payloads tell the stories that they tell on bare KVM",
    [Api("5 The kvm_run structure")],
    BUSY_TASKS
);

/// Our machine tells the payloads of these modes.
fn told(of: impl Fn(Mode) -> bool) -> Outcome {
    let bare = subjects().into_iter().find(|subject| subject.name == "bare");
    equal(bare.is_some(), true)?;
    let payloads = payloads().into_iter().filter(|payload| of(payload.mode));
    each(payloads, |payload| bare.map_or(Ok(()), |bare| tells(bare, payload)))
}

/// Guests that do not halt are stopped after so many exits; the clock of the claim is shorter than this one.
const LIMIT: Limit = Limit { time: Duration::from_secs(600), exits: 1000 };

/// How many bytes above [`MMIO_HOLE`] the device answers for.
const HOLE: u64 = 0x1_0000;

fn tell(image: &Image, replies: &mut dyn Iterator<Item = Vec<u8>>) -> Result<Story, Stop> {
    let told = Arc::new(Mutex::new(Vec::new()));
    let teller = Teller { replies: replies.collect(), told: Arc::clone(&told) };
    let hole = Region::new(Space::Memory, MMIO_HOLE, HOLE).map_err(fault)?;
    let (_, hypervisor) = accel::open("kvm").map_err(fault)?;
    let mut machine = Builder::new(hypervisor, image.size)
        .and_then(|builder| builder.device("teller", Box::new(teller), &[Region::ALL_PORTS, hole]))
        .and_then(Builder::build)
        .map_err(fault)?;
    machine.ram().write(0, &image.ram()).map_err(fault)?;
    let cpu = machine.cpu(0).map_err(fault)?;
    let sregs = entry::sregs(&image.entry, cpu.sregs().map_err(fault)?);
    cpu.set_sregs(&sregs).map_err(fault)?;
    cpu.set_regs(&entry::regs(&image.entry.registers)).map_err(fault)?;
    let end = machine.run(LIMIT);
    let registers = entry::registers(&machine.cpu(0).map_err(fault)?.regs().map_err(fault)?);
    let memory = Memory::compare(image, &machine.ram().contents().map_err(fault)?);
    let mut events = std::mem::take(&mut *told.lock().unwrap_or_else(PoisonError::into_inner));
    events.push(match end {
        Ok(End::Halted) => Event::Halt,
        Ok(end) => Event::Exit(format!("{end:?}")),
        Err(error) => Event::Exit(error.to_string()),
    });
    Ok(Story::of(events).ending(registers, memory))
}

/// What the machine cannot do says nothing of KVM.
fn fault(error: impl std::error::Error) -> Stop {
    Stop::HostFault(HostFault(format!("cannot build our machine: {error}")))
}

/// A device at every port and at the hole in RAM, which writes down what it is asked and answers from a list.
struct Teller {
    replies: VecDeque<Vec<u8>>,
    told: Arc<Mutex<Vec<Event>>>,
}

impl Teller {
    fn note(&self, event: Event) -> Access {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).push(event);
        Access::Done
    }
}

impl Device for Teller {
    fn read(&mut self, region: usize, offset: u64, data: &mut [u8]) -> Access {
        let reply = self.replies.pop_front().unwrap_or_default();
        for (byte, given) in data.iter_mut().zip(reply.into_iter().chain(std::iter::repeat(0xff))) {
            *byte = given;
        }
        match (region, u16::try_from(offset)) {
            (0, Ok(port)) => self.note(Event::read(port, &*data)),
            _ => self.note(Event::mmio_read(MMIO_HOLE + offset, &*data)),
        }
    }

    fn write(&mut self, region: usize, offset: u64, data: &[u8]) -> Access {
        match (region, u16::try_from(offset)) {
            (0, Ok(port)) => self.note(Event::out(port, data)),
            _ => self.note(Event::mmio_write(MMIO_HOLE + offset, data)),
        }
    }

    fn reset(&mut self) {}

    fn state(&self) -> Result<Value, serde_json::Error> {
        Ok(Value::Null)
    }

    fn load(&mut self, _: Value) -> Result<(), serde_json::Error> {
        Ok(())
    }
}
