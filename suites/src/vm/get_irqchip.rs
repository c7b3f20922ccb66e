//! KVM_GET_IRQCHIP on a fresh VM: api.rst 4.26.

use harness::kvm::{Descriptor, EINVAL, ENXIO, KVM_CAP_IRQCHIP, KVM_GET_IRQCHIP, Refused, Vm, abi};
use harness::{Controllers, Outcome, claim, each, equal, fails};

/// `struct kvm_irqchip` in words: the chip, padding, the state.
type Chip = [u32; 130];

fn chip(vm: &Vm, id: u32) -> Result<Chip, Refused> {
    let mut chip = [0; 130];
    chip[0] = id;
    // Padding is not looked at.
    chip[1] = u32::MAX;
    vm.update(KVM_GET_IRQCHIP, &mut chip).map(|_| chip)
}

fn needs_a_full_irqchip() -> Outcome {
    each([Controllers::User, Controllers::Split], |controllers| {
        let vm = controllers.vm()?;
        each(0..4, |id| fails(ENXIO, chip(&vm, *id)))
    })
}
claim!(
    needs_a_full_irqchip,
    "KVM_GET_IRQCHIP is refused with ENXIO unless PIC and IOAPIC are in the kernel",
    [Code("kvm_arch_vm_ioctl, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_IRQCHIP)
);

fn knows_three_chips() -> Outcome {
    let vm = Controllers::Kernel.vm()?;
    each(0..3, |id| equal(chip(&vm, *id)?[0], *id))?;
    each([3, 4, 1 << 31, u32::MAX], |id| fails(EINVAL, chip(&vm, *id)))
}
claim!(
    knows_three_chips,
    "KVM_GET_IRQCHIP knows the chips 0 to 2, and is refused with EINVAL for others",
    [Api("4.26 KVM_GET_IRQCHIP"), Code("kvm_vm_ioctl_get_irqchip, arch/x86/kvm/irq.c")],
    Has(KVM_CAP_IRQCHIP)
);

fn ioapic_begins_masked() -> Outcome {
    let state = chip(&Controllers::Kernel.vm()?, abi::KVM_IRQCHIP_IOAPIC)?;
    equal(u64::from(state[2]) | u64::from(state[3]) << 32, 0xfec0_0000)?;
    // Register selector, identity, pending interrupts, padding.
    equal(&state[4..8], &[0; 4])?;
    each(0..24, |pin| equal(&state[8 + 2 * pin..][..2], &[0x10000, 0]))
}
claim!(
    ioapic_begins_masked,
    "A fresh IOAPIC lies at 0xfec00000, and masks all of its 24 pins",
    [Manual("Intel 82093AA IOAPIC 3.2.4 IOREDTBL"), Code("kvm_ioapic_reset, arch/x86/kvm/ioapic.c")],
    Has(KVM_CAP_IRQCHIP)
);

fn pics_begin_idle() -> Outcome {
    let vm = Controllers::Kernel.vm()?;
    each([abi::KVM_IRQCHIP_PIC_MASTER, abi::KVM_IRQCHIP_PIC_SLAVE], |id| {
        let state = chip(&vm, *id)?;
        // The 15 bytes before the ELCR mask, which alone tells the chips apart.
        let bytes: Vec<u8> = state[2..6].iter().flat_map(|word| word.to_le_bytes()).collect();
        equal(&bytes[..15], &[0; 15])
    })
}
claim!(
    pics_begin_idle,
    "Fresh PICs have nothing pending, nothing in service, and no vector base",
    [Code("kvm_pic_init, arch/x86/kvm/i8259.c")],
    Has(KVM_CAP_IRQCHIP)
);
