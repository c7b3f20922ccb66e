//! What a machine says of itself: System Management BIOS (SMBIOS) Reference Specification, DSP0134 3.3.0. The sections below are its.

use crate::acpi::Described;
use crate::{Items, ItemsError, MemoryError, Ram};

/// Where the entry point is, for an operating system that no firmware has told of another place: 5.2.1 has it at 16 bytes' boundary of
/// the segment at 0xF0000.
const ANCHOR: u64 = 0xf_c000;
const STRUCTURES: u64 = ANCHOR + 0x20;
/// The version of the specification that the structures keep to.
const VERSION: (u8, u8) = (2, 8);

/// Types of structures, of chapter 7.
const FIRMWARE: u8 = 0;
const SYSTEM: u8 = 1;
const CHASSIS: u8 = 3;
const PROCESSOR: u8 = 4;
const MEMORY_ARRAY: u8 = 16;
const MEMORY_DEVICE: u8 = 17;
const MAPPED_ADDRESS: u8 = 19;
const BOOT: u8 = 32;
const END: u8 = 127;

/// What most enumerations have for what is none of the others.
const OTHER: u8 = 1;
const UNKNOWN: u8 = 2;
const SAFE: u8 = 3;
/// Of firmware characteristics: there is nothing to tell of them; there is ACPI; this is a virtual machine.
const NOT_SUPPORTED: u64 = 1 << 3;
const HAS_ACPI: u8 = 1;
const IS_VIRTUAL: u8 = 1 << 4;
const POWER_SWITCH: u8 = 6;
const CENTRAL_PROCESSOR: u8 = 3;
const POPULATED_AND_ENABLED: u8 = 0x41;
const NO_CACHE: u16 = 0xffff;
const SYSTEM_MEMORY: u8 = 3;
const NO_CORRECTION: u8 = 3;
const NO_ERROR_INFORMATION: u16 = 0xfffe;
/// The larger of two fields tells it.
const EXTENDED_CAPACITY: u32 = 0x8000_0000;
const EXTENDED_SIZE: u16 = 0x7fff;
const DIMM: u8 = 9;
const RAM: u8 = 7;

/// All structures, one behind the other, as they are told of in the entry point.
#[derive(Default)]
struct Structures {
    bytes: Vec<u8>,
    count: u16,
    longest: u16,
}

/// Writes the entry point and the structures where an operating system looks for them.
pub(crate) fn write(described: &Described, ram: &Ram) -> Result<(), MemoryError> {
    let structures = Structures::of(described, ram.size());
    ram.write(STRUCTURES, &structures.bytes)?;
    ram.write(ANCHOR, &structures.entry_point(STRUCTURES))
}

/// Offers them to firmware, which puts them where it likes: QEMU, `docs/specs/fw_cfg.rst`.
pub(crate) fn offer(described: &Described, memory: u64, items: &Items) -> Result<(), ItemsError> {
    let structures = Structures::of(described, memory);
    items.add("etc/smbios/smbios-anchor", structures.entry_point(0))?;
    items.add("etc/smbios/smbios-tables", structures.bytes)
}

impl Structures {
    fn of(described: &Described, memory: u64) -> Self {
        let mut all = Self::default();
        all.firmware();
        all.system();
        (0..described.cpus).for_each(|cpu| all.processor(cpu));
        all.memory(memory);
        all.add(BOOT, &[&[0; 7]], &[]);
        all.add(END, &[], &[]);
        all
    }

    /// 7.1 "BIOS Information (Type 0)".
    fn firmware(&mut self) {
        let strings = ["Assay", env!("CARGO_PKG_VERSION"), "01/01/2026"];
        let (segment, size) = (0xf000u16.to_le_bytes(), 0);
        let characteristics = NOT_SUPPORTED.to_le_bytes();
        let tail = [HAS_ACPI, IS_VIRTUAL, 0, 0, 0xff, 0xff];
        self.add(FIRMWARE, &[&[1, 2], &segment, &[3, size], &characteristics, &tail], &strings);
    }

