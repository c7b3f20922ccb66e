//! What is not found otherwise: ACPI specification 6.5, 7.4.2 "_Sx (System states)", and virtio 1.2, 4.2.1 "MMIO device discovery".

use acpi_tables::Aml;
use acpi_tables::aml::{
    Device, Interrupt, Memory32Fixed, Name, Package, Path, ResourceTemplate, Scope, ZERO,
};

use super::tables::{Described, bytes_of};
use crate::virtio::Slot;

/// How Linux and others know a virtio device of this kind.
const VIRTIO_MMIO: &str = "LNRO0005";

/// All behind the header.
pub(super) fn contents(described: &Described) -> Vec<u8> {
    // The sleep type of soft off, in both control registers: 82371AB (PIIX4) data sheet, "PMCNTRL", SUS_TYP.
    let soft_off = Name::new(Path::new("\\_S5_"), &Package::new(vec![&ZERO, &ZERO, &ZERO, &ZERO]));
    let mut contents = bytes_of(&soft_off);
    let pci = if described.has_pci { super::pci::devices() } else { Vec::new() };
    let virtio = (0_u8..).zip(&described.virtio).flat_map(|(number, slot)| device(number, slot));
    let devices = pci.into_iter().chain(virtio).collect();
    contents.extend(Scope::raw(Path::new("\\_SB_"), devices));
    contents
}

fn device(number: u8, slot: &Slot) -> Vec<u8> {
    let registers = Memory32Fixed::new(true, slot.address, slot.length);
    // Of this device, level-triggered, active high, not shared.
    let interrupt = Interrupt::new(true, false, false, false, slot.gsi);
    let resources = ResourceTemplate::new(vec![&registers, &interrupt]);
    let hid = Name::new("_HID".into(), &VIRTIO_MMIO);
    let uid = Name::new("_UID".into(), &number);
    // Its accesses to memory see what processors have in their caches.
    let cca = Name::new("_CCA".into(), &acpi_tables::aml::ONE);
    let crs = Name::new("_CRS".into(), &resources);
    let name = format!("VR{number:02X}");
    let parts: Vec<&dyn Aml> = vec![&hid, &uid, &cca, &crs];
    bytes_of(&Device::new(Path::new(&name), parts))
}
