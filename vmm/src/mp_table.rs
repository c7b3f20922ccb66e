//! Processors and interrupts, for operating systems without ACPI: Intel MultiProcessor Specification 1.4, chapter 4. Firmware makes a
//! table of its own; without firmware this one is there.

use crate::acpi::Described;
use crate::boot::pci::INTERRUPTS;
use crate::{MemoryError, Ram};

/// Where the floating pointer structure is, which is looked for from 0xF0000 on: 4.
const POINTER: u64 = 0xf_8000;
const TABLE: u64 = POINTER + 0x10;
const REVISION: u8 = 4;

const LOCAL_APIC: u32 = 0xfee0_0000;
const LOCAL_APIC_VERSION: u8 = 0x14;
const IO_APIC: u32 = 0xfec0_0000;
const IO_APIC_VERSION: u8 = 0x20;

/// Types of entries: table 4-3.
const PROCESSOR: u8 = 0;
const BUS: u8 = 1;
const IOAPIC: u8 = 2;
const INTERRUPT: u8 = 3;
const LOCAL_INTERRUPT: u8 = 4;

const ENABLED: u8 = 1;
const BOOTSTRAP: u8 = 2;
/// Types of interrupts: 4.3.4.
const INT: u8 = 0;
const NMI: u8 = 1;
const EXT_INT: u8 = 3;
const AS_ITS_BUS_SAYS: u16 = 0;
const HIGH_AND_LEVEL: u16 = 0b1101;
/// A processor that tells of a local APIC and of no more.
const SIGNATURE: u32 = 0x600;
const FEATURES: u32 = 0x201;

/// The numbers of the buses.
const PCI: u8 = 0;
const ISA: u8 = 1;
const ALL: u8 = 0xff;
/// The timer's, which the IOAPIC has at another pin, and that of ACPI.
const TIMER: (u8, u8) = (0, 2);
const SCI: u8 = 9;

/// Writes the table where an operating system looks for it.
pub(crate) fn write(described: &Described, ram: &Ram) -> Result<(), MemoryError> {
    ram.write(POINTER, &pointer())?;
    ram.write(TABLE, &table(&entries(described)))
}

/// 4.1 "MP Floating Pointer Structure": there is a table, and the APICs need no switch.
fn pointer() -> Vec<u8> {
    let address = u32::try_from(TABLE).unwrap_or(0).to_le_bytes();
    summed([&b"_MP_"[..], &address, &[1, REVISION, 0], &[0; 5]].concat(), 10)
}

/// 4.2 "MP Configuration Table Header", and all entries.
fn table(entries: &[Vec<u8>]) -> Vec<u8> {
    const HEADER: usize = 44;
    let body = entries.concat();
    let count = |number: usize| u16::try_from(number).unwrap_or(u16::MAX).to_le_bytes();
    let header = [
        &b"PCMP"[..],
        &count(HEADER + body.len()),
        &[REVISION, 0],
        b"ASSAY   ",
        b"ASSAY PC    ",
        &[0; 6],
        &count(entries.len()),
        &LOCAL_APIC.to_le_bytes(),
        &[0; 4],
    ];
    summed([header.concat(), body].concat(), 7)
}

/// 4.3 "Base MP Configuration Table Entries", in the order of their types.
fn entries(described: &Described) -> Vec<Vec<u8>> {
    let processor = |id: u8| {
        let flags = if id == 0 { ENABLED | BOOTSTRAP } else { ENABLED };
        let identity = [SIGNATURE.to_le_bytes(), FEATURES.to_le_bytes()].concat();
        [&[PROCESSOR, id, LOCAL_APIC_VERSION, flags][..], &identity, &[0; 8]].concat()
    };
    let bus = |id: u8, name: &[u8; 6]| [&[BUS, id][..], name].concat();
    let cpus = usize::try_from(described.cpus).unwrap_or(usize::MAX);
    let mut entries: Vec<_> = (0..=u8::MAX).take(cpus).map(processor).collect();
    if described.has_pci {
        entries.push(bus(PCI, b"PCI   "));
    }
    entries.push(bus(ISA, b"ISA   "));
    entries.push([&[IOAPIC, 0, IO_APIC_VERSION, ENABLED][..], &IO_APIC.to_le_bytes()].concat());
    entries.extend(interrupts(described.has_pci));
    let local = |kind, pin| vec![LOCAL_INTERRUPT, kind, 0, 0, ISA, 0, ALL, pin];
    entries.extend([local(EXT_INT, 0), local(NMI, 1)]);
    entries
}

/// What leads to the IOAPIC's pins.
fn interrupts(has_pci: bool) -> Vec<Vec<u8>> {
    let entry = |flags: u16, bus: u8, from: u8, pin: u8| {
        let [low, high] = flags.to_le_bytes();
        vec![INTERRUPT, INT, low, high, bus, from, 0, pin]
    };
    let is_level = |irq: u8| irq == SCI || has_pci && INTERRUPTS.contains(&irq);
    let isa = (0..16).filter(|irq| *irq != TIMER.1).map(|irq| {
        let flags = if is_level(irq) { HIGH_AND_LEVEL } else { AS_ITS_BUS_SAYS };
        entry(flags, ISA, irq, if irq == TIMER.0 { TIMER.1 } else { irq })
    });
    // Each device's pins are turned by one against those of the device before.
    let pci = (0..32u8).flat_map(|device| (0..4u8).map(move |pin| (device, pin))).map(|(device, pin)| {
        let line = usize::from((device + pin).wrapping_sub(1) % 4);
        entry(HIGH_AND_LEVEL, PCI, device << 2 | pin, INTERRUPTS[line])
    });
    isa.chain(pci.filter(|_| has_pci)).collect()
}

/// The bytes with their sum made zero by the one at this place.
fn summed(mut bytes: Vec<u8>, at: usize) -> Vec<u8> {
    bytes[at] = bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)).wrapping_neg();
    bytes
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn sum(bytes: &[u8]) -> u8 {
        bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
    }

    #[rstest]
    #[case::without_pci(1, false, [1, 1, 1, 15, 2])]
    #[case::as_many_as_there_can_be(255, true, [255, 2, 1, 15 + 128, 2])]
    fn an_operating_system_finds_every_entry(
        #[case] cpus: u32,
        #[case] has_pci: bool,
        #[case] expected: [usize; 5],
    ) {
        let ram = Ram::new(0x10_0000).unwrap();
        write(&Described { cpus, has_pci, ..Described::default() }, &ram).unwrap();
        let mut pointer = [0; 16];
        ram.read(POINTER, &mut pointer).unwrap();
        assert_eq!((&pointer[..4], sum(&pointer)), (&b"_MP_"[..], 0));
        let at = u32::from_le_bytes(pointer[4..8].try_into().unwrap());
        let mut header = [0; 44];
        ram.read(at.into(), &mut header).unwrap();
        let mut table = vec![0; u16::from_le_bytes([header[4], header[5]]).into()];
        ram.read(at.into(), &mut table).unwrap();
        assert_eq!((&table[..4], sum(&table)), (&b"PCMP"[..], 0));
        let (mut rest, mut counts) = (&table[44..], [0; 5]);
        while let [kind, ..] = rest {
            counts[usize::from(*kind)] += 1;
            rest = &rest[if *kind == PROCESSOR { 20 } else { 8 }..];
        }
        assert_eq!(counts, expected);
        let count = u16::from_le_bytes([header[34], header[35]]);
        assert_eq!(usize::from(count), expected.iter().sum::<usize>());
    }
}
