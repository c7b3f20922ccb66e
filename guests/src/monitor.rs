//! What halts for virtual-8086 code that nothing else handles: HLT raises a general-protection exception there, whose gate leads to a
//! HLT in ring 0 (Intel SDM volume 3, 21.3.1 "Class 1—Hardware Interrupt and Exception Handling in Virtual-8086 Mode").

use crate::map::{HANDLERS, IDT};
use crate::segment::Table;
use crate::tables::{Gate, Idt, selector};
use crate::{EntryState, Registers};

/// The vector of the general-protection exception.
const GENERAL_PROTECTION: usize = 13;
/// The upper half of the EFLAGS that an exception in virtual-8086 mode leaves on the stack: VM and nothing else.
const EFLAGS_UPPER: u16 = 1 << 1;
/// MOV word ptr [ESP + 14], imm16; HLT. Whether the frame holds RF is the processor's own matter, so the monitor clears it.
const CODE: [u8; 8] = [0x66, 0xc7, 0x44, 0x24, 0x0e, (EFLAGS_UPPER & 0xff) as u8, 0, 0xf4];
/// How long the frame is, in bytes: the error code, EIP, CS, EFLAGS, ESP, SS, ES, DS, FS and GS.
const FRAME: u64 = 10 * 4;
/// The flags that the way through an interrupt gate clears: TF, IF, NT, RF, VM and VIF's like.
const CLEARED: u64 = 1 << 8 | 1 << 9 | 1 << 14 | 1 << 16 | 1 << 17;

/// IDTR, where the monitor is all that handles anything.
pub(crate) fn table() -> Table {
    let limit = 8 * (GENERAL_PROTECTION + 1) - 1;
    Table { base: IDT, limit: u16::try_from(limit).unwrap_or(0) }
}

/// What lies in guest RAM for it.
pub(crate) fn pieces() -> Vec<(u64, Vec<u8>)> {
    let mut gates = vec![Gate::default(); GENERAL_PROTECTION];
    let selector = selector::HANDLER_CODE;
    gates.push(Gate { offset: HANDLERS, selector, dpl: 0, present: true, ist: 0 });
    vec![(IDT, Idt(gates).bytes(32)), (HANDLERS, CODE.to_vec())]
}

/// The registers once the monitor has halted for code whose HLT would have left `after`, and the frame that lies at RSP.
pub(crate) fn entered(entry: &EntryState, after: &Registers) -> (Registers, Vec<u8>) {
    let rsp = entry.ring_0_stack - FRAME;
    let rip = HANDLERS + CODE.len() as u64;
    let registers = Registers { rip, rsp, rflags: after.rflags & !CLEARED, ..*after };
    let halt = after.rip.saturating_sub(1);
    let flags = after.rflags & 0xffff | u64::from(EFLAGS_UPPER) << 16;
    let selector = |segment: crate::Segment| u64::from(segment.selector);
    let frame = [
        0,
        halt,
        selector(entry.cs),
        flags,
        after.rsp,
        selector(entry.ss),
        selector(entry.es),
        selector(entry.ds),
        selector(entry.fs),
        selector(entry.gs),
    ];
    (registers, frame.into_iter().flat_map(|word| ((word & 0xffff_ffff) as u32).to_le_bytes()).collect())
}
