//! The PCI bus: PCI Firmware Specification 3.0, 4 "PCI services in ACPI", and ACPI specification 6.5, 6.2.12 "_PRS", 6.2.13 "_PRT" and
//! 19.6.64 "Interrupt".

use acpi_tables::Aml;
use acpi_tables::aml::{
    AddressSpace, AddressSpaceCacheable, Device, EISAName, IO, Interrupt, Method, Name, Package, Path,
    ResourceTemplate,
};

use super::tables::bytes_of;
use crate::Ram;
use crate::boot::pci::INTERRUPTS;
use crate::virtio::SLOTS;

/// The devices that are in `\_SB`: what each of the four lines leads to, and the host bridge.
pub(super) fn devices() -> Vec<u8> {
    let links = (0..4).flat_map(link);
    links.chain(bridge()).collect()
}

fn link_name(line: usize) -> String {
    format!("LNK{}", ["A", "B", "C", "D"][line % 4])
}

/// A line, which leads to one interrupt and cannot be led elsewhere.
fn link(line: usize) -> Vec<u8> {
    // Level-triggered, active high as its controllers have it, shared.
    let interrupt = Interrupt::new(true, false, false, true, INTERRUPTS[line].into());
    let resources = ResourceTemplate::new(vec![&interrupt]);
    let hid = Name::new("_HID".into(), &EISAName::new("PNP0C0F"));
    let uid = Name::new("_UID".into(), &u8::try_from(line + 1).unwrap_or(0));
    let possible = Name::new("_PRS".into(), &resources);
    let current = Name::new("_CRS".into(), &resources);
    let set = Method::new("_SRS".into(), 1, false, vec![]);
    let parts: Vec<&dyn Aml> = vec![&hid, &uid, &possible, &current, &set];
    bytes_of(&Device::new(Path::new(&link_name(line)), parts))
}

/// The host bridge, with what functions may decode and where their pins lead.
fn bridge() -> Vec<u8> {
    let hid = Name::new("_HID".into(), &EISAName::new("PNP0A03"));
    let uid = Name::new("_UID".into(), &acpi_tables::aml::ZERO);
    let address = Name::new("_ADR".into(), &acpi_tables::aml::ZERO);
    let slots = (SLOTS[0].address, SLOTS[SLOTS.len() - 1].address + SLOTS[0].length - 1);
    let memory = |first: u32, last: u32| {
        AddressSpace::new_memory(AddressSpaceCacheable::NotCacheable, true, first, last, None)
    };
    let buses = AddressSpace::new_bus_number(0_u16, 0xff);
    let mechanism = IO::new(0xcf8, 0xcf8, 1, 8);
    let low_ports = AddressSpace::new_io(0_u16, 0xcf7, None);
    let high_ports = AddressSpace::new_io(0x0d00_u16, 0xffff, None);
    let hole = u32::try_from(Ram::HOLE).unwrap_or(u32::MAX);
    let video = memory(0xa_0000, 0xb_ffff);
    let (before, behind) = (memory(hole, slots.0 - 1), memory((slots.1 | 0xfff) + 1, IO_APIC - 1));
    let resources =
        ResourceTemplate::new(vec![&buses, &mechanism, &low_ports, &high_ports, &video, &before, &behind]);
    let crs = Name::new("_CRS".into(), &resources);
    let routes = Routes;
    let prt = Name::new("_PRT".into(), &routes);
    let parts: Vec<&dyn Aml> = vec![&hid, &uid, &address, &crs, &prt];
    bytes_of(&Device::new(Path::new("PCI0"), parts))
}

/// Where what functions decode ends.
const IO_APIC: u32 = 0xfec0_0000;

/// Where each pin of each device leads.
struct Routes;

impl Aml for Routes {
    fn to_aml_bytes(&self, sink: &mut dyn acpi_tables::AmlSink) {
        let mut package = acpi_tables::aml::PackageBuilder::new();
        for device in 1..32_u32 {
            for pin in 0..4_u8 {
                let line = usize::try_from(device).unwrap_or(0) + usize::from(pin) + 3;
                let link = Path::new(&link_name(line));
                let address = device << 16 | 0xffff;
                package.add_element(&Package::new(vec![&address, &pin, &link, &acpi_tables::aml::ZERO]));
            }
        }
        package.to_aml_bytes(sink);
    }
}
