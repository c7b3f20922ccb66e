//! The bridge to the ISA bus: Intel 82371SB (PIIX3) data sheet (290550), 2.2 and 2.5.6.

use harness::{Outcome, claim, each, equal};

use super::board::Board;

const BRIDGE: u8 = 1 << 3;
const ROUTES: u8 = 0x60;

fn it_is_the_bridge_of_several_functions() -> Outcome {
    let board = Board::of(&["i440fx", "piix3"])?;
    equal(board.configuration(BRIDGE, 0x00), 0x7000_8086)?;
    equal(board.configuration(BRIDGE, 0x08) >> 8, 0x06_01_00)?;
    equal(board.configuration(BRIDGE, 0x0c) >> 16 & 0xff, 0x80)?;
    equal(board.configuration(BRIDGE, ROUTES), 0x8080_8080)
}
claim!(
    it_is_the_bridge_of_several_functions,
    "The PIIX3 is the ISA bridge 8086:7000 and the first of several functions, and leads no PCI interrupt anywhere at first",
    [Manual("Intel 290550 (82371SB), 2.2.1 to 2.2.8 and 2.2.11 PIRQRC[A:D]")]
);

fn interrupts_lead_where_they_are_routed(steps: Vec<(u8, u8, bool)>) -> Outcome {
    let board = Board::of(&["i440fx", "piix3"])?;
    // The first pins of four devices in a row are four different lines.
    let mut pins: Vec<_> = (1..5).map(|device| board.wires.pins.first_of(device)).collect();
    let (mut routes, mut asking) = ([0x80_u8; 4], [false; 4]);
    for (line, route, asks) in steps {
        let line = line % 4;
        let index = usize::from(line);
        board.configure(BRIDGE, ROUTES + line, &[route]);
        pins[index].set(asks);
        (routes[index], asking[index]) = (route & 0x8f, asks);
        equal(board.configuration(BRIDGE, ROUTES).to_le_bytes(), routes)?;
        each(0..16_u8, |gsi| {
            let can_be = ![0, 1, 2, 8, 13].contains(gsi);
            let leads = |(route, asks): (&u8, &bool)| *asks && *route == *gsi && can_be;
            equal(board.is_high(u32::from(*gsi)), routes.iter().zip(&asking).any(leads))
        })?;
    }
    Ok(())
}
claim!(
    interrupts_lead_where_they_are_routed,
    "A PIRQRC register of the PIIX3 leads its PCI interrupt to the ISA interrupt that it names, shared with others, unless bit 7 is set or the number is reserved",
    [Manual("Intel 290550 (82371SB), 2.2.11 PIRQRC[A:D]")]
);

fn the_ports_of_power_management_keep_bytes(bytes: Vec<(bool, u8)>) -> Outcome {
    let board = Board::of(&["piix3"])?;
    let mut kept = [0; 2];
    for (is_status, byte) in bytes {
        board.output(0xb2 + u16::from(is_status), byte);
        kept[usize::from(is_status)] = byte;
        equal([board.input(0xb2), board.input(0xb3)], kept)?;
    }
    Ok(())
}
claim!(
    the_ports_of_power_management_keep_bytes,
    "The control and status ports of advanced power management, 0B2h and 0B3h, each keep the byte that is written",
    [Manual("Intel 290550 (82371SB), 2.5.6.1 APMC and 2.5.6.2 APMS")]
);
