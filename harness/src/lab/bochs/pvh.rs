//! A machine's memory as a kernel with a PVH entry wants to find it: its ELF segments, an initramfs, and a start-info block
//! (`xen/include/public/arch-x86/hvm/start_info.h`).

use object::LittleEndian as Little;
use object::elf::{FileHeader64, PT_LOAD};
use object::read::elf::{FileHeader, ProgramHeader};

use crate::lab::vmlinux::pvh_entry;

/// Where what is laid out begins: 16 MiB, where kernels for x86-64 want to be.
pub(super) const BASE: u32 = 16 << 20;
/// The memory of the machine, in bytes.
pub(super) const MEMORY: u32 = 1 << 30;
/// `XEN_HVM_START_MAGIC_VALUE`.
const MAGIC: u32 = 0x336e_c578;
/// Where the list of modules, the memory map and the command line are in the start-info page.
const MODULES: u32 = 64;
const MAP: u32 = 96;
const COMMAND_LINE: u32 = 256;
/// What the memory map says: start, end, and `XEN_HVM_MEMMAP_TYPE_RAM` (1) or `_ACPI` (3). Bochs' BIOS keeps its tables in the last
/// 64 KiB.
const RAM: [(u32, u32, u32); 3] =
    [(0, 0x9_f000, 1), (1 << 20, MEMORY - 0x1_0000, 1), (MEMORY - 0x1_0000, MEMORY, 3)];
const PAGE: usize = 4096;

/// A kernel, laid out from [`BASE`] on, to the end of what it wants zeroed.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::lab) struct Program {
    bytes: Vec<u8>,
    /// Where it is entered, in 32-bit protected mode without paging.
    pub(super) entry: u32,
}

/// What is to be in memory from [`BASE`] on when the kernel is entered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) bytes: Vec<u8>,
    /// Where the start info is.
    pub(super) start_info: u32,
}

impl Program {
    /// Lays an ELF file out.
    pub(super) fn read(elf: &[u8]) -> Result<Self, String> {
        let damaged = |error: object::Error| format!("the ELF file in it is damaged ({error})");
        let header = FileHeader64::<Little>::parse(elf).map_err(damaged)?;
        let entry = pvh_entry(elf)
            .map_err(damaged)?
            .ok_or("it was built without CONFIG_PVH, by which the lab enters a kernel under Bochs")?;
        let mut bytes = Vec::new();
        for segment in header.program_headers(Little, elf).map_err(damaged)? {
            if segment.p_type(Little) == PT_LOAD {
                let data =
                    segment.data(Little, elf).map_err(|()| "the ELF file in it is cut off".to_owned())?;
                let start = segment.p_paddr(Little).checked_sub(u64::from(BASE));
                let end = start.and_then(|start| start.checked_add(segment.p_memsz(Little)));
                let (Some(start), Some(end)) = (start, end.filter(|end| *end < u64::from(MEMORY / 2))) else {
                    return Err("it does not lie between 16 MiB and the half of the machine's memory".into());
                };
                let index = |at: u64| usize::try_from(at).map_err(|error| error.to_string());
                let (start, end) = (index(start)?, index(end)?);
                bytes.resize(bytes.len().max(end).max(start + data.len()), 0);
                bytes[start..start + data.len()].copy_from_slice(data);
            }
        }
        Ok(Self { bytes, entry })
    }

    /// The memory with this initramfs and command line.
    pub(super) fn image(&self, initramfs: &[u8], command_line: &str) -> Result<Image, String> {
        if command_line.len() + 1 > PAGE - 256 {
            return Err("the command line is longer than a page".into());
        }
        let mut bytes = self.bytes.clone();
        bytes.resize(bytes.len().next_multiple_of(PAGE), 0);
        let modules = address(bytes.len())?;
        bytes.extend_from_slice(initramfs);
        bytes.resize(bytes.len().next_multiple_of(PAGE), 0);
        let start_info = address(bytes.len())?;
        let size = u32::try_from(initramfs.len()).map_err(|error| error.to_string())?;
        bytes.extend(page(start_info, (modules, size), command_line));
        Ok(Image { bytes, start_info })
    }
}

