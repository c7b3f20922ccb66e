//! Claims that kill a kernel at once, between claims that hold.

use std::fs;

use harness::{Outcome, claim, equal};

fn a_holds() -> Outcome {
    equal(1 + 1, 2)
}
claim!(a_holds, "One and one are two", [Observed("in the first place")]);

fn b_panics_the_kernel() -> Outcome {
    sysrq("c")
}
claim!(b_panics_the_kernel, "The kernel survives a panic", [Observed("never")], Lab);

fn c_resets_the_machine() -> Outcome {
    sysrq("b")
}
claim!(c_resets_the_machine, "The kernel survives a reset", [Observed("never")], Lab);

fn d_holds_too() -> Outcome {
    equal(2 + 2, 4)
}
claim!(d_holds_too, "Two and two are four", [Observed("in the last place")]);

fn sysrq(command: &str) -> Outcome {
    let written = fs::write("/proc/sysrq-trigger", command);
    equal(written.is_ok(), false)
}