    /// 7.2 "System Information (Type 1)" and 7.4 "System Enclosure or Chassis (Type 3)".
    fn system(&mut self) {
        let no_uuid = [0; 16];
        self.add(SYSTEM, &[&[1, 2, 0, 0], &no_uuid, &[POWER_SWITCH, 0, 0]], &["Assay", "Assay PC"]);
        let states = [SAFE, SAFE, SAFE, UNKNOWN];
        self.add(CHASSIS, &[&[1, OTHER, 0, 0, 0], &states, &[0; 4], &[0; 5]], &["Assay"]);
    }

    /// 7.5 "Processor Information (Type 4)".
    fn processor(&mut self, cpu: u32) {
        let caches = [NO_CACHE; 3].map(u16::to_le_bytes).concat();
        let (one_core, characteristics) = ([1, 1, 1], u16::from(UNKNOWN).to_le_bytes());
        let family = u16::from(OTHER).to_le_bytes();
        let speeds = [0; 7];
        let identity = [0; 8];
        self.add(
            PROCESSOR,
            &[
                &[1, CENTRAL_PROCESSOR, OTHER, 0],
                &identity,
                &[0],
                &speeds,
                &[POPULATED_AND_ENABLED, OTHER],
                &caches,
                &[0; 3],
                &one_core,
                &characteristics,
                &family,
            ],
            &[&format!("CPU {cpu}")],
        );
    }

    /// 7.17 "Physical Memory Array (Type 16)", 7.18 "Memory Device (Type 17)" and 7.20 "Memory Array Mapped Address (Type 19)".
    fn memory(&mut self, memory: u64) {
        let array = self.count.to_le_bytes();
        let kibibytes = u32::try_from(memory >> 10).ok().filter(|kibibytes| *kibibytes < EXTENDED_CAPACITY);
        let extended = if kibibytes.is_none() { memory } else { 0 };
        self.add(
            MEMORY_ARRAY,
            &[
                &[OTHER, SYSTEM_MEMORY, NO_CORRECTION],
                &kibibytes.unwrap_or(EXTENDED_CAPACITY).to_le_bytes(),
                &NO_ERROR_INFORMATION.to_le_bytes(),
                &1u16.to_le_bytes(),
                &extended.to_le_bytes(),
            ],
            &[],
        );
        let mebibytes = u16::try_from(memory >> 20).ok().filter(|mebibytes| *mebibytes < EXTENDED_SIZE);
        let extended = if mebibytes.is_none() { u32::try_from(memory >> 20).unwrap_or(u32::MAX) } else { 0 };
        self.add(
            MEMORY_DEVICE,
            &[
                &array,
                &NO_ERROR_INFORMATION.to_le_bytes(),
                &[64, 0, 64, 0],
                &mebibytes.unwrap_or(EXTENDED_SIZE).to_le_bytes(),
                &[DIMM, 0, 1, 0, RAM, OTHER << 1, 0, 0, 0, 0, 0, 0, 0, 0],
                &extended.to_le_bytes(),
                &[0; 2],
            ],
            &["DIMM 0"],
        );
        let below = memory.min(Ram::HOLE);
        self.mapped(0, below, array);
        if memory > below {
            self.mapped(1 << 32, memory - below, array);
        }
    }

    fn mapped(&mut self, first: u64, length: u64, array: [u8; 2]) {
        let kibibyte = |address: u64| u32::try_from(address >> 10).unwrap_or(u32::MAX).to_le_bytes();
        self.add(
            MAPPED_ADDRESS,
            &[&kibibyte(first), &kibibyte((first + length).saturating_sub(1)), &array, &[1]],
            &[],
        );
    }

    /// Adds a structure: 6.1.2 "Structure header format", its fields, and 6.1.3 "Text strings".
    fn add(&mut self, kind: u8, fields: &[&[u8]], strings: &[&str]) {
        let fields = fields.concat();
        let begin = self.bytes.len();
        self.bytes.extend([kind, u8::try_from(4 + fields.len()).unwrap_or(u8::MAX)]);
        self.bytes.extend(self.count.to_le_bytes());
        self.bytes.extend(fields);
        strings.iter().for_each(|string| self.bytes.extend([string.as_bytes(), &[0]].concat()));
        // A structure without strings ends in two zeros as well.
        self.bytes.extend(if strings.is_empty() { &[0, 0][..] } else { &[0] });
        self.count += 1;
        self.longest = self.longest.max(u16::try_from(self.bytes.len() - begin).unwrap_or(u16::MAX));
    }