fn address(offset: usize) -> Result<u32, String> {
    let address = u32::try_from(offset).ok().and_then(|offset| BASE.checked_add(offset));
    address
        .filter(|at| *at < MEMORY - (64 << 20))
        .ok_or_else(|| "it does not fit the machine's memory".into())
}

/// `struct hvm_start_info`, and what it points to.
fn page(at: u32, (initramfs, size): (u32, u32), command_line: &str) -> Vec<u8> {
    let mut page = Vec::with_capacity(PAGE);
    let map = RAM.len().try_into().unwrap_or(0);
    // Magic, version, flags, how many modules; where they, the command line, the RSDP (the kernel finds it) and the map are; how
    // much map.
    let words = [MAGIC, 1, 0, 1, at + MODULES, 0, at + COMMAND_LINE, 0, 0, 0, at + MAP, 0, map, 0];
    page.extend(words.into_iter().flat_map(u32::to_le_bytes));
    page.resize(64, 0);
    page.extend([initramfs, 0, size, 0, 0, 0, 0, 0].into_iter().flat_map(u32::to_le_bytes));
    for (start, end, kind) in RAM {
        page.extend([start, 0, end - start, 0, kind, 0].into_iter().flat_map(u32::to_le_bytes));
    }
    page.resize(256, 0);
    page.extend_from_slice(command_line.as_bytes());
    page.push(0);
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF file with a segment at 16 MiB + 0x1000 of 4 bytes (0x2000 in memory) and a note of this owner.
    fn elf(owner: &[u8; 4]) -> Vec<u8> {
        let mut file = vec![0; 64 + 2 * 56];
        file[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1]);
        (file[32], file[54], file[56]) = (64, 56, 2);
        let mut header = |at: usize, kind: u32, fields: [u64; 6]| {
            file[at..at + 4].copy_from_slice(&kind.to_le_bytes());
            for (index, field) in fields.into_iter().enumerate() {
                file[at + 8 + index * 8..at + 16 + index * 8].copy_from_slice(&field.to_le_bytes());
            }
        };
        header(64, 1, [176, 0, 0x100_1000, 4, 0x2000, 4]);
        header(120, 4, [180, 0, 0, 20, 20, 4]);
        file.extend_from_slice(b"code");
        file.extend([4_u32, 4, 18].into_iter().flat_map(u32::to_le_bytes));
        file.extend_from_slice(owner);
        file.extend_from_slice(&0x100_1234_u32.to_le_bytes());
        file
    }

    #[test]
    fn segments_are_laid_flat_and_the_entry_is_found() {
        let program = Program::read(&elf(b"Xen\0")).unwrap();
        assert_eq!(program.entry, 0x100_1234);
        assert_eq!(program.bytes.len(), 0x3000);
        assert_eq!(&program.bytes[0x1000..0x1006], b"code\0\0");
    }

    #[test]
    fn a_kernel_without_the_note_is_refused_with_the_reason() {
        assert!(Program::read(&elf(b"GNU\0")).unwrap_err().contains("CONFIG_PVH"));
        let whole = elf(b"Xen\0");
        for length in 0..whole.len() {
            assert!(Program::read(&whole[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn the_start_info_points_to_what_is_there() {
        let program = Program::read(&elf(b"Xen\0")).unwrap();
        let image = program.image(b"cpio", "quiet").unwrap();
        assert_eq!(image.start_info, BASE + 0x4000);
        assert_eq!(&image.bytes[0x3000..0x3004], b"cpio");
        let page = &image.bytes[0x4000..];
        let word = |at: usize| u32::from_le_bytes(page[at..at + 4].try_into().unwrap());
        assert_eq!([word(0), word(4), word(12)], [MAGIC, 1, 1]);
        assert_eq!(
            [word(16), word(24), word(40), word(48)].map(|at| at.wrapping_sub(image.start_info)),
            [64, 256, 96, 3_u32.wrapping_sub(image.start_info)]
        );
        assert_eq!([word(64), word(72)], [BASE + 0x3000, 4]);
        assert_eq!([word(120), word(128), word(136)], [1 << 20, MEMORY - 0x11_0000, 1]);
        assert_eq!(&page[256..], b"quiet\0");
    }
}
