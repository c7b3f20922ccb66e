//! The debug port of Bochs' and QEMU's machines: QEMU, `hw/char/debugcon.c`, its opening comment.

use guests::script::{Op, Script};
use harness::kvm::KVM_CAP_USER_MEMORY;
use harness::{Outcome, claim, equal};
use vmm::IrqChip;

use super::board::Board;
use super::ours;

const PORT: u16 = 0xe9;
/// Where firmware has it.
const OTHER: u16 = 0x402;

fn every_byte_is_heard(text: Vec<u8>) -> Outcome {
    let board = Board::of(&["isa-debugcon"])?;
    for byte in &text {
        equal(board.input(PORT), 0xe9)?;
        board.output(PORT, *byte);
    }
    equal(board.wires.console.take(), text)
}
claim!(
    every_byte_is_heard,
    "The debug port passes every byte on in order, and reads as 0xe9 meanwhile",
    [Doc("QEMU, hw/char/debugcon.c; Bochs, port_e9_hack")]
);

fn a_guest_is_heard(text: Vec<u8>) -> Outcome {
    let script = Script(text.iter().take(64).map(|byte| Op::Out(OTHER, *byte)).collect());
    let told = std::sync::Arc::default();
    let mut machine = ours::machine_and(IrqChip::User, &told, |builder| {
        builder.model_at("isa-debugcon", "debugcon", &[vmm::Region::ports(OTHER, OTHER)])
    })?;
    ours::run(&mut machine, &script, &told)?;
    equal(machine.console().take(), text[..text.len().min(64)].to_vec())
}
claim!(
    a_guest_is_heard,
    "What a guest in our machine writes to the debug port is heard in order, byte by byte",
    [Doc("QEMU, hw/char/debugcon.c; Bochs, port_e9_hack")],
    Has(KVM_CAP_USER_MEMORY)
);
