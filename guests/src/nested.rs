//! A guest's guest: an image with a small hypervisor beside it, which runs the image's code on a virtual machine control block of its
//! own making: AMD APM volume 2, 15.5 "VMRUN Instruction" and appendix B "VMCB Layout".
//!
//! There is no nested paging, so that the addresses of the guest's guest are those of the guest. It intercepts VMRUN, as it must, and
//! HLT if asked to: whatever else the code does is a matter of whoever runs the hypervisor.

use iced_x86::IcedError;
use iced_x86::code_asm::registers::*;
use iced_x86::code_asm::{CodeAssembler, dword_ptr};

use crate::map::RAM;
use crate::{EntryState, Image, Levels, Mode, Page, Paging, Registers, Segment};

/// Where the hypervisor's code lies, and then all that it has: behind the RAM of every image.
pub const HYPERVISOR: u64 = RAM;
/// Where the control block lies.
const VMCB: u64 = HYPERVISOR + 0x1000;
/// Where the processor keeps the hypervisor's own state meanwhile.
const HOST_SAVE: u64 = HYPERVISOR + 0x2000;
/// The hypervisor's page tables, six pages.
const TABLES: u64 = HYPERVISOR + 0x3000;
/// How much RAM there is then.
const SIZE: u64 = HYPERVISOR + 0x9000;

const EFER: u32 = 0xc000_0080;
const EFER_SVME: u64 = 1 << 12;
const VM_HSAVE_PA: u32 = 0xc001_0117;

/// The port at which the hypervisor tells why its guest came back.
pub const EXIT_PORT: u8 = 0xf2;
/// VMEXIT_HLT: AMD APM volume 2, appendix C.
pub const VMEXIT_HLT: u32 = 0x78;

/// Whether the hypervisor lets its guest halt, or intercepts that, tells the exit's number at [`EXIT_PORT`], and halts itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Halting {
    /// The guest's HLT is none of the hypervisor's business.
    Itself,
    /// It is intercepted.
    Intercepted,
}

/// The image as its code's hypervisor is entered. The code is still that of the image, and the entry state is the hypervisor's.
pub fn nested(image: &Image, halting: Halting) -> Result<Image, IcedError> {
    let entry = EntryState::of(Mode::Long).under(Paging::new(Levels::Four, Page::Large));
    let registers = Registers { rip: HYPERVISOR, rflags: 2, ..image.entry.registers };
    let tables = Paging::new(Levels::Four, Page::Large).tables(TABLES, false);
    let mut pieces = image.pieces.clone();
    pieces.extend([
        (HYPERVISOR, hypervisor(&image.entry.registers)?),
        (VMCB, control_block(&image.entry, halting)),
        (TABLES, tables),
    ]);
    let entry = EntryState { registers, cr3: TABLES, ..entry };
    Ok(Image { size: SIZE, pieces, entry, ..image.clone() })
}

/// The registers that a control block saved in guest RAM holds: those that it has.
pub fn saved(ram: &[u8]) -> Option<[u64; 4]> {
    let field = |at: usize| {
        let start = usize::try_from(VMCB).ok()? + SAVE + at;
        Some(u64::from_le_bytes(ram.get(start..start + 8)?.try_into().ok()?))
    };
    Some([field(RAX)?, field(RSP)?, field(RIP)?, field(RFLAGS)?])
}

/// Turns SVM on and runs the guest, which gets RAX, RSP, RIP and RFLAGS from the control block and all others as they are.
fn hypervisor(registers: &Registers) -> Result<Vec<u8>, IcedError> {
    let mut a = CodeAssembler::new(64)?;
    a.mov(ecx, EFER)?;
    a.rdmsr()?;
    a.or(eax, (EFER_SVME & 0xffff) as i32)?;
    a.wrmsr()?;
    a.mov(ecx, VM_HSAVE_PA)?;
    a.mov(eax, (HOST_SAVE & 0xffff_ffff) as u32)?;
    a.xor(edx, edx)?;
    a.wrmsr()?;
    a.mov(rcx, registers.rcx)?;
    a.mov(rdx, registers.rdx)?;
    a.mov(rax, VMCB)?;
    a.vmload()?;
    a.vmrun()?;
    a.mov(eax, dword_ptr(VMCB + EXIT_CODE as u64))?;
    a.out(u32::from(EXIT_PORT), eax)?;
    a.hlt()?;
    a.assemble(HYPERVISOR)
}

