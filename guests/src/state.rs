//! The state that a guest is entered with, as plain data.
//!
//! The values pass the checks that VM entry makes (Intel SDM volume 3, 27.3.1 "Checks on the Guest State Area"; AMD APM volume 2,
//! 15.5.1 "Basic Operation") as well as those of KVM_SET_SREGS.

use serde::{Deserialize, Serialize};

use crate::map::{CODE, GDT, HOLE_SELECTOR, MMIO_HOLE, PAGES, RAM, SCRATCH, STACK, TASK, TASK_WITH_MAP};
use crate::segment::{Segment, Table};
use crate::tables::{Gdt, Tss, selector};
use crate::{Mode, Paging, Registers};

const CR0_PE: u64 = 1 << 0;
const CR0_MP: u64 = 1 << 1;
const CR0_ET: u64 = 1 << 4;
const CR0_NE: u64 = 1 << 5;
const CR0_PG: u64 = 1 << 31;
const CR4_OSFXSR: u64 = 1 << 9;
const CR4_OSXMMEXCPT: u64 = 1 << 10;
const CR4_OSXSAVE: u64 = 1 << 18;
const EFER_LME: u64 = 1 << 8;
const EFER_LMA: u64 = 1 << 10;
/// RFLAGS bit 1 is always set.
const RFLAGS: u64 = 1 << 1;
/// Code of any ring may reach ports.
const RFLAGS_IOPL: u64 = 3 << 12;
const RFLAGS_VM: u64 = 1 << 17;

/// Where the code segment of segmented code begins; elsewhere it begins at zero.
const SEGMENTED_CODE: u64 = 0x800;
/// Where the stack segment of segmented code begins.
const SEGMENTED_STACK: u64 = 0x100;
/// The last offset that its stack segment does not reach.
const SEGMENTED_STACK_LIMIT: u32 = 0x1fff;

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
    /// The layout of the page tables that CR3 points to, where there is paging.
    pub paging: Option<Paging>,
    /// Where the stack begins that an interrupt switches to when it comes to ring 0, or as its gate says.
    pub ring_0_stack: u64,
}

/// Where the code segment of a mode begins: what lies between an offset in it and its address.
pub(crate) const fn code_base(mode: Mode) -> u64 {
    match mode {
        Mode::Segmented => SEGMENTED_CODE,
        _ => 0,
    }
}

impl EntryState {
    /// The state that enters code of `mode` at [`CODE`]: general registers zero, [`STACK`] as the stack, and nothing that
    /// handles an interrupt or exception, so that one ends the run. But in virtual-8086 mode the monitor halts.
    pub fn of(mode: Mode) -> Self {
        let registers = Registers { rip: CODE, rsp: STACK, rflags: RFLAGS, ..Registers::default() };
        let bare = match mode {
            Mode::Real => Self::real(registers),
            Mode::Virtual8086 => Self::virtual_8086(registers),
            Mode::Segmented => Self::segmented(registers),
            Mode::Protected | Mode::Pae => Self::protected(registers),
            Mode::Compat => Self { efer: EFER_LME | EFER_LMA, ..Self::protected(registers) },
            Mode::Long => Self {
                cs: Segment::long_code(selector::CODE),
                efer: EFER_LME | EFER_LMA,
                ..Self::protected(registers)
            },
        };
        mode.paging().map_or(bare, |paging| bare.under(paging))
    }

    /// The state with this paging layout.
    #[must_use]
    pub fn under(self, paging: Paging) -> Self {
        let without = self.paging.map_or(0, Paging::cr4);
        Self {
            cr0: self.cr0 | CR0_PG,
            cr3: PAGES,
            cr4: self.cr4 & !without | paging.cr4(),
            paging: Some(paging),
            ..self
        }
    }

    /// The state with everything on that code with x87, MMX and SSE instructions needs, and errors of theirs as exceptions.
    #[must_use]
    pub fn with_vectors(self) -> Self {
        Self { cr0: self.cr0 | CR0_MP | CR0_NE, cr4: self.cr4 | CR4_OSFXSR | CR4_OSXMMEXCPT, ..self }
    }

    /// The state with XSETBV on, which lets code turn on AVX.
    #[must_use]
    pub fn with_xsave(self) -> Self {
        Self { cr4: self.cr4 | CR4_OSXSAVE, ..self }
    }

