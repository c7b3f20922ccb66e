//! Power management of the PIIX4: Intel 82371AB data sheet (290562), 7.1.

use harness::{Outcome, claim, equal};
use vmm::{Access, End, Space};

use super::board::Board;

const FUNCTION: u8 = 1 << 3 | 3;
const BASE: u8 = 0x40;
const ENABLE: u8 = 0x80;

fn registers_are_where_firmware_puts_them(base: u16, is_enabled: bool) -> Outcome {
    let board = Board::of(&["i440fx", "piix4-pm"])?;
    board.configure(FUNCTION, BASE, &(base | 1).to_le_bytes());
    board.configure(FUNCTION, ENABLE, &[is_enabled.into()]);
    equal(board.configuration(FUNCTION, BASE), u32::from(base & 0xffc0 | 1))?;
    let first = u64::from(base & 0xffc0);
    // The host bridge hides what lies at its ports.
    if first == 0 || first == 0xcc0 {
        return Ok(());
    }
    let mut control = [0; 2];
    let access = board.bus.read(Space::Ports, first + 4, &mut control);
    equal(access == Access::Done, is_enabled)?;
    board.bus.write(Space::Ports, first + 4, &[0x00, 0x20]);
    equal(board.wires.power.asked(), is_enabled.then_some(End::PoweredOff))
}
claim!(
    registers_are_where_firmware_puts_them,
    "The PIIX4's power management is at the 64 ports that PMBA names while PMREGMISC enables it, and switches the power off there",
    [Manual("Intel 290562 (82371AB), 7.1.11 PMBA, 7.1.27 PMREGMISC and 7.2.3 PMCNTRL")]
);
