//! What firmware would tell an operating system about the machine: ACPI specification 6.5, 5.2 "ACPI system description tables".

mod dsdt;
mod fadt;
mod loader;
mod madt;
mod pci;
mod tables;

pub(crate) use tables::{Described, RSDP, Tables};
