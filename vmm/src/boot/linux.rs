//! Linux as a bzImage: Linux, `Documentation/arch/x86/boot.rst`, "The Linux/x86 Boot Protocol", and `zero-page.rst`.

use std::mem::offset_of;

use kvm_bindings::kvm_regs;
use linux_loader::bootparam::{boot_e820_entry, boot_params};

use super::e820::memory_map;
use super::entry;
use super::kernel::{Boot, BootError, COMMAND_LINE, Entry, File, place_initrd};
use crate::{Machine, Ram, acpi};

/// Where the zero page is put.
const ZERO_PAGE: u64 = 0x7000;
/// Where the kernel is put, if it can run anywhere.
const LOAD: u64 = 0x10_0000;
/// How far into what is loaded the 64-bit entry is.
const LONG_ENTRY: u64 = 0x200;

const SECTOR: usize = 512;
/// "HdrS".
const MAGIC: u32 = 0x5372_6448;
/// The first protocol whose header says how much memory the kernel needs: that of Linux 2.6.31.
const LEAST: u16 = 0x020a;
/// Of `loadflags`: what is loaded goes to 1 MiB.
const LOADED_HIGH: u8 = 1;
/// Of `xloadflags`.
const HAS_LONG_ENTRY: u16 = 1;
/// What `type_of_loader` and `vid_mode` are for whoever has no number, and for no mode in particular.
const UNDEFINED_LOADER: u8 = 0xff;
const NORMAL: u16 = 0xffff;

/// The header of a bzImage.
#[derive(Clone, Copy)]
pub(super) struct Header<'a> {
    file: &'a File,
}

impl<'a> Header<'a> {
    /// The header of a file that has one.
    pub(super) fn find(file: &'a File) -> Option<Self> {
        let header = Self { file };
        (header.u32(offset_of!(boot_params, hdr.header)) == MAGIC).then_some(header)
    }

    /// A field, at its place in the zero page and in the file; zero behind its end.
    fn field<const N: usize>(&self, at: usize) -> [u8; N] {
        self.file.contents.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
    }

    fn u8(&self, at: usize) -> u8 {
        u8::from_le_bytes(self.field(at))
    }

    fn u16(&self, at: usize) -> u16 {
        u16::from_le_bytes(self.field(at))
    }

    fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.field(at))
    }

    fn u64(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.field(at))
    }

    /// What of the file is loaded: all behind the real-mode code.
    fn kernel(&self) -> Result<&'a [u8], BootError> {
        let sectors = match self.u8(offset_of!(boot_params, hdr.setup_sects)) {
            0 => 4,
            sectors => usize::from(sectors),
        };
        let kernel = self.file.contents.get((sectors + 1) * SECTOR..).filter(|kernel| !kernel.is_empty());
        let paragraphs = u64::from(self.u32(offset_of!(boot_params, hdr.syssize)));
        kernel
            .filter(|kernel| kernel.len() as u64 + 15 >= paragraphs * 16)
            .ok_or_else(|| self.file.refused("it is cut off"))
    }

    fn check(&self) -> Result<(), BootError> {
        let version = self.u16(offset_of!(boot_params, hdr.version));
        if version < LEAST {
            let (major, minor) = (version >> 8, version & 0xff);
            return Err(self
                .file
                .refused(format!("its boot protocol, {major}.{minor:02}, is older than 2.10")));
        }
        if self.u8(offset_of!(boot_params, hdr.loadflags)) & LOADED_HIGH == 0 {
            return Err(self.file.refused("it is a zImage, which is loaded below 1 MiB"));
        }
        Ok(())
    }

    /// Which way it is entered.
    fn is_entered_long(&self, asked: Entry) -> Result<bool, BootError> {
        let can = self.u16(offset_of!(boot_params, hdr.xloadflags)) & HAS_LONG_ENTRY != 0;
        match asked {
            Entry::Long if !can => Err(self.file.refused("it has no 64-bit entry")),
            Entry::Protected => Ok(false),
            Entry::Long | Entry::Best => Ok(can),
        }
    }

    /// Where it is loaded, and where the memory ends that it needs before it reads its memory map.
    fn place(&self) -> (u64, u64) {
        let preferred = self.u64(offset_of!(boot_params, hdr.pref_address));
        let is_relocatable = self.u8(offset_of!(boot_params, hdr.relocatable_kernel)) != 0;
        let at = if is_relocatable { LOAD } else { preferred.max(LOAD) };
        let needed = u64::from(self.u32(offset_of!(boot_params, hdr.init_size)));
        (at, preferred.max(at).saturating_add(needed))
    }
}

