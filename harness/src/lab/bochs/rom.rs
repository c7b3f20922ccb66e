//! The option ROM that boots a kernel: it takes the place of the BIOS' boot (`int 19h`), reads the disk into memory from 16 MiB on,
//! and enters the kernel in protected mode. Its form is that of the *BIOS Boot Specification* 1.01, section 3 and appendix D.

use guests::iced_x86::IcedError;
use guests::iced_x86::code_asm::{
    AsmMemoryOperand, CodeAssembler, ah, al, ax, bx, byte_ptr, cr0, cs, cx, di, dl, ds, dword_ptr, dx, eax,
    ebx, es, fword_ptr, si, sp, ss, word_ptr,
};

use super::pvh::BASE;

/// Where Bochs puts it.
pub(super) const ADDRESS: u32 = 0xd_0000;
/// Its size, in bytes.
pub(super) const SIZE: usize = 512;
/// What is read and copied at once: 64 sectors.
pub(super) const CHUNK: u32 = 32 << 10;

/// Where its parts begin.
const BOOT: u16 = 0x40;
const PROTECTED: u16 = 0x1a0;
const TABLE: u16 = 0x1c8;
const POINTER: u16 = 0x1e0;
/// What it keeps in low memory: the packet for `int 13h`, the table for `int 15h`, how many chunks are left.
const PACKET: u16 = 0x7c00;
const COPY: u16 = 0x7c10;
const LEFT: u16 = 0x7c40;
const TO: u16 = 0x7c44;
/// The byte of the clock's memory that tells a second boot, which nobody asked for, from the first.
const MARK: u8 = 0x7e;

/// A null descriptor, flat code and flat data (Intel SDM volume 3, 3.4.5).
const DESCRIPTORS: [u64; 3] = [0, 0x00cf_9b00_0000_ffff, 0x00cf_9300_0000_ffff];

/// The ROM that reads so many chunks and enters the kernel there.
pub(super) fn assemble(chunks: u16, entry: u32, start_info: u32) -> Result<[u8; SIZE], IcedError> {
    let mut rom = [0; SIZE];
    rom[..3].copy_from_slice(&[0x55, 0xaa, 1]);
    place(&mut rom, 3, &hook()?);
    place(&mut rom, BOOT, &boot(chunks)?);
    place(&mut rom, PROTECTED, &enter(entry, start_info)?);
    place(&mut rom, TABLE, &DESCRIPTORS.map(u64::to_le_bytes).concat());
    let [low, high, upper, _] = (ADDRESS + u32::from(TABLE)).to_le_bytes();
    place(&mut rom, POINTER, &[23, 0, low, high, upper, 0]);
    rom[SIZE - 1] = rom.iter().fold(0_u8, |sum, byte| sum.wrapping_sub(*byte));
    Ok(rom)
}

fn place(rom: &mut [u8; SIZE], at: u16, bytes: &[u8]) {
    let at = usize::from(at);
    rom[at..at + bytes.len()].copy_from_slice(bytes);
}

fn low(address: u16) -> u64 {
    u64::from(address)
}

fn word(address: u16) -> AsmMemoryOperand {
    word_ptr(low(address))
}

/// Called by the BIOS: makes `int 19h` lead to [`boot`].
fn hook() -> Result<Vec<u8>, IcedError> {
    let mut a = CodeAssembler::new(16)?;
    a.push(ds)?;
    a.xor(ax, ax)?;
    a.mov(ds, ax)?;
    a.mov(word(0x64), u32::from(BOOT))?;
    a.mov(word(0x66), cs)?;
    a.pop(ds)?;
    a.retf()?;
    a.assemble(3)
}

