//! Kernels with a Multiboot header: Multiboot specification 0.6.96, 3.1 "OS image format" to 3.3 "Boot information format".

use kvm_bindings::kvm_regs;

use super::e820::memory_map;
use super::elf::{self, Loaded};
use super::entry;
use super::kernel::{Boot, BootError, File};
use crate::{Machine, Ram};

/// The header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Where it is in the file.
    offset: u32,
    flags: u32,
    /// If the header says where everything goes: header, beginning, end of data, end of bss, entry.
    addresses: Option<[u32; 5]>,
}

const MAGIC: u32 = 0x1bad_b002;
/// What EAX holds at the entry.
const LOADED: u32 = 0x2bad_b002;
/// How far into the file the header is looked for.
const SEARCHED: usize = 8192;
const HAS_ADDRESSES: u32 = 1 << 16;
/// The requirements that are met: aligned modules and a word of memory.
const MET: u32 = 0b11;

/// Where the boot information is put, if nothing else is there: no kernel is loaded so low, and those that start other processors
/// do it further below.
const INFORMATION: u64 = 0x9000;
const NAME: &[u8] = b"Assay\0";
const PAGE: u64 = 0x1000;

impl Header {
    /// The header of a file that has one.
    pub(super) fn find(file: &[u8]) -> Option<Self> {
        let searched = &file[..file.len().min(SEARCHED)];
        let word = |index: usize| {
            let bytes = file.get(index * 4..index * 4 + 4)?;
            bytes.try_into().ok().map(u32::from_le_bytes)
        };
        let is_header = |&index: &usize| match (word(index), word(index + 1), word(index + 2)) {
            (Some(MAGIC), Some(flags), Some(checksum)) => {
                MAGIC.wrapping_add(flags).wrapping_add(checksum) == 0
            }
            _ => false,
        };
        let index = (0..searched.len() / 4).find(is_header)?;
        let flags = word(index + 1)?;
        let address = |place: usize| word(index + 3 + place);
        let addresses = match (address(0), address(1), address(2), address(3), address(4)) {
            (Some(a), Some(b), Some(c), Some(d), Some(e)) if flags & HAS_ADDRESSES != 0 => {
                Some([a, b, c, d, e])
            }
            _ => None,
        };
        Some(Self { offset: u32::try_from(index * 4).ok()?, flags, addresses })
    }
}

/// Boots a kernel with a Multiboot header.
pub(super) fn load(machine: &mut Machine, boot: &Boot, header: &Header) -> Result<(), BootError> {
    if header.flags & 0xffff & !MET != 0 {
        let flags = header.flags & 0xffff & !MET;
        return Err(boot
            .kernel
            .refused(format!("its Multiboot header requires what is not here: {flags:#x}")));
    }
    let ram = machine.ram();
    let mut loaded = match header.addresses {
        Some(addresses) => load_addresses(ram, &boot.kernel, header.offset, addresses)?,
        None => elf::load(ram, &boot.kernel)?,
    };
    let module = match &boot.initrd {
        Some(initrd) => Some(load_module(ram, initrd, &mut loaded)?),
        None => None,
    };
    let information = inform(ram, boot, &loaded, module)?;
    let regs = kvm_regs { rip: loaded.entry, rax: LOADED.into(), rbx: information, ..Default::default() };
    entry::flat(machine.cpu(0)?, entry::FLAT, regs)?;
    Ok(())
}

/// Loads a file whose header says where everything goes: 3.1.3 "The address fields of Multiboot header".
fn load_addresses(ram: &Ram, file: &File, offset: u32, addresses: [u32; 5]) -> Result<Loaded, BootError> {
    let [header, first, data_end, bss_end, entry] = addresses;
    let before = header.checked_sub(first).and_then(|behind| offset.checked_sub(behind));
    let before = before.ok_or_else(|| file.refused("its Multiboot header lies before what it loads"))?;
    let data =
        usize::try_from(before).ok().and_then(|before| file.contents.get(before..)).unwrap_or_default();
    let length = match data_end {
        0 => data.len(),
        end => end.checked_sub(first).map_or(usize::MAX, |length| length as usize),
    };
    let data = data.get(..length).ok_or_else(|| file.refused("what it loads reaches behind its end"))?;
    let (first, end) = (u64::from(first), u64::from(first) + data.len() as u64);
    ram.write(first, data).map_err(file.does_not_fit())?;
    elf::zero(ram, file, end, u64::from(bss_end).saturating_sub(end))?;
    Ok(Loaded { entry: entry.into(), taken: vec![(first, end.max(bss_end.into()))] })
}