// Offsets in the control area.
const INTERCEPTS: usize = 0x00c;
const FURTHER_INTERCEPTS: usize = 0x010;
const ASID: usize = 0x058;
const EXIT_CODE: usize = 0x070;
/// Where the state save area begins; the offsets below are in it.
const SAVE: usize = 0x400;
const CPL: usize = 0x0cb;
const SAVED_EFER: usize = 0x0d0;
const CR4: usize = 0x148;
const CR3: usize = 0x150;
const CR0: usize = 0x158;
const DR7: usize = 0x160;
const DR6: usize = 0x168;
const RFLAGS: usize = 0x170;
const RIP: usize = 0x178;
const RSP: usize = 0x1d8;
const RAX: usize = 0x1f8;
const PAT: usize = 0x268;

const INTERCEPT_HLT: u32 = 1 << 24;
const INTERCEPT_VMRUN: u32 = 1 << 0;
/// What DR6, DR7 and the page attribute table hold after reset.
const FIRST_DR6: u64 = 0xffff_0ff0;
const FIRST_DR7: u64 = 0x400;
const FIRST_PAT: u64 = 0x0007_0406_0007_0406;

fn control_block(entry: &EntryState, halting: Halting) -> Vec<u8> {
    let mut block = vec![0; 0x1000];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    let halt = if halting == Halting::Intercepted { INTERCEPT_HLT } else { 0 };
    put(INTERCEPTS, &halt.to_le_bytes());
    put(FURTHER_INTERCEPTS, &INTERCEPT_VMRUN.to_le_bytes());
    put(ASID, &1u32.to_le_bytes());
    let segments = [entry.es, entry.cs, entry.ss, entry.ds, entry.fs, entry.gs];
    for (index, held) in segments.iter().enumerate() {
        put(SAVE + 16 * index, &segment(held));
    }
    put(SAVE + 0x60, &table(entry.gdt.base, entry.gdt.limit));
    put(SAVE + 0x70, &segment(&entry.ldt));
    put(SAVE + 0x80, &table(entry.idt.base, entry.idt.limit));
    put(SAVE + 0x90, &segment(&entry.tr));
    put(SAVE + CPL, &[entry.ss.dpl]);
    let registers = &entry.registers;
    for (at, value) in [
        // VMRUN refuses a guest whose own SVME is clear.
        (SAVED_EFER, entry.efer | EFER_SVME),
        (CR4, entry.cr4),
        (CR3, entry.cr3),
        (CR0, entry.cr0),
        (DR7, FIRST_DR7),
        (DR6, FIRST_DR6),
        (RFLAGS, registers.rflags),
        (RIP, registers.rip),
        (RSP, registers.rsp),
        (RAX, registers.rax),
        (PAT, FIRST_PAT),
    ] {
        put(SAVE + at, &value.to_le_bytes());
    }
    block
}

/// Selector, attributes, limit and base: the attributes are those of a descriptor without the limit between them.
fn segment(held: &Segment) -> [u8; 16] {
    let descriptor = held.descriptor();
    let attributes = ((descriptor >> 40 & 0xff | (descriptor >> 52 & 0xf) << 8) & 0xffff) as u16;
    layout(held.selector, attributes, held.limit, held.base)
}

fn table(base: u64, limit: u16) -> [u8; 16] {
    layout(0, 0, limit.into(), base)
}

fn layout(selector: u16, attributes: u16, limit: u32, base: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..2].copy_from_slice(&selector.to_le_bytes());
    bytes[2..4].copy_from_slice(&attributes.to_le_bytes());
    bytes[4..8].copy_from_slice(&limit.to_le_bytes());
    bytes[8..].copy_from_slice(&base.to_le_bytes());
    bytes
}
