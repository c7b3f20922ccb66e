//! Messages that devices of our machine write to the local APIC: api.rst 4.70 KVM_SIGNAL_MSI; Intel SDM volume 3, 12.11 "Message
//! Signalled Interrupts".

use std::sync::Arc;

use guests::script::{Op, Said, Script};
use harness::kvm::KVM_CAP_SPLIT_IRQCHIP;
use harness::{HostFault, Outcome, Stop, claim, each, equal};
use serde_json::Value;
use vmm::irq::Interrupts;
use vmm::{Access, Device, IrqChip, Region};

use crate::devices::ours;

const PORT: u16 = 0x5600;
const APIC: u64 = 0xfee0_0000;

/// A device that writes a message with the vector that is written to its port.
struct Sender(Interrupts);

impl Device for Sender {
    fn read(&mut self, _: usize, _: u64, _: &mut [u8]) -> Access {
        Access::NoRegister
    }

    fn write(&mut self, _: usize, _: u64, data: &[u8]) -> Access {
        let [vector] = *data else { return Access::BadWidth };
        self.0.message(APIC, vector.into());
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

const PLACES: [IrqChip; 3] = [IrqChip::Kernel, IrqChip::Split, IrqChip::User];
const EOI: Op = Op::Write(0xfee0_00b0, 0);

/// What a guest that takes interrupts says in our machine with such a device.
fn said(irqchip: IrqChip, ops: &[Op]) -> Result<Vec<Said>, Stop> {
    let events = Arc::default();
    let mut machine = ours::machine_and(irqchip, &events, |builder| {
        let sender = Sender(builder.wires().interrupts.clone());
        builder.device("sender", Box::new(sender), &[Region::ports(PORT, PORT)])
    })?;
    let script = Script([&[Op::Write(0xfee0_00f0, 0x1ff)], ops].concat());
    let told = ours::run(&mut machine, &script, &events)?;
    let fault = || Stop::HostFault(HostFault("the guest does not answer".to_owned()));
    Ok(script.said(&told).ok_or_else(fault)?.into_iter().map(|(_, said)| said).collect())
}

/// A few vectors that a device may have.
fn vectors(any: Vec<u8>) -> Vec<u8> {
    any.into_iter().take(8).map(|vector| vector.max(0x20)).collect()
}

fn a_message_is_an_interrupt(any: Vec<u8>) -> Outcome {
    let vectors = vectors(any);
    each(PLACES, |irqchip| {
        let ops: Vec<Op> =
            vectors.iter().flat_map(|vector| [Op::Out(PORT, *vector), Op::Wait, EOI]).collect();
        equal(said(*irqchip, &ops)?, vectors.iter().map(|vector| Said::Raised(*vector)).collect())
    })
}
claim!(
    a_message_is_an_interrupt,
    "A message that a device of our machine writes is an interrupt of its vector, wherever the controllers are",
    [Api("4.70 KVM_SIGNAL_MSI"), Manual("Intel SDM volume 3, 12.11 Message Signalled Interrupts")],
    Has(KVM_CAP_SPLIT_IRQCHIP)
);

fn several_come_by_priority(any: Vec<u8>) -> Outcome {
    let mut vectors = vectors(any);
    let sent: Vec<Op> = vectors.iter().map(|vector| Op::Out(PORT, *vector)).collect();
    let taken = [Op::Take, EOI].repeat(vectors.len() + 1);
    // The same vector twice is requested once.
    vectors.sort_unstable_by(|a, b| b.cmp(a));
    vectors.dedup();
    each(PLACES, |irqchip| {
        let raised =
            said(*irqchip, &[&sent[..], &taken].concat())?.into_iter().filter_map(|said| match said {
                Said::Raised(vector) => Some(vector),
                _ => None,
            });
        equal(raised.collect::<Vec<_>>(), vectors.clone())
    })
}
claim!(
    several_come_by_priority,
    "Messages that come while interrupts are off are taken afterwards by their priority, each vector once",
    [Manual("Intel SDM volume 3, 12.8.4 Interrupt Acceptance for Fixed Interrupts")],
    Has(KVM_CAP_SPLIT_IRQCHIP)
);
