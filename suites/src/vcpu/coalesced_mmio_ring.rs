//! The coalesced MMIO ring: api.rst 4.116, writes to a zone that do not exit.

use harness::kvm::{Descriptor, EINVAL, Exit, KVM_CAP_COALESCED_MMIO, KVM_RUN, Vm};
use harness::{Outcome, Stop, claim, each, equal, fails, succeeds, unchanged};

use super::coalesced_ring::{ENTRIES, Ring, Write, Zone};
use super::pages::RING;
use super::real_mode::{RealMode, out};

/// Sixteen bytes of MMIO.
const ZONE: Zone = Zone { start: 0x9000, size: 16, pio: 0 };

/// A guest with these bytes of code, whose writes to `ZONE` are coalesced.
fn coalescing(code: &[u8]) -> Result<(RealMode, Ring), Stop> {
    let guest = RealMode::running(code)?;
    ZONE.register(&guest.vm)?;
    let ring = Ring::of(&guest.vcpu)?;
    Ok((guest, ring))
}

fn mmio(address: u64, data: &[u8]) -> Write {
    Write { address, data: data.to_vec(), pio: 0 }
}

fn cap_is_the_page(vm: Vm) -> Outcome {
    equal(vm.check_extension(KVM_CAP_COALESCED_MMIO)?, i32::try_from(RING).unwrap_or(0))
}
claim!(
    cap_is_the_page,
    "KVM_CAP_COALESCED_MMIO answers the page at which a vCPU's descriptor has the coalesced MMIO ring",
    [Api("4.5 KVM_GET_VCPU_MMAP_SIZE"), Code("kvm_vm_ioctl_check_extension_generic, virt/kvm/kvm_main.c")],
);

fn byte_writes_do_not_exit(byte: u8) -> Outcome {
    let (guest, ring) = coalescing(&[0xb0, byte, 0xa2, 0x03, 0x90, 0xf4])?; // mov al, byte; mov [0x9003], al; hlt
    equal(guest.run_to_halt(0)?, vec![])?;
    equal(ring.bounds(), (0, 1))?;
    equal(ring.drain(), vec![mmio(0x9003, &[byte])])?;
    guest.ended(|end| end.regs.rax = byte.into())
}
claim!(
    byte_writes_do_not_exit,
    "A guest's write to a coalesced MMIO zone fills an entry of the ring and does not exit",
    [Api("4.116 KVM_(UN)REGISTER_COALESCED_MMIO")],
    Has(KVM_CAP_COALESCED_MMIO),
);

fn entries_have_the_width(value: u32) -> Outcome {
    let [a, b, c, d] = value.to_le_bytes();
    // mov eax, value; mov [0x9000], al; mov [0x9004], ax; mov [0x9008], eax; hlt
    let (guest, ring) = coalescing(&[
        0x66, 0xb8, a, b, c, d, 0xa2, 0x00, 0x90, 0xa3, 0x04, 0x90, 0x66, 0xa3, 0x08, 0x90, 0xf4,
    ])?;
    equal(guest.run_to_halt(0)?, vec![])?;
    let expected = vec![mmio(0x9000, &[a]), mmio(0x9004, &[a, b]), mmio(0x9008, &[a, b, c, d])];
    equal(ring.drain(), expected)?;
    guest.ended(|end| end.regs.rax = value.into())
}
claim!(
    entries_have_the_width,
    "Coalesced writes of one, two and four bytes stand in the ring in order, each with its length and data",
    [Api("4.116 KVM_(UN)REGISTER_COALESCED_MMIO")],
    Has(KVM_CAP_COALESCED_MMIO),
);

fn reads_exit() -> Outcome {
    // mov al, 0x5e; mov [0x9003], al; mov al, [0x9003]; hlt
    let (guest, ring) = coalescing(&[0xb0, 0x5e, 0xa2, 0x03, 0x90, 0xa0, 0x03, 0x90, 0xf4])?;
    let exits = guest.run_to_halt(1)?;
    equal(exits, vec![Exit::Mmio { write: false, address: 0x9003, data: vec![0] }])?;
    equal(ring.drain(), vec![mmio(0x9003, &[0x5e])])?;
    guest.ended(|_| ())
}
claim!(
    reads_exit,
    "A guest's read of a coalesced MMIO zone exits and leaves the ring alone",
    [Api("4.116 KVM_(UN)REGISTER_COALESCED_MMIO")],
    Has(KVM_CAP_COALESCED_MMIO),
);

fn writes_beside_the_zone_exit() -> Outcome {
    // mov ax, 0x2211; mov [address], ax; mov [0x900e], ax; hlt: before the zone, out of it, behind it, and at last in it
    each([0x8ffeu16, 0x900f, 0x9010], |&address| {
        let [low, high] = address.to_le_bytes();
        let (guest, ring) = coalescing(&[0xb8, 0x11, 0x22, 0xa3, low, high, 0xa3, 0x0e, 0x90, 0xf4])?;
        let exits = guest.run_to_halt(1)?;
        equal(exits, vec![Exit::Mmio { write: true, address: address.into(), data: vec![0x11, 0x22] }])?;
        equal(ring.drain(), vec![mmio(0x900e, &[0x11, 0x22])])?;
        guest.ended(|end| end.regs.rax = 0x2211)
    })
}
claim!(
    writes_beside_the_zone_exit,
    "A write that is not wholly inside of a coalesced MMIO zone exits and leaves the ring alone",
    [Code("coalesced_mmio_in_range, virt/kvm/coalesced_mmio.c")],
    Has(KVM_CAP_COALESCED_MMIO),
);

