//! The tables, one behind the other, and the pointers between them: ACPI specification 6.5, 5.2.5 to 5.2.11.

use acpi_tables::Aml;
use acpi_tables::facs::FACS;
use acpi_tables::rsdp::Rsdp;
use acpi_tables::sdt::Sdt;

use super::{dsdt, fadt, loader, madt};
use crate::virtio::Slot;
use crate::{Items, ItemsError, MemoryError, Ram};

/// Where the root pointer is, for an operating system that no firmware has told of another place: 5.2.5.1.
pub(crate) const RSDP: u64 = 0xf_0000;
/// Where the tables are then.
const TABLES: u64 = RSDP + 0x40;

/// Who made the tables: six bytes and eight.
pub(super) const OEM: [u8; 6] = *b"ASSAY ";
pub(super) const OEM_TABLE: [u8; 8] = *b"ASSAY PC";
const OEM_REVISION: u32 = 1;

/// What the tables tell of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Described {
    pub(crate) cpus: u32,
    pub(crate) virtio: Vec<Slot>,
    /// Whether there is a PCI bus.
    pub(crate) has_pci: bool,
}

/// The tables of a machine.
#[derive(Clone, Debug)]
pub(crate) struct Tables(Described);

/// The tables as they are at some address.
pub(super) struct Placed {
    pub(super) bytes: Vec<u8>,
    /// Where the root of the tables is in them.
    pub(super) xsdt: u64,
    /// The fields that hold addresses of tables: where, and how wide.
    pub(super) pointers: Vec<(usize, u8)>,
    /// The tables whose checksums depend on addresses: where, and how long.
    pub(super) summed: Vec<(usize, usize)>,
}

impl Tables {
    /// The tables of such a machine.
    pub(crate) fn of(described: Described) -> Self {
        Self(described)
    }

    /// What they tell of.
    pub(crate) fn described(&self) -> &Described {
        &self.0
    }

    /// Writes them where an operating system looks for them.
    pub(crate) fn write(&self, ram: &Ram) -> Result<(), MemoryError> {
        let placed = self.at(TABLES);
        ram.write(TABLES, &placed.bytes)?;
        ram.write(RSDP, &root(TABLES + placed.xsdt))
    }

    /// Offers them to firmware.
    pub(crate) fn offer(&self, items: &Items) -> Result<(), ItemsError> {
        let placed = self.at(0);
        items.add("etc/acpi/rsdp", root(placed.xsdt))?;
        items.add("etc/table-loader", loader::script(&placed))?;
        items.add("etc/acpi/tables", placed.bytes)
    }

    /// The tables at an address, of which the lower six bits are zero.
    fn at(&self, base: u64) -> Placed {
        let mut placed = Placed { bytes: Vec::new(), xsdt: 0, pointers: Vec::new(), summed: Vec::new() };
        // It must be aligned to 64 bytes, and so it is at the front: 5.2.10.
        let facs = placed.add(&bytes_of(&FACS::new()));
        let dsdt = placed.add(table(*b"DSDT", 2, &dsdt::contents(&self.0)).as_slice());
        let fadt = placed.add(&fadt::table(address(base, facs), address(base, dsdt)));
        placed.points(fadt + fadt::FIRMWARE_CTRL, 4);
        placed.points(fadt + fadt::DSDT, 4);
        placed.summed.push((fadt, placed.bytes.len() - fadt));
        let madt = placed.add(table(*b"APIC", 5, &madt::contents(&self.0)).as_slice());
        let entries = [fadt, madt].map(|table| (base + table as u64).to_le_bytes()).concat();
        let xsdt = placed.add(table(*b"XSDT", 1, &entries).as_slice());
        placed.points(xsdt + HEADER, 8);
        placed.points(xsdt + HEADER + 8, 8);
        placed.summed.push((xsdt, placed.bytes.len() - xsdt));
        placed.xsdt = xsdt as u64;
        placed
    }
}

/// How long the header of a table is.
const HEADER: usize = 36;

impl Placed {
    /// Adds a table, at the next address that is aligned to 16 bytes. Where it begins.
    fn add(&mut self, table: &[u8]) -> usize {
        let at = self.bytes.len().next_multiple_of(16);
        self.bytes.resize(at, 0);
        self.bytes.extend(table);
        at
    }

    fn points(&mut self, at: usize, width: u8) {
        self.pointers.push((at, width));
    }
}

/// The root pointer: 5.2.5.3.
fn root(xsdt: u64) -> Vec<u8> {
    bytes_of(&Rsdp::new(OEM, xsdt))
}

