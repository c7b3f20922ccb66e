//! Claims about device models, one file for each. Those that the kernel has are tried against ours and ours against them; the others
//! against their data sheets.

mod board;
mod every_model;
mod fw_cfg;
mod i440fx;
mod i8042;
mod i8237;
mod i8254;
mod i8259;
mod ioapic;
mod isa_debug_exit;
mod isa_debugcon;
mod kernel;
mod local_apic;
mod mc146818;
pub(crate) mod ours;
mod parts;
mod pc_testdev;
mod pci_testdev;
mod piix3;
mod piix4_pm;
mod piix_ide;
mod port80;
mod port92;
mod pvpanic;
mod twins;
mod uart16550;
mod virtio;
mod virtio_balloon;
mod virtio_net;
mod virtio_pci;
mod virtio_ring;