    /// 5.2.1 "SMBIOS 2.1 (32-bit) Entry Point".
    fn entry_point(&self, structures: u64) -> Vec<u8> {
        let length = u16::try_from(self.bytes.len()).unwrap_or(u16::MAX);
        let address = u32::try_from(structures).unwrap_or(0);
        let mut inner = [&b"_DMI_\0"[..], &length.to_le_bytes(), &address.to_le_bytes()].concat();
        inner.extend([&self.count.to_le_bytes()[..], &[VERSION.0 << 4 | VERSION.1]].concat());
        inner[5] = complement(&inner);
        let mut outer = [&b"_SM_\0\x1f"[..], &[VERSION.0, VERSION.1], &self.longest.to_le_bytes()].concat();
        outer.extend([0; 6]);
        outer.extend(inner);
        outer[4] = complement(&outer);
        outer
    }
}

/// What makes the sum of bytes zero, one of which is zero for it.
fn complement(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)).wrapping_neg()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// Every structure's type, fields behind its header, and strings.
    fn parsed(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>, Vec<String>)> {
        let mut all = Vec::new();
        while !bytes.is_empty() {
            let (kind, length, handle) =
                (bytes[0], usize::from(bytes[1]), u16::from_le_bytes([bytes[2], bytes[3]]));
            assert_eq!(usize::from(handle), all.len());
            let end = length + bytes[length..].windows(2).position(|two| two == [0, 0]).unwrap();
            let strings = bytes[length..end].split(|byte| *byte == 0).filter(|string| !string.is_empty());
            let strings = strings.map(|string| String::from_utf8(string.to_vec()).unwrap()).collect();
            all.push((kind, bytes[4..length].to_vec(), strings));
            bytes = &bytes[end + 2..];
        }
        all
    }

    #[rstest]
    #[case::small(128 << 20, 1, &[0, 1, 3, 4, 16, 17, 19, 32, 127])]
    #[case::around_the_hole(4 << 30, 2, &[0, 1, 3, 4, 4, 16, 17, 19, 19, 32, 127])]
    fn every_structure_is_found(#[case] memory: u64, #[case] cpus: u32, #[case] expected: &[u8]) {
        let structures = Structures::of(&Described { cpus, ..Described::default() }, memory);
        let all = parsed(&structures.bytes);
        assert_eq!(all.iter().map(|(kind, ..)| *kind).collect::<Vec<_>>(), expected);
        assert_eq!(usize::from(structures.count), all.len());
        // As long as version 2.8 has them: the tables of chapter 7.
        let lengths =
            [(0, 0x18), (1, 0x1b), (3, 0x16), (4, 0x2a), (16, 0x17), (17, 0x22), (19, 0xf), (32, 0xb)];
        for (kind, fields, strings) in &all {
            let length = lengths.iter().find(|(other, _)| other == kind).map_or(4, |(_, length)| *length);
            assert_eq!((4 + fields.len(), *kind), (length, *kind));
            assert!(strings.iter().all(|string| !string.is_empty()));
        }
        let device = &all.iter().find(|(kind, ..)| *kind == MEMORY_DEVICE).unwrap().1;
        assert_eq!(u64::from(u16::from_le_bytes([device[8], device[9]])), memory >> 20);
    }

    #[test]
    fn the_entry_point_leads_to_the_structures_of_as_many_processors_as_there_can_be() {
        let ram = Ram::new(0x10_0000).unwrap();
        write(&Described { cpus: 255, ..Described::default() }, &ram).unwrap();
        let mut entry = [0; 0x1f];
        ram.read(ANCHOR, &mut entry).unwrap();
        assert_eq!((&entry[..4], complement(&entry), complement(&entry[16..])), (&b"_SM_"[..], 0, 0));
        let (length, at) = (
            u16::from_le_bytes([entry[22], entry[23]]),
            u32::from_le_bytes(entry[24..28].try_into().unwrap()),
        );
        let mut bytes = vec![0; length.into()];
        ram.read(at.into(), &mut bytes).unwrap();
        assert_eq!(parsed(&bytes).len(), usize::from(u16::from_le_bytes([entry[28], entry[29]])));
    }
}
