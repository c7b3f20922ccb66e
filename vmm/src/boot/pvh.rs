//! Kernels that are entered as Xen enters a guest without firmware: Xen, `docs/misc/pvh.pandoc`, "x86/HVM direct boot ABI", and
//! `xen/include/public/arch-x86/hvm/start_info.h`.

use kvm_bindings::kvm_regs;
use linux_loader::loader::elf::start_info::{hvm_memmap_table_entry, hvm_modlist_entry, hvm_start_info};
use object::Endianness;
use object::read::elf::{FileHeader, ProgramHeader};
use vm_memory::ByteValued;

use super::e820::memory_map;
use super::elf::Loaded;
use super::entry;
use super::kernel::{Boot, BootError, COMMAND_LINE, place_initrd};
use crate::{Machine, acpi};

/// `XEN_ELFNOTE_PHYS32_ENTRY`: where the kernel is entered, as a physical address.
const PHYS32_ENTRY: u32 = 18;
/// `XEN_HVM_START_MAGIC_VALUE`.
const MAGIC: u32 = 0x336e_c578;
/// Where the structure is put, with the list of modules and the memory map behind it.
const START_INFO: u64 = 0x6000;
const MODULES: u64 = START_INFO + 0x40;
const MEMORY_MAP: u64 = START_INFO + 0x80;
/// The longest command line that Linux takes.
const LONGEST: usize = 2047;

/// The entry that a note of this file says, if one does.
pub(super) fn entry_of<H: FileHeader<Endian = Endianness>>(
    data: &[u8],
) -> Result<Option<u32>, object::read::Error> {
    let header = H::parse(data)?;
    let endian = header.endian()?;
    for segment in header.program_headers(endian, data)? {
        let Some(mut notes) = segment.notes(endian, data)? else { continue };
        while let Some(note) = notes.next()? {
            if note.name() == b"Xen" && note.n_type(endian).0 == PHYS32_ENTRY {
                // Of a 64-bit kernel the note has eight bytes, of which the upper are zero.
                return Ok(note.desc().first_chunk().map(|word| u32::from_le_bytes(*word)));
            }
        }
    }
    Ok(None)
}

/// Boots a kernel that has been loaded.
pub(super) fn boot(machine: &mut Machine, boot: &Boot, loaded: Loaded) -> Result<(), BootError> {
    let (ram, file) = (machine.ram(), &boot.kernel);
    let end = loaded.taken.iter().map(|(_, end)| *end).max().unwrap_or(0);
    let initrd = place_initrd(ram, boot, end, u64::from(u32::MAX))?;
    boot.write_command_line(ram, LONGEST)?;
    let write = |at, bytes: &[u8]| ram.write(at, bytes).map_err(file.does_not_fit());
    let map = memory_map(ram);
    for (at, entry) in (MEMORY_MAP..).step_by(size_of::<hvm_memmap_table_entry>()).zip(&map) {
        let kind = entry.kind();
        let entry =
            hvm_memmap_table_entry { addr: entry.first, size: entry.length, type_: kind, reserved: 0 };
        write(at, entry.as_slice())?;
    }
    if let Some((paddr, size)) = initrd {
        write(MODULES, hvm_modlist_entry { paddr, size, ..Default::default() }.as_slice())?;
    }
    let information = hvm_start_info {
        magic: MAGIC,
        // Which has a memory map.
        version: 1,
        nr_modules: initrd.is_some().into(),
        modlist_paddr: MODULES,
        cmdline_paddr: COMMAND_LINE,
        rsdp_paddr: if machine.acpi().is_some() { acpi::RSDP } else { 0 },
        memmap_paddr: MEMORY_MAP,
        memmap_entries: u32::try_from(map.len()).unwrap_or(0),
        ..Default::default()
    };
    write(START_INFO, information.as_slice())?;
    let regs = kvm_regs { rip: loaded.entry, rbx: START_INFO, ..Default::default() };
    Ok(entry::flat(machine.cpu(0)?, entry::FLAT, regs)?)
}
