//! The fixed registers: ACPI specification 6.5, 5.2.9 "Fixed ACPI Description Table (FADT)".

use std::mem::offset_of;

use acpi_tables::fadt::{FADTBuilder, Flags, PmProfile};
use acpi_tables::gas::{AccessSize, AddressSpace, GAS};

use super::tables::{OEM, OEM_TABLE, bytes_of};
use crate::devices::{piix3_reset, piix4_pm};

/// The interrupt of power management.
pub(super) const SCI: u8 = piix4_pm::SCI;
/// Where in the table the addresses of the FACS and of the DSDT are.
pub(super) const FIRMWARE_CTRL: usize = offset_of!(FADTBuilder, firmware_ctrl);
pub(super) const DSDT: usize = offset_of!(FADTBuilder, dsdt);

/// There are no such states of a processor.
const NO_C2: u16 = 101;
const NO_C3: u16 = 1001;
/// Of the architecture flags: devices on an ISA bus, a keyboard controller, no VGA.
const LEGACY_DEVICES: u16 = 1;
const KEYBOARD: u16 = 1 << 1;
const NO_VGA: u16 = 1 << 2;
/// Where the clock has the century.
const CENTURY: u8 = 0x32;

/// The table.
pub(super) fn table(facs: u32, dsdt: u32) -> Vec<u8> {
    let mut table = FADTBuilder::new(OEM, OEM_TABLE, 1)
        .firmware_ctrl_32(facs)
        .dsdt_32(dsdt)
        .preferred_pm_profile(PmProfile::Unspecified)
        // Neither button is one of the fixed registers.
        .flag(Flags::PwrButton)
        .flag(Flags::SlpButton)
        .flag(Flags::Wbinvd)
        .flag(Flags::ProcC1)
        .flag(Flags::FixRtc)
        .flag(Flags::ResetRegSup);
    // Without a port for commands the machine is in ACPI mode from the beginning: 4.8.2.5.
    table.sci_int = u16::from(SCI).into();
    table.pm1a_evt_blk = u32::from(piix4_pm::EVENT).into();
    table.pm1a_cnt_blk = u32::from(piix4_pm::CONTROL).into();
    table.pm_tmr_blk = u32::from(piix4_pm::TIMER).into();
    (table.pm1_evt_len, table.pm1_cnt_len, table.pm_tmr_len) = (4, 2, 4);
    (table.p_lvl2_lat, table.p_lvl3_lat) = (NO_C2.into(), NO_C3.into());
    table.century = CENTURY;
    table.iapc_boot_arch = (LEGACY_DEVICES | KEYBOARD | NO_VGA).into();
    table.reset_reg =
        GAS::new(AddressSpace::SystemIo, 8, 0, AccessSize::ByteAccess, piix3_reset::PORT.into());
    table.reset_value = piix3_reset::HARD_RESET;
    bytes_of(&table.finalize())
}
