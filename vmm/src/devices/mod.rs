//! The device models, one file for each; [`DEVICES`](crate::DEVICES) holds them all.

pub(crate) mod fw_cfg;
mod i440fx;
mod i8042;
mod i8237;
mod i8254;
pub(crate) mod i8259;
pub(crate) mod ioapic;
mod isa_debug_exit;
mod isa_debugcon;
pub(crate) mod local_apic;
mod mc146818;
mod pc_testdev;
mod pci_testdev;
pub(crate) mod piix3;
pub(crate) mod piix3_reset;
pub(crate) mod piix4_pm;
mod piix_ide;
mod port80;
mod port92;
mod pvpanic;
mod uart16550;
pub mod virtio;
