//! The host bridge: Intel 82441FX data sheet (290549), 3.1 "I/O mapped registers" and 3.2.

use harness::{Outcome, claim, each, equal};
use vmm::{Access, Space};

use super::board::{Board, fault};

const ADDRESS: u64 = 0xcf8;
const DATA: u64 = 0xcfc;
const BRIDGE: u8 = 0;
const MECHANISM: &str = "Intel 290549 (82441FX), 3.1.1 CONFADD and 3.1.2 CONFDATA; PCI 2.1, 3.7.4.1";
const SHADOW: &str = "Intel 290549 (82441FX), 3.2.14 PAM[0:6]";

fn the_address_is_four_bytes(values: Vec<u32>, at: u8, byte: u8) -> Outcome {
    let board = Board::of(&["i440fx"])?;
    for value in values {
        equal(board.bus.write(Space::Ports, ADDRESS, &value.to_le_bytes()), Access::Done)?;
        board.bus.write(Space::Ports, ADDRESS + u64::from(at % 4), &[byte]);
        let mut seen = [0; 4];
        board.bus.read(Space::Ports, ADDRESS, &mut seen);
        equal(u32::from_le_bytes(seen), value & 0x80ff_fffc)?;
    }
    Ok(())
}
claim!(
    the_address_is_four_bytes,
    "Port 0CF8h of the i440fx keeps an address that is written in four bytes at once, without its reserved bits, and takes no single byte",
    [Manual(MECHANISM)]
);

fn nobody_reads_as_ones(function: u8, register: u8, is_enabled: bool) -> Outcome {
    let board = Board::of(&["i440fx"])?;
    let address = u32::from(is_enabled) << 31 | u32::from(function) << 8 | u32::from(register & !3);
    board.bus.write(Space::Ports, ADDRESS, &address.to_le_bytes());
    let mut seen = [0; 4];
    board.bus.read(Space::Ports, DATA, &mut seen);
    let is_bridge = is_enabled && function == BRIDGE;
    equal(seen == [0xff; 4], !is_bridge)
}
claim!(
    nobody_reads_as_ones,
    "Where there is no function, or without the enable bit, port 0CFCh of the i440fx reads as all ones",
    [Manual(MECHANISM)]
);

fn firmware_knows_it() -> Outcome {
    let board = Board::of(&["i440fx"])?;
    equal(board.configuration(BRIDGE, 0x00), 0x1237_8086)?;
    equal(board.configuration(BRIDGE, 0x08) >> 8, 0x06_00_00)?;
    equal(board.configuration(BRIDGE, 0x2c), 0x1100_1af4)
}
claim!(
    firmware_knows_it,
    "The i440fx is the host bridge 8086:1237, of the subsystem 1af4:1100 by which SeaBIOS knows a virtual machine",
    [
        Manual("Intel 290549 (82441FX), 3.2.1 VID and 3.2.2 DID"),
        Doc("SeaBIOS src/fw/paravirt.c, qemu_preinit")
    ]
);

/// Where each segment is, which register has its bits, and how far up: PAM0 has the last in its upper half.
fn segments() -> Vec<(u64, u8, u8)> {
    let small =
        (0..12_u8).map(|number| (0xc_0000 + 0x4000 * u64::from(number), 0x5a + number / 2, number % 2 * 4));
    small.chain([(0xf_0000, 0x59, 4)]).collect()
}

fn shadow_ram_is_as_its_bits_say(registers: [u8; 7], offset: u16) -> Outcome {
    let board = Board::with(&["i440fx"], |wires| wires.ram.burn(&vec![0xb5; 0x4_0000]).map_err(fault))?;
    for (register, byte) in (0x59..).zip(registers) {
        board.configure(BRIDGE, register, &[byte]);
    }
    each(segments(), |&(first, register, shift)| {
        let address = first + u64::from(offset & 0x3fff);
        board.wires.ram.write(address, &[0x11]).map_err(fault)?;
        let bits = registers[usize::from(register - 0x59)] >> shift & 0b11;
        let elsewhere = if address >= 0xe_0000 { 0xb5 } else { 0xff };
        equal(board.byte(address), if bits & 1 != 0 { 0x11 } else { elsewhere })?;
        board.bus.write(Space::Memory, address, &[0x77]);
        let mut kept = [0];
        board.wires.ram.read(address, &mut kept).map_err(fault)?;
        equal(kept[0], if bits & 2 != 0 { 0x77 } else { 0x11 })?;
        equal(board.byte(address), if bits & 1 != 0 { kept[0] } else { elsewhere })
    })
}
claim!(
    shadow_ram_is_as_its_bits_say,
    "Each segment of the i440fx from 768 KiB to 1 MiB is read from RAM or from ROM, and written to RAM or not, as its two bits say",
    [Manual(SHADOW)]
);

fn what_is_locked_stays_closed(values: Vec<u8>) -> Outcome {
    let board = Board::of(&["i440fx"])?;
    board.wires.ram.write(0xa_0000, &[0x11]).map_err(fault)?;
    let mut is_locked = false;
    for value in values {
        board.configure(BRIDGE, 0x72, &[value]);
        is_locked |= value & 0x10 != 0;
        let seen = board.configuration(BRIDGE, 0x70) >> 16 & 0xff;
        equal(seen & 0x10 != 0, is_locked)?;
        let is_open = value & 0x40 != 0 && !is_locked;
        equal(seen & 0x40 != 0, is_open)?;
        equal(board.byte(0xa_0000), if is_open { 0x11 } else { 0xff })?;
    }
    Ok(())
}
claim!(
    what_is_locked_stays_closed,
    "The i440fx shows RAM at 640 KiB while D_OPEN is set, and once D_LCK is set, neither can be changed until a reset",
    [Manual("Intel 290549 (82441FX), 3.2.20 SMRAM")]
);
