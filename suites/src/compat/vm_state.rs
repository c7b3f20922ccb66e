//! What a VM's commands fill and store for 32-bit callers: interrupt controllers, the i8254, the clock, and addresses.

use harness::kvm::{
    Compat, CompatBuffer, Descriptor, EFAULT, EINVAL, KVM_CAP_ADJUST_CLOCK, KVM_CAP_IRQCHIP,
    KVM_CAP_PIT_STATE2, KVM_CAP_PIT2, KVM_CAP_SET_IDENTITY_MAP_ADDR, KVM_CAP_SET_TSS_ADDR, KVM_GET_CLOCK,
    KVM_GET_IRQCHIP, KVM_GET_PIT, KVM_GET_PIT2, KVM_SET_CLOCK, KVM_SET_IDENTITY_MAP_ADDR, KVM_SET_IRQCHIP,
    KVM_SET_PIT2, KVM_SET_TSS_ADDR, Kvm, Refused, Vm, abi,
};
use harness::{Outcome, Stop, claim, each, equal, fails, succeeds, within};

use super::alike::{by_32, by_64, fills_alike};

/// The three chips of KVM_GET_IRQCHIP: both i8259 and the IOAPIC.
const CHIPS: [u8; 3] = [0, 1, 2];

fn irqchips(vm: Vm) -> Outcome {
    vm.create_irqchip()?;
    each(CHIPS, |&chip| fills_alike(&vm, KVM_GET_IRQCHIP, &[chip, 0, 0, 0]))
}
claim!(
    irqchips,
    "KVM_GET_IRQCHIP fills the same bytes for a 32-bit caller, for every chip",
    [Api("4.26 KVM_GET_IRQCHIP")],
    Compat32,
    Has(KVM_CAP_IRQCHIP),
);

fn irqchips_are_stored(vm: Vm, mask: u8) -> Outcome {
    vm.create_irqchip()?;
    let size = KVM_GET_IRQCHIP.size();
    // The interrupt mask of an i8259, and the lower half of the IOAPIC's last redirection entry, edge and masked.
    each([(0u8, 10usize, mask), (1, 10, mask), (2, 8 + 16 + 8 + 23 * 8, mask)], |&(chip, at, value)| {
        let (_, mut state) = by_64(&vm, KVM_GET_IRQCHIP, size, &[chip, 0, 0, 0]);
        state[at] = value;
        equal(by_32(&vm, KVM_SET_IRQCHIP, size, &state)?, (Ok(0), state.clone()))?;
        equal(by_64(&vm, KVM_GET_IRQCHIP, size, &[chip, 0, 0, 0]), (Ok(0), state))
    })
}
claim!(
    irqchips_are_stored,
    "KVM_SET_IRQCHIP stores what a 32-bit caller lays down, for every chip",
    [Api("4.27 KVM_SET_IRQCHIP")],
    Compat32,
    Has(KVM_CAP_IRQCHIP),
);

fn vm_with_pit() -> Result<Vm, Stop> {
    let vm = Kvm::open()?.create_vm(0)?;
    vm.create_irqchip()?;
    vm.create_pit2(0)?;
    Ok(vm)
}

fn pits() -> Outcome {
    let vm = vm_with_pit()?;
    each([KVM_GET_PIT, KVM_GET_PIT2], |&command| fills_alike(&vm, command, &[]))
}
claim!(
    pits,
    "KVM_GET_PIT and KVM_GET_PIT2 fill the same bytes for a 32-bit caller as for a 64-bit one",
    [Api("4.72 KVM_GET_PIT2")],
    Compat32,
    Has(KVM_CAP_PIT2),
    Has(KVM_CAP_PIT_STATE2),
);

fn pits_are_stored(count: u16, latch: u16) -> Outcome {
    let vm = vm_with_pit()?;
    let mut state: abi::kvm_pit_state2 = vm.read(KVM_GET_PIT2)?;
    // Channel 2 counts for the speaker and makes no interrupt.
    (state.channels[2].count, state.channels[2].latched_count) = (count.max(1).into(), latch);
    equal(Compat.write(&vm, KVM_SET_PIT2, state)?, 0)?;
    let stored: abi::kvm_pit_state2 = vm.read(KVM_GET_PIT2)?;
    equal((stored.channels[2].count, stored.channels[2].latched_count), (count.max(1).into(), latch))?;
    fills_alike(&vm, KVM_GET_PIT2, &[])
}
claim!(
    pits_are_stored,
    "KVM_SET_PIT2 stores what a 32-bit caller lays down, for either to read",
    [Api("4.73 KVM_SET_PIT2")],
    Compat32,
    Has(KVM_CAP_PIT2),
    Has(KVM_CAP_PIT_STATE2),
);

