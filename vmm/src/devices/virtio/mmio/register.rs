//! Where each register is: virtio 1.2, 4.2.2, table 4.1 "MMIO device register layout".

pub(super) const MAGIC: u64 = 0x00;
pub(super) const VERSION: u64 = 0x04;
pub(super) const DEVICE_ID: u64 = 0x08;
pub(super) const VENDOR_ID: u64 = 0x0c;
pub(super) const DEVICE_FEATURES: u64 = 0x10;
pub(super) const DEVICE_FEATURES_SEL: u64 = 0x14;
pub(super) const DRIVER_FEATURES: u64 = 0x20;
pub(super) const DRIVER_FEATURES_SEL: u64 = 0x24;
pub(super) const QUEUE_SEL: u64 = 0x30;
pub(super) const QUEUE_NUM_MAX: u64 = 0x34;
pub(super) const QUEUE_NUM: u64 = 0x38;
pub(super) const QUEUE_READY: u64 = 0x44;
pub(super) const QUEUE_NOTIFY: u64 = 0x50;
pub(super) const INTERRUPT_STATUS: u64 = 0x60;
pub(super) const INTERRUPT_ACK: u64 = 0x64;
pub(super) const STATUS: u64 = 0x70;
pub(super) const QUEUE_DESC: u64 = 0x80;
pub(super) const QUEUE_DRIVER: u64 = 0x90;
pub(super) const QUEUE_DEVICE: u64 = 0xa0;
/// The length and the base of shared memory, of which there is none: all ones.
pub(super) const SHM: u64 = 0xb0;
pub(super) const SHM_END: u64 = 0xbc;
pub(super) const CONFIG_GENERATION: u64 = 0xfc;
pub(super) const CONFIG: u64 = 0x100;