/// Boots a bzImage by its 64-bit or its 32-bit entry.
pub(super) fn boot(machine: &mut Machine, boot: &Boot, header: Header<'_>) -> Result<(), BootError> {
    header.check()?;
    let (ram, file) = (machine.ram(), &boot.kernel);
    let is_long = header.is_entered_long(boot.entry)?;
    let (at, end) = header.place();
    let kernel = header.kernel()?;
    let end = end.max(at + kernel.len() as u64);
    let there = ram.size().min(Ram::HOLE);
    if end > there {
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        let why = format!("it needs {} MiB of memory, and there are {}", mib(end), mib(there));
        return Err(file.refused(why));
    }
    ram.write(at, kernel).map_err(file.does_not_fit())?;
    let longest = u64::from(header.u32(offset_of!(boot_params, hdr.initrd_addr_max)));
    let initrd = place_initrd(ram, boot, end, longest)?;
    let most = header.u32(offset_of!(boot_params, hdr.cmdline_size));
    boot.write_command_line(ram, usize::try_from(most).unwrap_or(usize::MAX))?;
    let rsdp = if machine.acpi().is_some() { acpi::RSDP } else { 0 };
    let page = zero_page(ram, header, at, initrd, rsdp);
    ram.write(ZERO_PAGE, &page).map_err(file.does_not_fit())?;
    entry::write_segments(ram, is_long).map_err(file.does_not_fit())?;
    let cpu = machine.cpu(0)?;
    if is_long {
        entry::long(cpu, kvm_regs { rip: at + LONG_ENTRY, rsi: ZERO_PAGE, ..Default::default() })?;
        return entry::write_pages(machine.ram()).map_err(file.does_not_fit());
    }
    Ok(entry::flat(cpu, entry::LINUX, kvm_regs { rip: at, rsi: ZERO_PAGE, ..Default::default() })?)
}

/// The zero page: the kernel's own header, and what it is told.
fn zero_page(ram: &Ram, header: Header<'_>, at: u64, initrd: Option<(u64, u64)>, rsdp: u64) -> Vec<u8> {
    let mut page = vec![0; size_of::<boot_params>()];
    let mut put = |at: usize, bytes: &[u8]| page[at..at + bytes.len()].copy_from_slice(bytes);
    // What is told of lies below 4 GiB.
    let word = |value: u64| u32::try_from(value).unwrap_or(0).to_le_bytes();
    let first = offset_of!(boot_params, hdr);
    // The jump behind the magic number says where the header ends.
    let end = offset_of!(boot_params, hdr.header) + usize::from(header.u8(0x201));
    let end = end.clamp(first, offset_of!(boot_params, edd_mbr_sig_buffer));
    put(first, header.file.contents.get(first..end).unwrap_or_default());
    put(offset_of!(boot_params, hdr.type_of_loader), &[UNDEFINED_LOADER]);
    put(offset_of!(boot_params, hdr.vid_mode), &NORMAL.to_le_bytes());
    put(offset_of!(boot_params, hdr.code32_start), &word(at));
    put(offset_of!(boot_params, hdr.cmd_line_ptr), &word(COMMAND_LINE));
    if let Some((initrd, length)) = initrd {
        put(offset_of!(boot_params, hdr.ramdisk_image), &word(initrd));
        put(offset_of!(boot_params, hdr.ramdisk_size), &word(length));
    }
    put(offset_of!(boot_params, acpi_rsdp_addr), &rsdp.to_le_bytes());
    let map = memory_map(ram);
    put(offset_of!(boot_params, e820_entries), &[u8::try_from(map.len()).unwrap_or(0)]);
    let table = offset_of!(boot_params, e820_table);
    for (at, entry) in (table..).step_by(size_of::<boot_e820_entry>()).zip(map) {
        put(at + offset_of!(boot_e820_entry, addr), &entry.first.to_le_bytes());
        put(at + offset_of!(boot_e820_entry, size), &entry.length.to_le_bytes());
        put(at + offset_of!(boot_e820_entry, r#type), &entry.kind().to_le_bytes());
    }
    page
}