fn clocks(vm: Vm, compat: Compat) -> Outcome {
    let before: abi::kvm_clock_data = vm.read(KVM_GET_CLOCK)?;
    let between: abi::kvm_clock_data = compat.read(&vm, KVM_GET_CLOCK)?;
    let after: abi::kvm_clock_data = vm.read(KVM_GET_CLOCK)?;
    within(between.clock, before.clock, after.clock)?;
    equal((between.flags, between.pad0, between.pad), (before.flags, before.pad0, before.pad))
}
claim!(
    clocks,
    "KVM_GET_CLOCK tells a 32-bit caller a time between those that it tells a 64-bit one before and after",
    [Api("4.29 KVM_GET_CLOCK")],
    Compat32,
    Has(KVM_CAP_ADJUST_CLOCK),
);

fn clocks_are_stored(vm: Vm, compat: Compat) -> Outcome {
    let far = 1 << 61;
    equal(compat.write(&vm, KVM_SET_CLOCK, abi::kvm_clock_data { clock: far, ..Default::default() })?, 0)?;
    // A clock that goes on from there for less than a month.
    within(vm.read::<abi::kvm_clock_data>(KVM_GET_CLOCK)?.clock, far, far + (1 << 51))
}
claim!(
    clocks_are_stored,
    "KVM_SET_CLOCK takes 64 bits of time from a 32-bit caller",
    [Api("4.30 KVM_SET_CLOCK")],
    Compat32,
    Has(KVM_CAP_ADJUST_CLOCK),
);

fn tss_addresses_are_not_signed(vm: Vm, compat: Compat) -> Outcome {
    succeeds(compat.value(&vm, KVM_SET_TSS_ADDR, 0xfffb_d000)).map(drop)?;
    each([0xffff_d001, 0xffff_e000, u32::MAX], |&address| {
        fails(EINVAL, compat.value(&vm, KVM_SET_TSS_ADDR, address))
    })
}
claim!(
    tss_addresses_are_not_signed,
    "KVM_SET_TSS_ADDR takes an address above 2 GiB from a 32-bit caller, and refuses one with less than three pages below 4 GiB",
    [Api("4.36 KVM_SET_TSS_ADDR"), Code("kvm_vm_ioctl_set_tss_addr, arch/x86/kvm/x86.c")],
    Compat32,
    Has(KVM_CAP_SET_TSS_ADDR),
);

/// KVM_SET_IDENTITY_MAP_ADDR of an address, by a 32-bit caller.
fn set_identity_map(vm: &Vm, address: u64) -> Result<i32, Refused> {
    Compat.write(vm, KVM_SET_IDENTITY_MAP_ADDR, address)
}

fn identity_map_addresses_have_eight_bytes(vm: Vm, compat: Compat) -> Outcome {
    equal(set_identity_map(&vm, 0xfffb_c000)?, 0)?;
    equal(set_identity_map(&vm, 0)?, 0)?;
    // Four bytes before an inaccessible page: a command that took a 32-bit caller's long would have enough.
    fails(EFAULT, compat.send(&vm, KVM_SET_IDENTITY_MAP_ADDR, &mut CompatBuffer::holding(0xfffb_c000_u32)?))
}
claim!(
    identity_map_addresses_have_eight_bytes,
    "KVM_SET_IDENTITY_MAP_ADDR reads eight bytes from a 32-bit caller",
    [Api("4.40 KVM_SET_IDENTITY_MAP_ADDR")],
    Compat32,
    Has(KVM_CAP_SET_IDENTITY_MAP_ADDR),
);

fn identity_map_comes_before_vcpus(vm: Vm, compat: Compat) -> Outcome {
    let _vcpu = compat.create_vcpu(&vm, 0)?;
    let mut address = CompatBuffer::holding(0xfffb_c000_u64)?;
    fails(EINVAL, compat.send(&vm, KVM_SET_IDENTITY_MAP_ADDR, &mut address))
}
claim!(
    identity_map_comes_before_vcpus,
    "KVM_SET_IDENTITY_MAP_ADDR of a 32-bit caller is refused with EINVAL once the VM has a vCPU",
    [Api("4.40 KVM_SET_IDENTITY_MAP_ADDR")],
    Compat32,
    Has(KVM_CAP_SET_IDENTITY_MAP_ADDR),
);