fn the_last_bytes_belong_to_the_zone() -> Outcome {
    let (guest, ring) = coalescing(&[0xb8, 0x11, 0x22, 0xa3, 0x0e, 0x90, 0xf4])?; // mov [0x900e], ax
    equal(guest.run_to_halt(0)?, vec![])?;
    equal(ring.drain(), vec![mmio(0x900e, &[0x11, 0x22])])?;
    guest.ended(|end| end.regs.rax = 0x2211)
}
claim!(
    the_last_bytes_belong_to_the_zone,
    "A write that ends with the last byte of a coalesced MMIO zone is coalesced",
    [Code("coalesced_mmio_in_range, virt/kvm/coalesced_mmio.c")],
    Has(KVM_CAP_COALESCED_MMIO),
);

/// mov cx, 180; 1: mov [0x9000], cl; loop 1b; hlt
const COUNTING: [u8; 10] = [0xb9, 180, 0, 0x88, 0x0e, 0x00, 0x90, 0xe2, 0xfa, 0xf4];

/// `COUNTING` has so many of its writes coalesced, and each after them exits.
fn fills_after(room: u32) -> Outcome {
    let (guest, ring) = coalescing(&COUNTING)?;
    let exits = guest.run_to_halt(180)?;
    let late: Vec<_> = (1..=180 - room)
        .rev()
        .map(|count| Exit::Mmio { write: true, address: 0x9000, data: vec![count.to_le_bytes()[0]] })
        .collect();
    equal(exits, late)?;
    equal(ring.bounds(), (0, room))?;
    let early: Vec<_> =
        (181 - room..=180).rev().map(|count| mmio(0x9000, &count.to_le_bytes()[..1])).collect();
    equal(ring.drain(), early)?;
    guest.ended(|_| ())
}

fn full_rings_exit() -> Outcome {
    fills_after(ENTRIES - 1)
}
claim!(
    full_rings_exit,
    "The coalesced MMIO ring takes one write less than it has entries, and the writes after that exit",
    [
        Code("coalesced_mmio_write, virt/kvm/coalesced_mmio.c"),
        FixedBy("92f6d4130497 KVM: Fix coalesced_mmio_has_room() to avoid premature userspace exit"),
    ],
    Has(KVM_CAP_COALESCED_MMIO),
    Kernel(">=6.12"),
);

fn full_rings_exited_early() -> Outcome {
    // Where an unsigned difference wraps, taking it modulo 170 is off by 2^32 modulo 170.
    fills_after(85)
}
claim!(
    full_rings_exited_early,
    "Before Linux 6.12, a coalesced MMIO ring that starts at its first entry takes 85 writes, and the ones after that exit",
    [Observed("coalesced_mmio_has_room, virt/kvm/coalesced_mmio.c of Linux 6.1")],
    Has(KVM_CAP_COALESCED_MMIO),
    Kernel("<6.12"),
);

fn drained_rings_wrap() -> Outcome {
    let (guest, ring) = coalescing(&COUNTING)?;
    let late = 180 - (ENTRIES - 1);
    let exit = guest.run()?;
    equal(exit, Exit::Mmio { write: true, address: 0x9000, data: vec![late.to_le_bytes()[0]] })?;
    ring.drain();
    equal(guest.run_to_halt(0)?, vec![])?;
    equal(ring.bounds(), (ENTRIES - 1, (ENTRIES - 1 + late - 1) % ENTRIES))?;
    let rest: Vec<_> = (1..late).rev().map(|count| mmio(0x9000, &count.to_le_bytes()[..1])).collect();
    equal(ring.drain(), rest)?;
    guest.ended(|_| ())
}
claim!(
    drained_rings_wrap,
    "A coalesced MMIO ring that was drained takes writes again, the first of its entries after the last",
    [
        Code("coalesced_mmio_write, virt/kvm/coalesced_mmio.c"),
        FixedBy("92f6d4130497 KVM: Fix coalesced_mmio_has_room() to avoid premature userspace exit"),
    ],
    Has(KVM_CAP_COALESCED_MMIO),
    Kernel(">=6.12"),
);

fn every_vcpu_maps_the_ring() -> Outcome {
    let (guest, _) = coalescing(&[0xb0, 0x6e, 0xa2, 0x00, 0x90, 0xf4])?; // mov al, 0x6e; mov [0x9000], al; hlt
    let other = Ring::of(&guest.vm.create_vcpu(1)?)?;
    equal(guest.run_to_halt(0)?, vec![])?;
    equal(other.drain(), vec![mmio(0x9000, &[0x6e])])?;
    guest.ended(|end| end.regs.rax = 0x6e)
}
claim!(
    every_vcpu_maps_the_ring,
    "What one vCPU writes to a coalesced MMIO zone can be drained through another vCPU of the VM",
    [Code("kvm_vcpu_fault, virt/kvm/kvm_main.c")],
    Has(KVM_CAP_COALESCED_MMIO),
);

