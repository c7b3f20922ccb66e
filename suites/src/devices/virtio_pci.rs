//! Virtio devices on the PCI bus: virtio 1.2, 4.1.

use harness::{Outcome, Stop, claim, each, equal, holds};
use vmm::{Space, virtio};

use super::board::{Board, fault};

/// The device that it is on the bus, and that as a function.
const DEVICE: u8 = 3;
const FUNCTION: u8 = DEVICE << 3;
const REGISTERS: u64 = 0xe000_0000;

/// A board with a device of this model, whose registers are mapped.
fn board(model: &str) -> Result<Board, Stop> {
    let mut board = Board::of(&["i440fx", "piix3"])?;
    let class = virtio::model_class(model).ok_or_else(|| fault(format!("there is no model {model}")))?;
    let (device, region) = virtio::on_bus((class.make)(&board.wires), DEVICE, &board.wires);
    board.bus.add(model, device, &[region]).map_err(fault)?;
    board.configure(FUNCTION, 0x20, &u32::try_from(REGISTERS).unwrap_or(0).to_le_bytes());
    board.configure(FUNCTION, 0x04, &[0x06]);
    Ok(board)
}

fn models() -> Vec<&'static str> {
    virtio::model_classes().into_iter().map(|class| class.name).collect()
}

/// A register of so many bytes.
fn read(board: &Board, at: u64, width: usize) -> u64 {
    let mut bytes = [0; 8];
    board.bus.read(Space::Memory, REGISTERS + at, &mut bytes[..width]);
    u64::from_le_bytes(bytes)
}

fn write(board: &Board, at: u64, value: u64, width: usize) {
    board.bus.write(Space::Memory, REGISTERS + at, &value.to_le_bytes()[..width]);
}

fn each_is_known_by_its_type() -> Outcome {
    each(models(), |model| {
        let board = board(model)?;
        let class = virtio::model_class(model).map_or(0, |class| (class.make)(&board.wires).id());
        equal(board.configuration(FUNCTION, 0), (0x1040 + class) << 16 | 0x1af4)?;
        holds(board.configuration(FUNCTION, 8) & 0xff >= 1, "the revision is 1 or higher")
    })
}
claim!(
    each_is_known_by_its_type,
    "Every virtio device on the PCI bus is of vendor 1AF4h, has the device ID 1040h and its type, and a revision of 1 or higher",
    [Doc("virtio 1.2, 4.1.2 PCI Device Discovery")]
);

fn there_is_a_place_for_every_kind_of_register() -> Outcome {
    each(models(), |model| {
        let board = board(model)?;
        let (mut kinds, mut at) = (Vec::new(), board.configuration(FUNCTION, 0x34).to_le_bytes()[0]);
        while at != 0 && kinds.len() < 48 {
            let [id, next, length, kind] = board.configuration(FUNCTION, at).to_le_bytes();
            if id == 0x09 {
                holds(length >= 16, "a capability holds where registers are")?;
                kinds.push(kind);
            }
            at = next;
        }
        kinds.sort_unstable();
        equal(kinds, vec![1, 2, 3, 4, 5])
    })
}
claim!(
    there_is_a_place_for_every_kind_of_register,
    "Every virtio device on the PCI bus has one capability for each of the common, notification, ISR and device registers, and for access by configuration",
    [Doc("virtio 1.2, 4.1.4 Virtio Structure PCI Capabilities")]
);

fn a_reset_forgets_what_was_set_up(size: u16, vector: u16, addresses: [u32; 6]) -> Outcome {
    each(models(), |model| {
        let board = board(model)?;
        let registers: Vec<(u64, usize)> = [(0x10, 2), (0x18, 2), (0x1a, 2)]
            .into_iter()
            .chain((0..6).map(|word| (0x20 + 4 * word, 4)))
            .collect();
        let seen = || registers.iter().map(|(at, width)| read(&board, *at, *width)).collect::<Vec<_>>();
        let fresh = seen();
        write(&board, 0x14, 3, 1);
        write(&board, 0x18, size.into(), 2);
        write(&board, 0x1a, vector.into(), 2);
        for (word, address) in (0..).zip(addresses) {
            write(&board, 0x20 + 4 * word, address.into(), 4);
            equal(read(&board, 0x20 + 4 * word, 4), address.into())?;
        }
        let count = read(&board, 0x12, 2);
        let vector = u64::from(vector);
        equal(read(&board, 0x1a, 2), if vector <= count { vector } else { 0xffff })?;
        write(&board, 0x14, 0, 1);
        equal((read(&board, 0x14, 1), seen()), (0, fresh))
    })
}
claim!(
    a_reset_forgets_what_was_set_up,
    "A virtio device on the PCI bus keeps the addresses of a queue and a vector that it has, reads another vector as none, and forgets both when its status is reset",
    [
        Doc("virtio 1.2, 4.1.4.3 Common configuration structure layout"),
        Doc("virtio 1.2, 4.1.5.1.2 MSI-X Vector Configuration")
    ]
);

fn features_must_be_those_offered(extra: u8) -> Outcome {
    each(models(), |model| {
        let board = board(model)?;
        let accept = |extra: u64| {
            write(&board, 0x14, 0, 1);
            write(&board, 0x14, 3, 1);
            for half in 0..2_u64 {
                write(&board, 0x00, half, 4);
                write(&board, 0x08, half, 4);
                write(&board, 0x0c, read(&board, 0x04, 4) | extra >> (32 * half) & 0xffff_ffff, 4);
            }
            write(&board, 0x14, 0xb, 1);
            read(&board, 0x14, 1) & 8 != 0
        };
        holds(accept(0), "what is offered can be accepted")?;
        write(&board, 0x00, u64::from(extra % 64 / 32), 4);
        let bit = 1_u64 << (extra % 64);
        let is_offered = read(&board, 0x04, 4) >> (extra % 32) & 1 != 0;
        equal(accept(bit), is_offered)
    })
}
claim!(
    features_must_be_those_offered,
    "A virtio device on the PCI bus keeps FEATURES_OK when a driver accepts what it offers, and does not with any feature more",
    [
        Doc("virtio 1.2, 2.2.2 Device Requirements: Feature Bits"),
        Doc("virtio 1.2, 3.1.1 Driver Requirements: Device Initialization")
    ]
);
