//! Coalesced port I/O: api.rst 4.116, writes to a zone of ports that do not exit.

use harness::kvm::{Exit, KVM_CAP_COALESCED_PIO};
use harness::{Outcome, Stop, claim, equal};

use super::coalesced_ring::{Ring, Write, Zone};
use super::real_mode::{RealMode, input, out};

/// Four ports.
const ZONE: Zone = Zone { start: 0x70, size: 4, pio: 1 };

/// A guest with these bytes of code, whose writes to the ports of `ZONE` are coalesced.
fn coalescing(code: &[u8]) -> Result<(RealMode, Ring), Stop> {
    let guest = RealMode::running(code)?;
    ZONE.register(&guest.vm)?;
    let ring = Ring::of(&guest.vcpu)?;
    Ok((guest, ring))
}

fn pio(address: u64, data: &[u8]) -> Write {
    Write { address, data: data.to_vec(), pio: 1 }
}

fn writes_do_not_exit(value: u32) -> Outcome {
    let [a, b, c, d] = value.to_le_bytes();
    // mov eax, value; out 0x73, al; out 0x72, ax; out 0x70, eax; hlt
    let (guest, ring) =
        coalescing(&[0x66, 0xb8, a, b, c, d, 0xe6, 0x73, 0xe7, 0x72, 0x66, 0xe7, 0x70, 0xf4])?;
    equal(guest.run_to_halt(0)?, vec![])?;
    equal(ring.drain(), vec![pio(0x73, &[a]), pio(0x72, &[a, b]), pio(0x70, &[a, b, c, d])])?;
    guest.ended(|end| end.regs.rax = value.into())
}
claim!(
    writes_do_not_exit,
    "OUT to a coalesced zone of ports fills an entry of the ring, with pio set, and does not exit",
    [Api("4.116 KVM_(UN)REGISTER_COALESCED_MMIO")],
    Has(KVM_CAP_COALESCED_PIO),
);

fn reads_exit() -> Outcome {
    // mov al, 0x5e; out 0x70, al; in al, 0x70; hlt
    let (guest, ring) = coalescing(&[0xb0, 0x5e, 0xe6, 0x70, 0xe4, 0x70, 0xf4])?;
    equal(guest.run_to_halt(1)?, vec![input(0x70, 1, 1)])?;
    equal(ring.drain(), vec![pio(0x70, &[0x5e])])?;
    guest.ended(|_| ())
}
claim!(
    reads_exit,
    "IN from a coalesced zone of ports exits and leaves the ring alone",
    [Api("4.116 KVM_(UN)REGISTER_COALESCED_MMIO")],
    Has(KVM_CAP_COALESCED_PIO),
);

fn writes_beside_the_zone_exit() -> Outcome {
    // mov ax, 0x2211; out 0x6f, ax; out 0x73, ax; out 0x74, ax; out 0x72, ax; hlt
    let code = [0xb8, 0x11, 0x22, 0xe7, 0x6f, 0xe7, 0x73, 0xe7, 0x74, 0xe7, 0x72, 0xf4];
    let (guest, ring) = coalescing(&code)?;
    let beside = [0x6f, 0x73, 0x74].map(|port| out(port, &[0x11, 0x22]));
    equal(guest.run_to_halt(3)?, beside.to_vec())?;
    equal(ring.drain(), vec![pio(0x72, &[0x11, 0x22])])?;
    guest.ended(|end| end.regs.rax = 0x2211)
}
claim!(
    writes_beside_the_zone_exit,
    "OUT that is not wholly inside of a coalesced zone of ports exits and leaves the ring alone",
    [Code("coalesced_mmio_in_range, virt/kvm/coalesced_mmio.c")],
    Has(KVM_CAP_COALESCED_PIO),
);

fn ports_are_no_addresses() -> Outcome {
    // mov al, 0x21; mov [0x9000], al; mov [0xa000], al; mov dx, 0x9000; out dx, al; mov dx, 0xa000; out dx, al; hlt
    let guest = RealMode::running(&[
        0xb0, 0x21, 0xa2, 0x00, 0x90, 0xa2, 0x00, 0xa0, 0xba, 0x00, 0x90, 0xee, 0xba, 0x00, 0xa0, 0xee, 0xf4,
    ])?;
    Zone { start: 0x9000, size: 1, pio: 1 }.register(&guest.vm)?;
    Zone { start: 0xa000, size: 1, pio: 0 }.register(&guest.vm)?;
    let exits = guest.run_to_halt(2)?;
    equal(exits, vec![Exit::Mmio { write: true, address: 0x9000, data: vec![0x21] }, out(0xa000, &[0x21])])?;
    let memory = Write { address: 0xa000, data: vec![0x21], pio: 0 };
    equal(Ring::of(&guest.vcpu)?.drain(), vec![memory, pio(0x9000, &[0x21])])?;
    guest.ended(|end| (end.regs.rax, end.regs.rdx) = (0x21, 0xa000))
}
claim!(
    ports_are_no_addresses,
    "A coalesced zone of ports takes no writes to memory, and one of memory none to ports",
    [Code("kvm_vm_ioctl_register_coalesced_mmio, virt/kvm/coalesced_mmio.c")],
    Has(KVM_CAP_COALESCED_PIO),
);

fn both_share_the_ring() -> Outcome {
    // mov al, 0x31; out 0x70, al; mov [0x9000], al; out 0x71, al; hlt
    let (guest, ring) = coalescing(&[0xb0, 0x31, 0xe6, 0x70, 0xa2, 0x00, 0x90, 0xe6, 0x71, 0xf4])?;
    Zone { start: 0x9000, size: 1, pio: 0 }.register(&guest.vm)?;
    equal(guest.run_to_halt(0)?, vec![])?;
    let memory = Write { address: 0x9000, data: vec![0x31], pio: 0 };
    equal(ring.drain(), vec![pio(0x70, &[0x31]), memory, pio(0x71, &[0x31])])?;
    guest.ended(|end| end.regs.rax = 0x31)
}
claim!(
    both_share_the_ring,
    "Coalesced writes to ports and to memory stand in one ring, in the order in which the guest made them",
    [Api("4.116 KVM_(UN)REGISTER_COALESCED_MMIO")],
    Has(KVM_CAP_COALESCED_PIO),
);

fn unregistered_ports_exit() -> Outcome {
    // mov al, 0x41; out 0x70, al; out 0x10, al; out 0x70, al; hlt
    let (guest, ring) = coalescing(&[0xb0, 0x41, 0xe6, 0x70, 0xe6, 0x10, 0xe6, 0x70, 0xf4])?;
    equal(guest.run()?, out(0x10, &[0x41]))?;
    equal(ring.drain(), vec![pio(0x70, &[0x41])])?;
    ZONE.unregister(&guest.vm)?;
    equal(guest.run_to_halt(1)?, vec![out(0x70, &[0x41])])?;
    equal(ring.drain(), vec![])?;
    guest.ended(|end| end.regs.rax = 0x41)
}
claim!(
    unregistered_ports_exit,
    "KVM_UNREGISTER_COALESCED_MMIO makes OUT to a zone of ports exit again",
    [Api("4.116 KVM_(UN)REGISTER_COALESCED_MMIO")],
    Has(KVM_CAP_COALESCED_PIO),
);
