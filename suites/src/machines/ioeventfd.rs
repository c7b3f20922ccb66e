//! Doorbells of our machine, which ring in the kernel: api.rst 4.59 KVM_IOEVENTFD.

use std::sync::Arc;

use guests::script::{Op, Said, Script};
use harness::kvm::KVM_CAP_IOEVENTFD;
use harness::{HostFault, Outcome, Stop, claim, equal};
use vmm::{Doorbell, IrqChip, Space};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use crate::devices::ours;

const PORT: u16 = 0x5600;
/// Above RAM, and below what a PC has there.
const MEMORY: u32 = 0xd000_0000;

fn fault(error: impl std::fmt::Display) -> Stop {
    Stop::HostFault(HostFault(format!("cannot have a doorbell: {error}")))
}

/// Lets a guest do this in our machine with a doorbell: how often it rang, and what the guest saw.
fn rung(space: Space, width: usize, data: Option<u64>, ops: Vec<Op>) -> Result<(u64, Vec<Said>), Stop> {
    let events = Arc::default();
    let mut machine = ours::machine(IrqChip::Kernel, &events)?;
    let bell = EventFd::new(EFD_NONBLOCK).map_err(fault)?;
    let fd = bell.try_clone().map_err(fault)?;
    let address = if space == Space::Ports { PORT.into() } else { MEMORY.into() };
    machine.wires().map.ring_at(Doorbell { space, address, width, data, fd }).map_err(fault)?;
    let script = Script(ops);
    let told = ours::run(&mut machine, &script, &events)?;
    let said = script.said(&told).ok_or_else(|| fault("the guest does not answer"))?;
    Ok((bell.read().unwrap_or(0), said.into_iter().map(|(_, said)| said).collect()))
}

fn ports_ring(bytes: Vec<u8>, wanted: Option<u8>) -> Outcome {
    let bytes = &bytes[..bytes.len().min(32)];
    let ops = bytes.iter().map(|byte| Op::Out(PORT, *byte)).chain([Op::In(PORT)]).collect();
    let count = bytes.iter().filter(|byte| wanted.is_none_or(|wanted| wanted == **byte)).count() as u64;
    let seen = rung(Space::Ports, 1, wanted.map(u64::from), ops)?;
    equal(seen, (count, vec![Said::Value(0xff)]))
}
claim!(
    ports_ring,
    "A doorbell at a port of our machine rings for each write of a guest, or for each of its value, and is not there to be read",
    [Api("4.59 KVM_IOEVENTFD")],
    Has(KVM_CAP_IOEVENTFD)
);

fn memory_rings(words: Vec<u32>, wanted: Option<u32>) -> Outcome {
    let words = &words[..words.len().min(32)];
    let write = |word: &u32| [Op::Write(MEMORY, *word), Op::Write(MEMORY + 4, *word)];
    let ops = words.iter().flat_map(write).chain([Op::Read(MEMORY)]).collect();
    let count = words.iter().filter(|word| wanted.is_none_or(|wanted| wanted == **word)).count() as u64;
    let seen = rung(Space::Memory, 4, wanted.map(u64::from), ops)?;
    equal(seen, (count, vec![Said::Value(0xffff_ffff)]))
}
claim!(
    memory_rings,
    "A doorbell in our machine's memory rings for writes there and not for those beside it",
    [Api("4.59 KVM_IOEVENTFD")],
    Has(KVM_CAP_IOEVENTFD)
);

fn a_doorbell_has_its_width(bytes: Vec<u8>) -> Outcome {
    let bytes = &bytes[..bytes.len().min(32)];
    let ops = bytes.iter().map(|byte| Op::Out(PORT, *byte)).collect();
    equal(rung(Space::Ports, 2, Some(7), ops)?.0, 0)
}
claim!(
    a_doorbell_has_its_width,
    "A doorbell for writes of two bytes does not ring for single ones",
    [Api("4.59 KVM_IOEVENTFD")],
    Has(KVM_CAP_IOEVENTFD)
);