fn boot(chunks: u16) -> Result<Vec<u8>, IcedError> {
    let mut a = CodeAssembler::new(16)?;
    let (mut next, mut stop) = (a.create_label(), a.create_label());
    a.cld()?;
    a.xor(ax, ax)?;
    for segment in [ds, es, ss] {
        a.mov(segment, ax)?;
    }
    a.mov(sp, u32::from(PACKET))?;
    a.sti()?;
    once(&mut a, stop)?;
    // The packet: its size, 64 sectors, to 1000:0000, from the first on. The table: from there, words up to its limit.
    a.xor(ax, ax)?;
    a.mov(di, u32::from(PACKET))?;
    a.mov(cx, 40)?;
    a.rep().stosw()?;
    for (at, value) in
        [(PACKET, 0x10), (PACKET + 2, 64), (PACKET + 6, 0x1000), (COPY + 0x10, 0xffff), (COPY + 0x14, 0x9301)]
    {
        a.mov(word(at), value)?;
    }
    a.mov(word(COPY + 0x18), 0xffff)?;
    a.mov(dword_ptr(low(TO)), BASE)?;
    a.mov(word(LEFT), u32::from(chunks))?;
    a.set_label(&mut next)?;
    a.mov(ah, 0x42)?;
    a.mov(dl, 0x80)?;
    a.mov(si, u32::from(PACKET))?;
    a.int(0x13)?;
    a.jc(stop)?;
    a.mov(eax, dword_ptr(low(TO)))?;
    a.mov(word(COPY + 0x1a), ax)?;
    a.shr(eax, 16)?;
    a.mov(byte_ptr(low(COPY + 0x1c)), al)?;
    a.mov(byte_ptr(low(COPY + 0x1d)), 0x93)?;
    a.mov(byte_ptr(low(COPY + 0x1f)), ah)?;
    a.mov(ah, 0x87)?;
    a.mov(cx, CHUNK / 2)?;
    a.mov(si, u32::from(COPY))?;
    a.int(0x15)?;
    a.jc(stop)?;
    a.add(dword_ptr(low(PACKET + 8)), 64)?;
    a.add(dword_ptr(low(TO)), CHUNK)?;
    a.dec(word(LEFT))?;
    a.jnz(next)?;
    protect(&mut a)?;
    a.set_label(&mut stop)?;
    power_off(&mut a)?;
    a.assemble(low(BOOT))
}

/// Goes to `again` where this machine booted before: it was reset, and must not begin anew.
fn once(a: &mut CodeAssembler, again: guests::iced_x86::code_asm::CodeLabel) -> Result<(), IcedError> {
    a.mov(al, u32::from(MARK))?;
    a.out(0x70, al)?;
    a.in_(al, 0x71)?;
    a.cmp(al, 0x5a)?;
    a.je(again)?;
    a.mov(al, 0x5a)?;
    a.out(0x71, al)
}

/// Opens line A20 and enters protected mode.
fn protect(a: &mut CodeAssembler) -> Result<(), IcedError> {
    a.cli()?;
    a.in_(al, 0x92)?;
    a.or(al, 2)?;
    a.out(0x92, al)?;
    a.lgdt(fword_ptr(low(POINTER)).cs())?;
    a.mov(eax, cr0)?;
    a.or(al, 1)?;
    a.mov(cr0, eax)?;
    // A far jump with a 32-bit offset.
    a.db(&[0x66, 0xea])?;
    a.dd(&[ADDRESS + u32::from(PROTECTED)])?;
    a.dw(&[8])
}

/// Bochs' own way to end: this word to this port.
fn power_off(a: &mut CodeAssembler) -> Result<(), IcedError> {
    a.mov(dx, 0x8900)?;
    for letter in b"Shutdown" {
        a.mov(al, u32::from(*letter))?;
        a.out(dx, al)?;
    }
    a.cli()?;
    a.hlt()
}

fn enter(entry: u32, start_info: u32) -> Result<Vec<u8>, IcedError> {
    let mut a = CodeAssembler::new(32)?;
    a.mov(bx, 16)?;
    for segment in [ds, es, ss] {
        a.mov(segment, bx)?;
    }
    a.mov(ebx, start_info)?;
    a.mov(eax, entry)?;
    a.jmp(eax)?;
    a.assemble(u64::from(ADDRESS + u32::from(PROTECTED)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_bytes_sum_to_zero_and_its_size_is_in_it() {
        let rom = assemble(2000, 0x100_1234, 0x500_0000).unwrap();
        assert_eq!(rom[..3], [0x55, 0xaa, 1]);
        assert_eq!(rom.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)), 0);
    }

    #[test]
    fn its_parts_do_not_overlap() {
        assert!(3 + hook().unwrap().len() <= usize::from(BOOT));
        assert!(usize::from(BOOT) + boot(u16::MAX).unwrap().len() <= usize::from(PROTECTED));
        assert!(usize::from(PROTECTED) + enter(u32::MAX, u32::MAX).unwrap().len() <= usize::from(TABLE));
    }

    #[test]
    fn low_memory_is_addressed_with_16_bits() {
        // push ds; xor ax, ax; mov ds, ax; mov word [0064h], 0040h; mov [0066h], cs; pop ds; retf
        let expected =
            [0x1e, 0x31, 0xc0, 0x8e, 0xd8, 0xc7, 6, 0x64, 0, 0x40, 0, 0x8c, 0x0e, 0x66, 0, 0x1f, 0xcb];
        assert_eq!(hook().unwrap(), expected);
    }
}