/// Loads a module behind the kernel, at the beginning of a page. Where it begins and ends.
fn load_module(ram: &Ram, file: &File, loaded: &mut Loaded) -> Result<(u64, u64), BootError> {
    let end = loaded.taken.iter().map(|(_, end)| *end).max().unwrap_or(0);
    let first = end.max(1 << 20).next_multiple_of(PAGE);
    ram.write(first, &file.contents).map_err(file.does_not_fit())?;
    let taken = (first, first + file.contents.len() as u64);
    loaded.taken.push(taken);
    Ok(taken)
}

/// Writes the boot information: 3.3. Where it is.
fn inform(ram: &Ram, boot: &Boot, loaded: &Loaded, module: Option<(u64, u64)>) -> Result<u64, BootError> {
    const STRUCTURE: usize = 120;
    let map: Vec<u8> = memory_map(ram)
        .iter()
        .flat_map(|entry| {
            let size = 20_u32.to_le_bytes().to_vec();
            [
                size,
                entry.first.to_le_bytes().to_vec(),
                entry.length.to_le_bytes().to_vec(),
                entry.kind().to_le_bytes().to_vec(),
            ]
            .concat()
        })
        .collect();
    // The first word is the path of the program, as those that are booted so expect it.
    let command = [boot.kernel.name.as_bytes(), b" ", boot.append.as_bytes(), b"\0"].concat();
    let name =
        boot.initrd.as_ref().map(|initrd| [initrd.name.as_bytes(), b"\0"].concat()).unwrap_or_default();
    let length = STRUCTURE + 16 + map.len() + command.len() + name.len() + NAME.len();
    let at = place(loaded, length as u64);
    let mut bytes = vec![0; STRUCTURE + 16];
    let mut append = |more: &[u8]| {
        let address = at + bytes.len() as u64;
        bytes.extend(more);
        address
    };
    let (map_at, command_at) = (append(&map), append(&command));
    let (name_at, loader_at) = (append(&name), append(NAME));
    let below = ram.size().min(Ram::HOLE).saturating_sub(1 << 20) >> 10;
    let mut put = |offset: usize, value: u64| {
        // Everything that is told of lies below 4 GiB.
        let value = u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes();
        bytes[offset..offset + 4].copy_from_slice(&value);
    };
    let has_modules = if module.is_some() { 1 << 3 } else { 0 };
    put(0, 1 | 1 << 2 | has_modules | 1 << 6 | 1 << 9);
    put(4, 639);
    put(8, below);
    put(16, command_at);
    if let Some((first, end)) = module {
        put(20, 1);
        put(24, at + STRUCTURE as u64);
        put(STRUCTURE, first);
        put(STRUCTURE + 4, end);
        put(STRUCTURE + 8, name_at);
    }
    put(44, map.len() as u64);
    put(48, map_at);
    put(64, loader_at);
    ram.write(at, &bytes).map_err(boot.kernel.does_not_fit())?;
    Ok(at)
}

/// Where so many bytes lie that nothing is loaded at: low, or behind everything.
fn place(loaded: &Loaded, length: u64) -> u64 {
    let is_free = |at: u64| loaded.taken.iter().all(|&(first, end)| at + length <= first || end <= at);
    let is_low = INFORMATION + length <= 0x9_0000;
    if is_low && is_free(INFORMATION) {
        return INFORMATION;
    }
    loaded.taken.iter().map(|(_, end)| *end).max().unwrap_or(0).next_multiple_of(PAGE)
}