/// Whether a write to `ZONE`, which is coalesced at first, is so still once `change` was done to the VM.
fn coalesces_after(change: impl FnOnce(&Vm) -> Outcome) -> Result<bool, Stop> {
    // mov al, 0x6f; mov [0x9000], al; out 0x10, al; mov [0x9000], al; hlt
    let code = [0xb0, 0x6f, 0xa2, 0x00, 0x90, 0xe6, 0x10, 0xa2, 0x00, 0x90, 0xf4];
    let (guest, ring) = coalescing(&code)?;
    equal(guest.run()?, out(0x10, &[0x6f]))?;
    equal(ring.drain(), vec![mmio(0x9000, &[0x6f])])?;
    change(&guest.vm)?;
    let exits = guest.run_to_halt(1)?;
    guest.ended(|end| end.regs.rax = 0x6f)?;
    let written = vec![Exit::Mmio { write: true, address: 0x9000, data: vec![0x6f] }];
    let coalesced = exits.is_empty();
    equal(exits, if coalesced { vec![] } else { written })?;
    equal(ring.drain().len(), usize::from(coalesced))?;
    Ok(coalesced)
}

fn unregistered_zones_exit() -> Outcome {
    let coalesces = coalesces_after(|vm| succeeds(ZONE.unregister(vm)).map(drop))?;
    equal(coalesces, false)
}
claim!(
    unregistered_zones_exit,
    "KVM_UNREGISTER_COALESCED_MMIO makes a guest's writes to the zone exit again",
    [Api("4.116 KVM_(UN)REGISTER_COALESCED_MMIO")],
    Has(KVM_CAP_COALESCED_MMIO),
);

fn any_part_unregisters_the_zone() -> Outcome {
    let part = Zone { start: ZONE.start + 8, size: 1, pio: 0 };
    equal(coalesces_after(|vm| succeeds(part.unregister(vm)).map(drop))?, false)
}
claim!(
    any_part_unregisters_the_zone,
    "KVM_UNREGISTER_COALESCED_MMIO of a part of a zone takes away all of it",
    [Code("kvm_vm_ioctl_unregister_coalesced_mmio, virt/kvm/coalesced_mmio.c")],
    Has(KVM_CAP_COALESCED_MMIO),
);

fn other_zones_stay() -> Outcome {
    let others = [
        Zone { size: ZONE.size + 1, ..ZONE },
        Zone { start: ZONE.start - 1, ..ZONE },
        Zone { start: ZONE.start + u64::from(ZONE.size), ..ZONE },
        Zone { pio: 1, ..ZONE },
    ];
    each(others, |other| equal(coalesces_after(|vm| succeeds(other.unregister(vm)).map(drop))?, true))
}
claim!(
    other_zones_stay,
    "KVM_UNREGISTER_COALESCED_MMIO of what is not wholly inside of a zone succeeds and leaves the zone",
    [Code("kvm_vm_ioctl_unregister_coalesced_mmio, virt/kvm/coalesced_mmio.c")],
    Has(KVM_CAP_COALESCED_MMIO),
);

fn zones_are_of_memory_or_ports() -> Outcome {
    each([2u32, 3, 0x100, u32::MAX], |&pio| {
        let neither = Zone { pio, ..ZONE };
        let coalesces = coalesces_after(|vm| {
            fails(EINVAL, neither.register(vm))?;
            fails(EINVAL, neither.unregister(vm))
        })?;
        equal(coalesces, true)
    })
}
claim!(
    zones_are_of_memory_or_ports,
    "A coalesced zone whose pio is neither 0 nor 1 is refused with EINVAL, and other zones stay",
    [Code("kvm_vm_ioctl_register_coalesced_mmio, virt/kvm/coalesced_mmio.c")],
    Has(KVM_CAP_COALESCED_MMIO),
);

fn wild_indices_are_not_followed() -> Outcome {
    each([ENTRIES, ENTRIES + 1, 0x8000_0000, u32::MAX], |&last| {
        let (guest, ring) = coalescing(&[0xb0, 0x70, 0xa2, 0x00, 0x90, 0xf4])?;
        ring.set_last(last);
        unchanged(
            || Ok::<_, Stop>(ring.bounds()),
            || {
                guest.vcpu.value(KVM_RUN, 0)?;
                equal(guest.vcpu.exit()?, Exit::Mmio { write: true, address: 0x9000, data: vec![0x70] })
            },
        )?;
        equal(guest.run_to_halt(0)?, vec![])?;
        guest.ended(|end| end.regs.rax = 0x70)
    })
}
claim!(
    wild_indices_are_not_followed,
    "A write to a coalesced MMIO zone exits where user space has laid an index past the ring",
    [FixedBy("b60fe990c6b0 KVM: coalesced_mmio: add bounds checking")],
    Has(KVM_CAP_COALESCED_MMIO),
    // A kernel without the check writes past the page.
    Lab,
);