    /// The state in ring 3, where code may reach ports; only of modes with flat segments and tables.
    pub(crate) fn in_user_mode(self) -> Self {
        let data = self.ds.of_ring_3(selector::USER_DATA);
        Self {
            registers: Registers { rflags: self.registers.rflags | RFLAGS_IOPL, ..self.registers },
            cs: self.cs.of_ring_3(selector::USER_CODE),
            ds: data,
            es: data,
            fs: data,
            gs: data,
            ss: data,
            ..self
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
            paging: None,
            ring_0_stack: RAM,
        }
    }

    /// Flat segments, no paging, and an interrupt descriptor table without a whole descriptor.
    fn protected(registers: Registers) -> Self {
        let data = Segment::flat_data(selector::DATA);
        Self {
            cs: Segment::flat_code(selector::CODE),
            ds: data,
            es: data,
            fs: data,
            gs: data,
            ss: data,
            tr: Segment::task(TASK, Tss::default().limit(), selector::TASK),
            gdt: Table { base: GDT, limit: selector::END - 1 },
            idt: Table { base: 0, limit: 0 },
            cr0: CR0_ET | CR0_PE,
            ..Self::real(registers)
        }
    }

    /// As in real mode for the code, and as in protected mode for what its interrupts lead to. Any port is permitted.
    fn virtual_8086(registers: Registers) -> Self {
        let data = Segment::virtual_8086(0);
        let limit = Tss { io_map: true, ..Tss::default() }.limit();
        Self {
            registers: Registers { rflags: RFLAGS | RFLAGS_IOPL | RFLAGS_VM, ..registers },
            cs: data,
            ds: data,
            es: Segment::virtual_8086(HOLE_SELECTOR),
            fs: data,
            gs: data,
            ss: data,
            tr: Segment::task(TASK_WITH_MAP, limit, selector::TASK),
            ..Self::protected(registers)
        }
    }

    /// Segments with bases and limits: DS reaches the room for a guest to write to, ES the hole in RAM, FS the second page of that
    /// room, and GS what DS does, counted in pages.
    fn segmented(registers: Registers) -> Self {
        let to_stack = 0xffff_u32;
        Self {
            registers: Registers { rip: CODE - SEGMENTED_CODE, rsp: STACK - SEGMENTED_STACK, ..registers },
            cs: Segment::based_code(selector::CODE, SEGMENTED_CODE, to_stack),
            ds: Segment::based_data(selector::DATA, SCRATCH, 0x6fff),
            es: Segment::based_data(selector::EXTRA, MMIO_HOLE, 0xffff),
            fs: Segment::based_data(selector::FIRST, SCRATCH + 0x1000, 0xfff),
            gs: Segment { g: true, ..Segment::based_data(selector::SECOND, SCRATCH, 0x6fff) },
            ss: Segment::based_stack(selector::STACK, SEGMENTED_STACK, SEGMENTED_STACK_LIMIT),
            ..Self::protected(registers)
        }
    }

    /// Whether long mode is active, in which tables have wider entries.
    pub fn is_long(&self) -> bool {
        self.efer & EFER_LMA != 0
    }

    /// Whether this is virtual-8086 mode.
    pub fn is_virtual_8086(&self) -> bool {
        self.registers.rflags & RFLAGS_VM != 0
    }

    /// What lies in guest RAM for this state to hold: its address, and its bytes. None overlaps another.
    pub fn tables(&self) -> Vec<(u64, Vec<u8>)> {
        let mut pieces = Vec::new();
        if self.cr0 & CR0_PE != 0 {
            let tss = Tss {
                stack: self.ring_0_stack,
                stack_segment: selector::HANDLER_DATA,
                interrupt_stacks: [self.ring_0_stack, 0, 0, 0, 0, 0, 0],
                io_map: self.is_virtual_8086(),
            };
            pieces.push((self.gdt.base, Gdt::of(self).bytes()));
            pieces.push((self.tr.base, if self.is_long() { tss.wide() } else { tss.narrow() }));
        }
        if let Some(paging) = self.paging {
            pieces.push((self.cr3, paging.tables(self.cr3, self.ss.dpl == 3)));
        }
        pieces
    }
}
