//! Processors and interrupt controllers: ACPI specification 6.5, 5.2.12 "Multiple APIC Description Table (MADT)".

use acpi_tables::madt::{EnabledStatus, IoApic, ProcessorLocalApic};

use super::tables::{Described, bytes_of};
use crate::boot::pci::INTERRUPTS;

const LOCAL_APIC: u32 = 0xfee0_0000;
const IO_APIC: u32 = 0xfec0_0000;
/// Of the flags: there is a pair of i8259 as well, which is to be masked.
const PCAT_COMPAT: u32 = 1;

/// An interrupt that the IOAPIC has elsewhere, or otherwise: 5.2.12.5.
const SOURCE_OVERRIDE: u8 = 2;
const AS_ITS_BUS_SAYS: u16 = 0;
const HIGH_AND_LEVEL: u16 = 0b1101;
/// What leads to LINT1 of every processor: 5.2.12.7.
const LOCAL_APIC_NMI: u8 = 4;

/// All behind the header.
pub(super) fn contents(described: &Described) -> Vec<u8> {
    let mut contents = LOCAL_APIC.to_le_bytes().to_vec();
    contents.extend(PCAT_COMPAT.to_le_bytes());
    for cpu in (0..=u8::MAX).take(usize::try_from(described.cpus).unwrap_or(0)) {
        contents.extend(bytes_of(&ProcessorLocalApic::new(cpu, cpu, EnabledStatus::Enabled)));
    }
    contents.extend(bytes_of(&IoApic::new(0, IO_APIC, 0)));
    contents.extend(source_override(0, 2, AS_ITS_BUS_SAYS));
    contents.extend(source_override(super::fadt::SCI, super::fadt::SCI.into(), HIGH_AND_LEVEL));
    if described.has_pci {
        let [first, _, second, _] = INTERRUPTS;
        for irq in [first, second] {
            contents.extend(source_override(irq, irq.into(), HIGH_AND_LEVEL));
        }
    }
    contents.extend([LOCAL_APIC_NMI, 6, 0xff, 0, 0, 1]);
    contents
}

fn source_override(irq: u8, gsi: u32, flags: u16) -> Vec<u8> {
    [&[SOURCE_OVERRIDE, 10, 0, irq][..], &gsi.to_le_bytes(), &flags.to_le_bytes()].concat()
}
