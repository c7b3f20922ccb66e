//! Which interrupts the kernel's second i8259 takes as levels: `api.rst` 4.26 "KVM_GET_IRQCHIP" and 4.27 "KVM_SET_IRQCHIP".
#![expect(unsafe_code, reason = "the arm of a chip's union that its number names is filled in")]

use kvm_bindings::{KVM_IRQCHIP_PIC_SLAVE, kvm_irqchip};

use super::shown::Shown;
use super::trace::of_accel;
use crate::accel::AccelError;

/// Has these be levels, and the others edges.
pub(super) fn set(shown: &Shown, levels: u8) -> Result<(), AccelError> {
    let mut chip = kvm_irqchip { chip_id: KVM_IRQCHIP_PIC_SLAVE, ..Default::default() };
    of_accel("KVM_GET_IRQCHIP", shown.fd.get_irqchip(&mut chip))?;
    // SAFETY: every arm of the union is made of integers, so that any can be borrowed; the number names this one.
    let pic = unsafe { &mut chip.chip.pic };
    pic.elcr = levels & pic.elcr_mask;
    of_accel("KVM_SET_IRQCHIP", shown.fd.set_irqchip(&chip))
}
