//! The state that a guest is entered with, as plain data.
//!
//! The values pass the checks that VM entry makes (Intel SDM volume 3, 27.3.1 "Checks on the Guest State Area"; AMD APM volume 2,
//! 15.5.1 "Basic Operation") as well as those of KVM_SET_SREGS.

use serde::{Deserialize, Serialize};

use crate::image::{CODE, HOLE_SELECTOR};
use crate::segment::{Segment, Table};
use crate::{Mode, Registers, tables};

/// Where the stack begins: it grows down from here towards the code.
pub const STACK: u64 = 0x8000;

const CR0_PE: u64 = 1 << 0;
const CR0_ET: u64 = 1 << 4;
const CR0_PG: u64 = 1 << 31;
const CR4_PAE: u64 = 1 << 5;
const EFER_LME: u64 = 1 << 8;
const EFER_LMA: u64 = 1 << 10;
/// RFLAGS bit 1 is always set.
const RFLAGS: u64 = 1 << 1;

/// The state that a guest is entered with.
#[expect(missing_docs, reason = "the fields are the processor's own names")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryState {
    pub registers: Registers,
    pub cs: Segment,
    pub ds: Segment,
    pub es: Segment,
    pub fs: Segment,
    pub gs: Segment,
    pub ss: Segment,
    pub tr: Segment,
    pub ldt: Segment,
    pub gdt: Table,
    pub idt: Table,
    pub cr0: u64,
    pub cr3: u64,
    pub cr4: u64,
    pub efer: u64,
}

impl EntryState {
    /// The state that enters code of `mode` at [`CODE`]: general registers zero, [`STACK`] as the stack, and nothing that
    /// handles an interrupt or exception, so that one ends the run.
    pub fn of(mode: Mode) -> Self {
        let registers = Registers { rip: CODE, rsp: STACK, rflags: RFLAGS, ..Registers::default() };
        match mode {
            Mode::Real => Self::real(registers),
            Mode::Protected => Self::protected(registers),
            Mode::Long => Self::long(registers),
        }
    }

    /// As after reset, except that code starts in the first segment and that ES reaches the hole in RAM. No interrupt vector is laid,
    /// so each holds trapping bytes and leads to 0xf4f4:0xf4f4, where nothing is.
    fn real(registers: Registers) -> Self {
        let data = Segment::real_data(0);
        Self {
            registers,
            cs: Segment::real_code(0),
            ds: data,
            es: Segment::real_data(HOLE_SELECTOR),
            fs: data,
            gs: data,
            ss: data,
            tr: Segment::task(0, 0xffff, 0),
            ldt: Segment::no_ldt(),
            gdt: Table { base: 0, limit: 0xffff },
            idt: Table { base: 0, limit: 0xffff },
            cr0: CR0_ET,
            cr3: 0,
            cr4: 0,
            efer: 0,
        }
    }

    /// Flat segments, no paging, and an interrupt descriptor table without a whole descriptor.
    fn protected(registers: Registers) -> Self {
        let data = Segment::flat_data(tables::DATA_SELECTOR);
        Self {
            cs: Segment::flat_code(tables::CODE_SELECTOR),
            ds: data,
            es: data,
            fs: data,
            gs: data,
            ss: data,
            tr: Segment::task(tables::TASK, tables::TASK_LIMIT, tables::TASK_SELECTOR),
            gdt: tables::GDTR,
            idt: Table { base: 0, limit: 0 },
            cr0: CR0_ET | CR0_PE,
            ..Self::real(registers)
        }
    }

    /// Protected mode with 64-bit code, and paging as long mode must have it.
    fn long(registers: Registers) -> Self {
        Self {
            cs: Segment::long_code(tables::CODE_SELECTOR),
            cr0: CR0_ET | CR0_PE | CR0_PG,
            cr3: tables::PAGES,
            cr4: CR4_PAE,
            efer: EFER_LME | EFER_LMA,
            ..Self::protected(registers)
        }
    }

    /// What lies in guest RAM for this state to hold: its address, and its bytes. None overlaps another.
    pub fn tables(&self) -> Vec<(u64, Vec<u8>)> {
        let mut pieces = Vec::new();
        if self.cr0 & CR0_PE != 0 {
            pieces.push((tables::GDT, tables::descriptors(&self.cs, &self.ds, &self.tr)));
            pieces.push((tables::TASK, tables::task()));
        }
        if self.cr0 & CR0_PG != 0 {
            pieces.push((tables::PAGES, tables::identity()));
        }
        pieces
    }
}
