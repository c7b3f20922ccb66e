//! What kvm-unit-tests try accesses to BARs with: QEMU, `docs/specs/pci-testdev.rst`.

use harness::{Outcome, claim, equal};
use vmm::Space;

use super::board::Board;

/// A function that may be anywhere is the last device of a board.
const FUNCTION: u8 = 31 << 3;
const MEMORY: u32 = 0xe000_0000;
const PORTS: u32 = 0xc000;
/// Where the header has the offset to write to, the data to write, and the count.
const OFFSET: u64 = 4;
const DATA: u64 = 8;
const COUNT: u64 = 12;

const SOURCE: &str = "QEMU docs/specs/pci-testdev.rst";

fn writes_that_fit_are_counted(at_ports: bool, test: u8, writes: Vec<(bool, bool)>) -> Outcome {
    let board = Board::of(&["i440fx", "pci-testdev"])?;
    board.configure(FUNCTION, 0x10, &MEMORY.to_le_bytes());
    board.configure(FUNCTION, 0x14, &PORTS.to_le_bytes());
    board.configure(FUNCTION, 0x04, &[3]);
    let (space, base) = if at_ports { (Space::Ports, PORTS) } else { (Space::Memory, MEMORY) };
    let base = u64::from(base);
    let test = test % 3;
    let read = |at: u64| {
        let mut word = [0; 4];
        board.bus.read(space, base + at, &mut word);
        u32::from_le_bytes(word)
    };
    board.bus.write(space, base, &[test]);
    let (offset, data) = (u64::from(read(OFFSET)), read(DATA).to_le_bytes()[0]);
    let mut expected = 0;
    for (is_there, is_right) in writes {
        let at = base + if is_there { offset } else { offset + 8 };
        board.bus.write(space, at, &[if is_right { data } else { !data }]);
        expected += u32::from(is_there && (is_right || test == 1));
        equal(read(COUNT), expected)?;
    }
    board.bus.write(space, base, &[test]);
    equal(read(COUNT), 0)
}
claim!(
    writes_that_fit_are_counted,
    "pci-testdev counts the writes to the offset of the test that is selected, at ports and in memory, and begins anew when a test is selected",
    [Doc(SOURCE)]
);

fn it_is_where_its_bars_say(base: u32, is_enabled: bool) -> Outcome {
    let board = Board::of(&["i440fx", "pci-testdev"])?;
    board.configure(FUNCTION, 0x10, &base.to_le_bytes());
    board.configure(FUNCTION, 0x04, &[if is_enabled { 2 } else { 0 }]);
    let base = base & 0xffff_f000;
    equal(board.configuration(FUNCTION, 0x10), base)?;
    let first = u64::from(base);
    // What has a place of its own hides it, and zero is no place.
    let is_seen = is_enabled && first >= 0x10_0000;
    board.bus.write(Space::Memory, first, &[0]);
    let mut name = [0; 4];
    board.bus.read(Space::Memory, first + 16, &mut name);
    equal(&name == b"mmio", is_seen)
}
claim!(
    it_is_where_its_bars_say,
    "pci-testdev answers at the address in its base address register, of which it decodes 4 KiB, while its command register enables memory",
    [Doc(SOURCE), Doc("PCI Local Bus Specification 3.0, 6.2.5.1 Address Maps")]
);