/// A table of these contents, behind its header.
fn table(signature: [u8; 4], revision: u8, contents: &[u8]) -> Sdt {
    let mut table = Sdt::new(signature, 36, revision, OEM, OEM_TABLE, OEM_REVISION);
    table.append_slice(contents);
    table
}

pub(super) fn bytes_of(aml: &dyn Aml) -> Vec<u8> {
    let mut bytes = Vec::new();
    aml.to_aml_bytes(&mut bytes);
    bytes
}

/// The tables are less than the 64 KiB behind the root pointer.
fn address(base: u64, offset: usize) -> u32 {
    u32::try_from(base + offset as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{Described, RSDP, TABLES, Tables};
    use crate::virtio::SLOTS;
    use crate::{Items, Ram};

    fn sum(bytes: &[u8]) -> u8 {
        bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
    }

    fn described(cpus: u32) -> Described {
        Described { cpus, virtio: SLOTS.to_vec(), has_pci: true }
    }

    fn word(ram: &Ram, at: u64, width: usize) -> u64 {
        let mut bytes = [0; 8];
        ram.read(at, &mut bytes[..width]).unwrap();
        u64::from_le_bytes(bytes)
    }

    /// The table at an address, with its length and sum right.
    fn table(ram: &Ram, at: u64) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(word(ram, at + 4, 4)).unwrap()];
        ram.read(at, &mut bytes).unwrap();
        if !bytes.starts_with(b"FACS") {
            assert_eq!(sum(&bytes), 0, "{:?}", &bytes[..4]);
        }
        bytes
    }

    #[test]
    fn an_operating_system_finds_every_table_from_the_root() {
        let ram = Ram::new(0x10_0000).unwrap();
        Tables::of(described(255)).write(&ram).unwrap();
        let mut root = [0; 36];
        ram.read(RSDP, &mut root).unwrap();
        assert_eq!((&root[..8], sum(&root[..20]), sum(&root)), (b"RSD PTR ".as_slice(), 0, 0));
        let xsdt = word(&ram, RSDP + 24, 8);
        assert!(table(&ram, xsdt).starts_with(b"XSDT"));
        let (fadt, madt) = (word(&ram, xsdt + 36, 8), word(&ram, xsdt + 44, 8));
        assert!(table(&ram, fadt).starts_with(b"FACP"));
        assert!(table(&ram, madt).starts_with(b"APIC"));
        let (facs, dsdt) = (word(&ram, fadt + 36, 4), word(&ram, fadt + 40, 4));
        assert_eq!(facs % 64, 0);
        assert!(table(&ram, facs).starts_with(b"FACS"));
        assert!(table(&ram, dsdt).starts_with(b"DSDT"));
        assert!(TABLES > RSDP && xsdt < 0x10_0000);
    }

    /// What firmware does with the script: the files are put somewhere, and what points into them is moved along.
    #[test]
    fn what_firmware_makes_of_the_script_is_what_is_written_without_firmware() {
        let tables = Tables::of(described(2));
        let items = Items::new(0x10_0000, 2);
        tables.offer(&items).unwrap();
        let (mut root, mut blob) =
            (items.file("etc/acpi/rsdp").unwrap(), items.file("etc/acpi/tables").unwrap());
        let script = items.file("etc/table-loader").unwrap();
        let name = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned();
        let number = |bytes: &[u8]| usize::try_from(u32::from_le_bytes(bytes.try_into().unwrap())).unwrap();
        for entry in script.chunks(128) {
            let (command, rest) = entry.split_at(4);
            let file = if name(&rest[..56]) == "etc/acpi/rsdp" { &mut root } else { &mut blob };
            match number(command) {
                1 => assert!(rest[60] == 1 || rest[60] == 2),
                2 => {
                    assert_eq!(name(&rest[56..112]), "etc/acpi/tables");
                    let (at, width) = (number(&rest[112..116]), usize::from(rest[116]));
                    let mut field = [0; 8];
                    field[..width].copy_from_slice(&file[at..at + width]);
                    let moved = u64::from_le_bytes(field) + TABLES;
                    file[at..at + width].copy_from_slice(&moved.to_le_bytes()[..width]);
                }
                3 => {
                    let [at, first, length] = [0, 4, 8].map(|behind| number(&rest[56 + behind..60 + behind]));
                    file[at] = file[at].wrapping_sub(sum(&file[first..first + length]));
                }
                other => panic!("there is no command {other}"),
            }
        }
        let ram = Ram::new(0x10_0000).unwrap();
        tables.write(&ram).unwrap();
        let mut written = vec![0; blob.len()];
        ram.read(TABLES, &mut written).unwrap();
        assert_eq!(blob, written);
        let mut written = vec![0; root.len()];
        ram.read(RSDP, &mut written).unwrap();
        assert_eq!(root, written);
    }
}
