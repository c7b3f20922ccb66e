//! The states in which processors are handed to kernels.

use kvm_bindings::{kvm_dtable, kvm_regs, kvm_segment};

use crate::accel::{Cpu, CpuError};
use crate::{MemoryError, Ram};

/// The selectors of code and data.
#[derive(Clone, Copy)]
pub(super) struct Selectors {
    pub(super) code: u16,
    pub(super) data: u16,
}

/// Of a kernel that brings a table of segments itself.
pub(super) const FLAT: Selectors = Selectors { code: 0x08, data: 0x10 };
/// Of Linux, `__BOOT_CS` and `__BOOT_DS`, whose descriptors must be in a table.
pub(super) const LINUX: Selectors = Selectors { code: 0x10, data: 0x18 };

/// Where the table of segments for Linux is, and where the page tables for its 64-bit entry are: six pages.
const SEGMENTS: u64 = 0x500;
const PAGES: u64 = 0x9000;

const PROTECTED: u64 = 1;
const PAGING: u64 = 1 << 31;
const PHYSICAL_ADDRESS_EXTENSION: u64 = 1 << 5;
const LONG_MODE: u64 = 1 << 8 | 1 << 10;

/// Flat 32-bit protected mode without paging and without interrupts.
pub(super) fn flat(cpu: &mut dyn Cpu, selectors: Selectors, regs: kvm_regs) -> Result<(), CpuError> {
    let mut sregs = cpu.sregs()?;
    let flat = kvm_segment { limit: u32::MAX, present: 1, s: 1, db: 1, g: 1, ..Default::default() };
    let data = kvm_segment { selector: selectors.data, type_: 3, ..flat };
    sregs.cs = kvm_segment { selector: selectors.code, type_: 0xb, ..flat };
    (sregs.ds, sregs.es, sregs.fs, sregs.gs, sregs.ss) = (data, data, data, data, data);
    (sregs.cr0, sregs.cr3, sregs.cr4, sregs.efer) = (0x10 | PROTECTED, 0, 0, 0);
    if selectors.code == LINUX.code {
        sregs.gdt = kvm_dtable { base: SEGMENTS, limit: 4 * 8 - 1, ..Default::default() };
    }
    cpu.set_sregs(&sregs)?;
    cpu.set_regs(&kvm_regs { rflags: 2, ..regs })
}

/// 64-bit mode without interrupts, with the first 4 GiB at their own addresses, for Linux.
pub(super) fn long(cpu: &mut dyn Cpu, regs: kvm_regs) -> Result<(), CpuError> {
    flat(cpu, LINUX, regs)?;
    let mut sregs = cpu.sregs()?;
    sregs.cs = kvm_segment { db: 0, l: 1, ..sregs.cs };
    sregs.cr0 |= PAGING;
    (sregs.cr3, sregs.cr4, sregs.efer) = (PAGES, PHYSICAL_ADDRESS_EXTENSION, LONG_MODE);
    cpu.set_sregs(&sregs)
}

/// Writes the table of segments for Linux: of 64-bit code, or of 32-bit code.
pub(super) fn write_segments(ram: &Ram, is_long: bool) -> Result<(), MemoryError> {
    let code: u64 = if is_long { 0x00af_9b00_0000_ffff } else { 0x00cf_9b00_0000_ffff };
    let table = [0, 0, code, 0x00cf_9300_0000_ffff];
    ram.write(SEGMENTS, &table.map(u64::to_le_bytes).concat())
}

/// Writes page tables that have the first 4 GiB at their own addresses, in pages of 2 MiB: SDM 3, 4.5 "4-level paging".
pub(super) fn write_pages(ram: &Ram) -> Result<(), MemoryError> {
    const PAGE: u64 = 0x1000;
    const PRESENT_AND_WRITABLE: u64 = 0b11;
    const LARGE: u64 = 1 << 7;
    let directories = PAGES + 2 * PAGE;
    let table = |entries: Vec<u64>| -> Vec<u8> { entries.into_iter().flat_map(u64::to_le_bytes).collect() };
    let mut fourth = table(vec![(PAGES + PAGE) | PRESENT_AND_WRITABLE]);
    fourth.resize(0x1000, 0);
    let mut third =
        table((0..4).map(|number| (directories + number * PAGE) | PRESENT_AND_WRITABLE).collect());
    third.resize(0x1000, 0);
    ram.write(PAGES, &[fourth, third].concat())?;
    let large = (0..4 * 512).map(|number| (number << 21) | PRESENT_AND_WRITABLE | LARGE);
    ram.write(directories, &table(large.collect()))
}
