//! Whatever a saved file says of a vCPU and of controllers in the kernel, they are as new after a reset.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod small;

use proptest::prelude::*;
use proptest::sample::Index;
use rstest::rstest;
use small::pc;
use vmm::IrqChip;

#[rstest]
#[case(IrqChip::Kernel)]
#[case(IrqChip::Split)]
fn no_file_spoils_a_vcpu_for_good(#[case] irqchip: IrqChip) {
    let Some(machine) = pc(irqchip, 1) else { return };
    let mut good = Vec::new();
    machine.save(&mut good).unwrap();
    let digits: Vec<usize> = (0..good.len()).filter(|at| good[*at].is_ascii_digit()).collect();
    let changes = proptest::collection::vec((any::<Index>(), b'0'..=b'9'), 1..6);
    let config = ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() };
    proptest::test_runner::TestRunner::new(config)
        .run(&changes, |changes| {
            let mut file = good.clone();
            for (place, digit) in changes {
                file[*place.get(&digits)] = digit;
            }
            let mut machine = pc(irqchip, 1).unwrap();
            // Most are refused, and some are states that a machine can be in.
            let _ = machine.restore(&mut file.as_slice());
            machine.reset().unwrap();
            machine.restore(&mut good.as_slice()).unwrap();
            Ok(())
        })
        .unwrap();
}
