//! Kernels as ELF files: System V ABI, "Program header". What holds neither a Multiboot header nor 32-bit code is refused.

use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, elf};

use super::entry;
use super::kernel::{Boot, BootError, File};
use crate::{Machine, Ram};

/// Where an image has been loaded.
pub(super) struct Loaded {
    /// Where it begins to run.
    pub(super) entry: u64,
    /// The guest-physical ranges that it takes up, each as its beginning and its end.
    pub(super) taken: Vec<(u64, u64)>,
}

/// How much is zeroed at once.
const PIECE: usize = 0x1_0000;

/// Boots an ELF file of 32-bit code where its entry point says, in flat protected mode.
pub(super) fn boot(machine: &mut Machine, boot: &Boot) -> Result<(), BootError> {
    let loaded = load(machine.ram(), &boot.kernel)?;
    let regs = kvm_bindings::kvm_regs { rip: loaded.entry, ..Default::default() };
    entry::flat(machine.cpu(0)?, regs)?;
    Ok(())
}

/// Loads the segments of an ELF file of 32-bit code at their physical addresses.
pub(super) fn load(ram: &Ram, file: &File) -> Result<Loaded, BootError> {
    let data = file.contents.as_slice();
    match data {
        [0x7f, b'E', b'L', b'F', 1, ..] => {}
        [0x7f, b'E', b'L', b'F', 2, ..] => {
            return Err(file.refused("it is 64-bit code without a way to enter it from 32 bits"));
        }
        _ => return Err(file.refused("it has no Multiboot header and is no ELF file")),
    }
    let broken = |error: object::read::Error| file.refused(format!("it is no ELF file: {error}"));
    let header = elf::FileHeader32::<Endianness>::parse(data).map_err(broken)?;
    let endian = header.endian().map_err(broken)?;
    if header.e_machine(endian) != elf::EM_386 {
        return Err(file.refused("it is code for another processor"));
    }
    let mut loaded = Loaded { entry: header.e_entry(endian).into(), taken: Vec::new() };
    let start = loaded.entry;
    for segment in header.program_headers(endian, data).map_err(broken)? {
        if segment.p_type(endian) != elf::PT_LOAD || segment.p_memsz(endian) == 0 {
            continue;
        }
        let bytes =
            segment.data(endian, data).map_err(|()| file.refused("a segment reaches behind its end"))?;
        let (at, size) = (u64::from(segment.p_paddr(endian)), u64::from(segment.p_memsz(endian)));
        let bytes = &bytes[..bytes.len().min(usize::try_from(size).unwrap_or(usize::MAX))];
        ram.write(at, bytes).map_err(file.does_not_fit())?;
        zero(ram, file, at + bytes.len() as u64, size - bytes.len() as u64)?;
        loaded.taken.push((at, at + size));
        let linked = u64::from(segment.p_vaddr(endian));
        if (linked..linked + size).contains(&start) {
            loaded.entry = start - linked + at;
        }
    }
    if loaded.taken.is_empty() {
        return Err(file.refused("it has nothing to load"));
    }
    Ok(loaded)
}

/// Zeroes memory that is RAM; what is not is not begun with.
pub(super) fn zero(ram: &Ram, file: &File, at: u64, length: u64) -> Result<(), BootError> {
    if length == 0 {
        return Ok(());
    }
    ram.write(at + length - 1, &[0]).map_err(file.does_not_fit())?;
    let (mut at, mut left) = (at, length);
    while left > 0 {
        let piece = left.min(PIECE as u64);
        ram.write(at, &vec![0; usize::try_from(piece).unwrap_or(0)]).map_err(file.does_not_fit())?;
        (at, left) = (at + piece, left - piece);
    }
    Ok(())
}
