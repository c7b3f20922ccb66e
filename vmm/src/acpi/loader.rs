//! What firmware is to do with the tables: QEMU, `hw/acpi/bios-linker-loader.c`, "linker/loader commands", in which each of its
//! entries has 128 bytes.

use super::tables::Placed;

const ALLOCATE: u32 = 1;
const ADD_POINTER: u32 = 2;
const ADD_CHECKSUM: u32 = 3;
/// Where memory is taken from: anywhere, or where a root pointer is looked for.
const HIGH: u8 = 1;
const BELOW_1_MIB: u8 = 2;

const ROOT: &str = "etc/acpi/rsdp";
const TABLES: &str = "etc/acpi/tables";
const ENTRY: usize = 128;
const NAME: usize = 56;
/// Where the checksum of a table is, and in the root pointer that of its first 20 bytes, its address and the checksum of all 36.
const CHECKSUM: usize = 9;
const ROOT_CHECKSUM: usize = 8;
const ROOT_ADDRESS: usize = 24;
const ROOT_EXTENDED_CHECKSUM: usize = 32;

/// The script.
pub(super) fn script(placed: &Placed) -> Vec<u8> {
    let mut script = Vec::new();
    script.extend(allocate(ROOT, 16, BELOW_1_MIB));
    script.extend(allocate(TABLES, 64, HIGH));
    for &(at, width) in &placed.pointers {
        script.extend(add_pointer(TABLES, at, width));
    }
    for &(at, length) in &placed.summed {
        script.extend(add_checksum(TABLES, at + CHECKSUM, at, length));
    }
    script.extend(add_pointer(ROOT, ROOT_ADDRESS, 8));
    script.extend(add_checksum(ROOT, ROOT_CHECKSUM, 0, 20));
    script.extend(add_checksum(ROOT, ROOT_EXTENDED_CHECKSUM, 0, 36));
    script
}

fn allocate(file: &str, alignment: u32, zone: u8) -> Vec<u8> {
    entry(ALLOCATE, &[&name(file), &alignment.to_le_bytes(), &[zone]])
}

/// Has the address of the tables added to a field of a file.
fn add_pointer(file: &str, at: usize, width: u8) -> Vec<u8> {
    entry(ADD_POINTER, &[&name(file), &name(TABLES), &word(at), &[width]])
}

fn add_checksum(file: &str, at: usize, first: usize, length: usize) -> Vec<u8> {
    entry(ADD_CHECKSUM, &[&name(file), &word(at), &word(first), &word(length)])
}

fn entry(command: u32, fields: &[&[u8]]) -> Vec<u8> {
    let mut entry = command.to_le_bytes().to_vec();
    entry.extend(fields.concat());
    entry.resize(ENTRY, 0);
    entry
}

fn name(name: &str) -> Vec<u8> {
    let mut bytes = name.as_bytes().to_vec();
    bytes.resize(NAME, 0);
    bytes
}

fn word(number: usize) -> [u8; 4] {
    u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes()
}
