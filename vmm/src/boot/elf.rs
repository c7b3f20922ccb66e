//! Kernels as ELF files: System V ABI, "Program header". 64-bit code must say by a note how it is entered from 32 bits.

use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, elf};

use super::kernel::{Boot, BootError, File};
use super::{entry, pvh};
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

/// Boots an ELF file as a note in it says, or 32-bit code where its entry point is, in flat protected mode.
pub(super) fn boot(machine: &mut Machine, boot: &Boot) -> Result<(), BootError> {
    let (file, ram) = (&boot.kernel, machine.ram());
    let broken = |error: object::read::Error| file.refused(format!("it is no ELF file: {error}"));
    let data = file.contents.as_slice();
    let (loaded, note) = match class_of(data) {
        Some(elf::ELFCLASS32) => {
            (load(ram, file)?, pvh::entry_of::<elf::FileHeader32<Endianness>>(data).map_err(broken)?)
        }
        Some(elf::ELFCLASS64) => {
            let note = pvh::entry_of::<elf::FileHeader64<Endianness>>(data).map_err(broken)?;
            if note.is_none() {
                return Err(file.refused("it is 64-bit code without a PVH note, which says how to enter it"));
            }
            (segments::<elf::FileHeader64<Endianness>>(ram, file, elf::EM_X86_64)?, note)
        }
        _ => return Err(file.refused("it is no bzImage, has no Multiboot header and is no ELF file")),
    };
    match note {
        Some(entry) => pvh::boot(machine, boot, Loaded { entry: entry.into(), ..loaded }),
        None => {
            let regs = kvm_bindings::kvm_regs { rip: loaded.entry, ..Default::default() };
            Ok(entry::flat(machine.cpu(0)?, entry::FLAT, regs)?)
        }
    }
}

/// Loads the segments of an ELF file of 32-bit code at their physical addresses.
pub(super) fn load(ram: &Ram, file: &File) -> Result<Loaded, BootError> {
    match class_of(&file.contents) {
        Some(elf::ELFCLASS32) => segments::<elf::FileHeader32<Endianness>>(ram, file, elf::EM_386),
        Some(elf::ELFCLASS64) => {
            Err(file.refused("it is 64-bit code, which a Multiboot header does not start"))
        }
        _ => Err(file.refused("it is no ELF file")),
    }
}

fn class_of(data: &[u8]) -> Option<elf::FileClass> {
    data.strip_prefix(b"\x7fELF").and_then(|rest| rest.first()).map(|class| elf::FileClass(*class))
}

fn segments<H: FileHeader<Endian = Endianness>>(
    ram: &Ram,
    file: &File,
    processor: elf::Machine,
) -> Result<Loaded, BootError> {
    let data = file.contents.as_slice();
    let broken = |error: object::read::Error| file.refused(format!("it is no ELF file: {error}"));
    let header = H::parse(data).map_err(broken)?;
    let endian = header.endian().map_err(broken)?;
    if header.e_machine(endian) != processor {
        return Err(file.refused("it is code for another processor"));
    }
    let mut loaded = Loaded { entry: header.e_entry(endian).into(), taken: Vec::new() };
    let start = loaded.entry;
    for segment in header.program_headers(endian, data).map_err(broken)? {
        if segment.p_type(endian) != elf::PT_LOAD || segment.p_memsz(endian).into() == 0 {
            continue;
        }
        let bytes =
            segment.data(endian, data).map_err(|()| file.refused("a segment reaches behind its end"))?;
        let (at, size): (u64, u64) = (segment.p_paddr(endian).into(), segment.p_memsz(endian).into());
        let end = at.checked_add(size).ok_or_else(|| file.refused("a segment reaches behind all memory"))?;
        let bytes = &bytes[..bytes.len().min(usize::try_from(size).unwrap_or(usize::MAX))];
        ram.write(at, bytes).map_err(file.does_not_fit())?;
        zero(ram, file, at + bytes.len() as u64, size - bytes.len() as u64)?;
        loaded.taken.push((at, end));
        let linked: u64 = segment.p_vaddr(endian).into();
        if let Some(behind) = start.checked_sub(linked).filter(|behind| *behind < size) {
            loaded.entry = at + behind;
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
