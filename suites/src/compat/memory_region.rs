//! KVM_SET_USER_MEMORY_REGION for 32-bit callers: api.rst 4.35, whose addresses have 64 bits for either.

use std::sync::Arc;

use harness::kvm::{Compat, EEXIST, EINVAL, Exit, KVM_SET_USER_MEMORY_REGION, Memory, abi};
use harness::{Outcome, Stop, claim, each, equal, fails};

use crate::vcpu::real_mode::{RealMode, out};

/// A guest whose DS begins with a slot at 64 KiB that a 32-bit caller made, and which holds 0x21 at 16.
fn with_slot(code: &[u8]) -> Result<(RealMode, Arc<Memory>), Stop> {
    let guest = RealMode::running(code)?;
    let memory = Arc::new(Memory::new(0x1000)?);
    memory.fill(0xf4)?;
    memory.write(16, &[0x21])?;
    Compat.set_memory(&guest.vm, 1, 0, 0x1_0000, &memory)?;
    let mut sregs = guest.vcpu.get_sregs()?;
    sregs.ds.base = 0x1_0000;
    guest.vcpu.set_sregs(&sregs)?;
    Ok((guest, memory))
}

/// mov al, [16]; not al; mov [17], al; hlt
const TOUCHING: [u8; 9] = [0xa0, 16, 0, 0xf6, 0xd0, 0xa2, 17, 0, 0xf4];

fn slots_are_shown() -> Outcome {
    let (guest, memory) = with_slot(&TOUCHING)?;
    equal(guest.run()?, Exit::Hlt)?;
    equal(memory.read(16, 2)?, vec![0x21, !0x21])?;
    guest.ended(|end| end.regs.rax = 0xde)
}
claim!(
    slots_are_shown,
    "KVM_SET_USER_MEMORY_REGION takes 64 bits of a userspace address from a 32-bit caller",
    [Api("4.35 KVM_SET_USER_MEMORY_REGION")],
    Compat32,
);

fn slots_are_taken_away() -> Outcome {
    // mov al, [16]; out 0x10, al; and then as above
    let mut code = vec![0xa0, 16, 0, 0xe6, 0x10];
    code.extend(TOUCHING);
    let (guest, _memory) = with_slot(&code)?;
    equal(guest.run()?, out(0x10, &[0x21]))?;
    let gone = abi::kvm_userspace_memory_region { slot: 1, ..Default::default() };
    equal(Compat.write(&guest.vm, KVM_SET_USER_MEMORY_REGION, gone)?, 0)?;
    equal(guest.run()?, Exit::Mmio { write: false, address: 0x1_0010, data: vec![0] })?;
    equal(guest.run()?, Exit::Mmio { write: true, address: 0x1_0011, data: vec![0xff] })?;
    equal(guest.run()?, Exit::Hlt)?;
    guest.ended(|end| end.regs.rax = 0xff)
}
claim!(
    slots_are_taken_away,
    "KVM_SET_USER_MEMORY_REGION of no bytes by a 32-bit caller takes a slot away",
    [Api("4.35 KVM_SET_USER_MEMORY_REGION")],
    Compat32,
);

fn slots_are_checked() -> Outcome {
    let (guest, memory) = with_slot(&TOUCHING)?;
    let page = abi::kvm_userspace_memory_region { slot: 2, memory_size: 0x1000, ..Default::default() };
    let bad = [
        abi::kvm_userspace_memory_region { guest_phys_addr: 0x2_0001, ..page },
        abi::kvm_userspace_memory_region { guest_phys_addr: 0x2_0000, memory_size: 0x1001, ..page },
        abi::kvm_userspace_memory_region { guest_phys_addr: 0x2_0000, userspace_addr: 1, ..page },
        abi::kvm_userspace_memory_region { guest_phys_addr: 0x2_0000, flags: 1 << 31, ..page },
    ];
    each(bad, |&region| fails(EINVAL, Compat.write(&guest.vm, KVM_SET_USER_MEMORY_REGION, region)))?;
    let overlapping = abi::kvm_userspace_memory_region { guest_phys_addr: 0x1_0000, ..page };
    fails(EEXIST, Compat.write(&guest.vm, KVM_SET_USER_MEMORY_REGION, overlapping))?;
    equal(guest.run()?, Exit::Hlt)?;
    equal(memory.read(16, 2)?, vec![0x21, !0x21])?;
    guest.ended(|end| end.regs.rax = 0xde)
}
claim!(
    slots_are_checked,
    "KVM_SET_USER_MEMORY_REGION refuses a 32-bit caller's bad slot, and the others stay",
    [Api("4.35 KVM_SET_USER_MEMORY_REGION"), Code("__kvm_set_memory_region, virt/kvm/kvm_main.c")],
    Compat32,
);
