//! Eventfds that raise interrupt lines of our machine, by the kernel or by our main loop: api.rst 4.75 KVM_IRQFD.

use std::sync::Arc;

use guests::script::{Op, Said, Script};
use harness::kvm::{KVM_CAP_IRQFD_RESAMPLE, KVM_CAP_SPLIT_IRQCHIP};
use harness::{HostFault, Outcome, Stop, claim, each, equal};
use serde_json::Value;
use vmm::irq::Trigger;
use vmm::{Access, Device, IrqChip, Machine, Region, Space};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use crate::devices::ours;

/// A device that is outside: a write to its port rings its eventfd, and a read tells how often it was told of an end since.
struct Outside {
    rings: EventFd,
    told: Option<EventFd>,
}

const PORT: u16 = 0x5600;
const GSI: u32 = 11;
const VECTOR: u8 = 0x51;

const EOI: Op = Op::Write(0xfee0_00b0, 0);

impl Device for Outside {
    fn read(&mut self, _: usize, _: u64, data: &mut [u8]) -> Access {
        let told = self.told.as_ref().and_then(|told| told.read().ok()).unwrap_or(0);
        data.fill((told & 0xff) as u8);
        Access::Done
    }

    fn write(&mut self, _: usize, _: u64, _: &[u8]) -> Access {
        match self.rings.write(1) {
            Ok(()) => Access::Done,
            Err(_) => Access::NoRegister,
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

fn fault(error: impl std::fmt::Display) -> Stop {
    Stop::HostFault(HostFault(format!("cannot have a device outside: {error}")))
}

/// Our machine with such a device at a line of its IOAPIC, that the local APIC takes interrupts from.
fn said(irqchip: IrqChip, resamples: bool, is_level: bool, ops: &[Op]) -> Result<Vec<Said>, Stop> {
    let eventfd = || EventFd::new(EFD_NONBLOCK).map_err(fault);
    let (rings, told) = (eventfd()?, if resamples { Some(eventfd()?) } else { None });
    let again = |fd: &EventFd| fd.try_clone().map_err(fault);
    let outside = Outside { rings: again(&rings)?, told: told.as_ref().map(again).transpose()? };
    let events = Arc::default();
    let port = [Region::ports(PORT, PORT)];
    let mut machine: Machine =
        ours::machine_and(irqchip, &events, |builder| builder.device("outside", Box::new(outside), &port))?;
    machine.wires().interrupts.attach(Trigger { gsi: GSI, fd: rings, resample: told }).map_err(fault)?;
    let low = u32::from(VECTOR) | u32::from(is_level) << 15;
    let ready = [
        Op::Write(0xfee0_00f0, 0x1ff),
        Op::Out(0x21, 0xff),
        Op::Out(0xa1, 0xff),
        Op::Write(0xfec0_0000, 0x10 + 2 * GSI + 1),
        Op::Write(0xfec0_0010, 0),
        Op::Write(0xfec0_0000, 0x10 + 2 * GSI),
        Op::Write(0xfec0_0010, low),
    ];
    let script = Script([&ready[..], ops].concat());
    let told = ours::run(&mut machine, &script, &events)?;
    let said = script.said(&told).ok_or_else(|| fault("its guest does not answer"))?;
    Ok(said.into_iter().map(|(_, said)| said).collect())
}

const PLACES: [IrqChip; 3] = [IrqChip::Kernel, IrqChip::Split, IrqChip::User];

fn each_ring_is_an_edge(times: u8) -> Outcome {
    let times = usize::from(times % 4) + 1;
    each(PLACES, |irqchip| {
        let ops = [Op::Out(PORT, 0), Op::Wait, EOI].repeat(times);
        equal(said(*irqchip, false, false, &ops)?, vec![Said::Raised(VECTOR); times])
    })
}
claim!(
    each_ring_is_an_edge,
    "Each write to an eventfd that our machine has at an edge-triggered pin is one interrupt, wherever its controllers are",
    [Api("4.75 KVM_IRQFD")],
    Has(KVM_CAP_SPLIT_IRQCHIP)
);

fn an_end_is_told_once_and_lets_go(times: u8) -> Outcome {
    let times = usize::from(times % 4) + 1;
    each(PLACES, |irqchip| {
        // Nothing is told before the end; one thing after it; and the line is low then.
        let once = [Op::Out(PORT, 0), Op::Wait, Op::In(PORT), EOI, Op::In(PORT), Op::Take];
        let expected = [Said::Raised(VECTOR), Said::Value(0), Said::Value(1), Said::Done];
        equal(said(*irqchip, true, true, &once.repeat(times))?, expected.repeat(times))
    })
}
claim!(
    an_end_is_told_once_and_lets_go,
    "With a resampling eventfd, our machine's line stays high until the guest ends the interrupt, which is told once",
    [Api("4.75 KVM_IRQFD")],
    Has(KVM_CAP_SPLIT_IRQCHIP),
    Has(KVM_CAP_IRQFD_RESAMPLE)
);

fn what_is_still_wanted_comes_again() -> Outcome {
    each(PLACES, |irqchip| {
        // It rings again while the guest is still in the first interrupt: one more after its end, and not two.
        let ops = [Op::Out(PORT, 0), Op::Wait, EOI, Op::Out(PORT, 0), Op::Wait, EOI, Op::Take, Op::In(PORT)];
        let expected = [Said::Raised(VECTOR), Said::Raised(VECTOR), Said::Done, Said::Value(2)];
        equal(said(*irqchip, true, true, &ops)?, expected.to_vec())
    })
}
claim!(
    what_is_still_wanted_comes_again,
    "A device that rings again after each end of its interrupt gets as many interrupts and is told of as many ends",
    [Api("4.75 KVM_IRQFD")],
    Has(KVM_CAP_SPLIT_IRQCHIP),
    Has(KVM_CAP_IRQFD_RESAMPLE)
);

/// That the port is one that nothing else of a PC has.
fn nobody_else_is_at_the_port() -> Outcome {
    let machine = ours::machine(IrqChip::User, &Arc::default())?;
    let mut byte = [0];
    equal(machine.bus().read(Space::Ports, PORT.into(), &mut byte), Access::NoRegister)?;
    equal(byte, [0xff])
}
claim!(
    nobody_else_is_at_the_port,
    "A port of our PC where no device is reads as all ones",
    [Manual("82371SB (PIIX3) data sheet (290550), 3.0 Address Decoding")]
);
