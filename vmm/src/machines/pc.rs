//! A PC: memory around the hole below 4 GiB, interrupt controllers, the chips of the PCI bus, and the
//! devices of the ISA bus.

use crate::{BuildError, Builder, IrqChip};

crate::machine!("pc", "a PC: interrupt controllers, timers, a serial port, a keyboard, a PCI bus", furnish);

/// What every PC has; what QEMU's has only when it is asked for is asked for here as well.
const DEVICES: [&str; 12] = [
    "com1",
    "fw-cfg",
    "i440fx",
    "i8042",
    "i8237",
    "mc146818",
    "piix3",
    "piix3-reset",
    "piix-ide",
    "piix4-pm",
    "port80",
    "port92",
];

fn furnish(builder: Builder) -> Result<Builder, BuildError> {
    let mut builder = builder.acpi().irqchip()?;
    if matches!(builder.irqchip_kind(), IrqChip::User | IrqChip::Split) {
        builder = builder.model("i8259")?.model("ioapic")?;
    }
    if builder.irqchip_kind() == IrqChip::User {
        builder = builder.model("local-apic")?;
    }
    if !builder.has_timer() {
        builder = builder.model("i8254")?;
    }
    for name in DEVICES {
        builder = builder.model(name)?;
    }
    Ok(builder)
}
