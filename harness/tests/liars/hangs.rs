//! Claims that come to no end: busy, asleep, stopped, in a guest; always, or only with some inputs.

use std::sync::Arc;
use std::thread;

use harness::kvm::{Exit, Memory, Vm};
use harness::{Outcome, claim, equal};
use reports::{Entry, Verdict};
use rustix::process::{Signal, getpid, kill_process};
use serde_json::json;

use crate::cast::{all_gone, send_and_wait};
use crate::stage::{Marks, input, short, tried_with};

crate::tests!(
    a_loop_is_a_hang,
    sleep_is_a_hang,
    a_hang_with_some_inputs_is_shrunk,
    a_stopped_claim_is_a_hang,
    talking_for_ever_is_a_hang,
    a_hang_takes_what_it_started_along;
    with_kvm: a_guest_without_end_is_a_hang,
);

const WHY: &str = "it did not come to an end within 1s";

/// What is said of a claim that hangs; the honest one after it has the same short clock.
fn tried(liar: &str) -> Entry {
    tried_with(liar, &short())
}

fn in_a_loop() -> Outcome {
    loop {
        std::hint::spin_loop();
    }
}
claim!(in_a_loop, "every loop ends", [Observed("nowhere")]);

fn a_loop_is_a_hang() {
    let entry = tried("hangs::in_a_loop");
    assert_eq!((entry.verdict, entry.why.as_deref()), (Verdict::Hang, Some(WHY)));
    assert!((1000.0..2000.0).contains(&entry.ms), "the clock of a second took {} ms", entry.ms);
}

fn asleep() -> Outcome {
    loop {
        thread::park();
    }
}
claim!(asleep, "every sleeper wakes", [Observed("nowhere")]);

fn sleep_is_a_hang() {
    let entry = tried("hangs::asleep");
    let witness = entry.witness.expect("a witness");
    assert_eq!((entry.verdict, entry.why.as_deref()), (Verdict::Hang, Some(WHY)));
    let state = "its process was in state S (sleeping) when the clock ran out";
    assert_eq!(witness.detail.first().map(String::as_str), Some(state));
}

fn with_some(number: u8) -> Outcome {
    if number >= 200 {
        return asleep();
    }
    equal(number, number)
}
claim!(with_some, "no number makes it hang", [Observed("nowhere")]);

fn a_hang_with_some_inputs_is_shrunk() {
    let mut settings = short();
    settings.limits.clock *= 2;
    let entry = tried_with("hangs::with_some", &settings);
    assert_eq!((entry.verdict, input(&entry)), (Verdict::Hang, json!([200])));
    let why = "it did not come to an end within 2s";
    assert_eq!(entry.why.as_deref(), Some(why), "what was found is tried with the whole clock");
    assert_eq!(entry.notes, Vec::<String>::new());
}

fn stopped() -> Outcome {
    kill_process(getpid(), Signal::STOP).expect("a signal");
    equal(1, 1)
}
claim!(stopped, "nobody is stopped", [Observed("nowhere")]);

fn a_stopped_claim_is_a_hang() {
    let entry = tried("hangs::stopped");
    assert_eq!((entry.verdict, entry.why.as_deref()), (Verdict::Hang, Some(WHY)));
    let state = "its process was in state T (stopped) when the clock ran out";
    assert_eq!(entry.witness.expect("a witness").detail.first().map(String::as_str), Some(state));
}

fn talking() -> Outcome {
    loop {
        println!("and another thing");
    }
}
claim!(talking, "everything has been said", [Observed("nowhere")]);

fn talking_for_ever_is_a_hang() {
    let entry = tried("hangs::talking");
    assert_eq!((entry.verdict, entry.why.as_deref()), (Verdict::Hang, Some(WHY)));
}

fn with_company(marks: Marks) -> Outcome {
    send_and_wait(&marks, "company", "loner");
    equal(1, 1)
}
claim!(with_company, "company leaves", [Observed("nowhere")]);

fn a_hang_takes_what_it_started_along() {
    let entry = tried("hangs::with_company");
    assert_eq!(entry.verdict, Verdict::Hang);
    assert_eq!(entry.notes, ["it left 1 process behind, killed now"]);
    all_gone("company");
}

fn in_a_guest(vm: Vm) -> Outcome {
    let memory = Arc::new(Memory::new(0x1000)?);
    // jmp $
    memory.write(0, &[0xeb, 0xfe])?;
    vm.set_memory(0, 0, 0, &memory)?;
    let vcpu = vm.create_vcpu(0)?;
    let mut sregs = vcpu.get_sregs()?;
    (sregs.cs.base, sregs.cs.selector) = (0, 0);
    vcpu.set_sregs(&sregs)?;
    let mut regs = vcpu.get_regs()?;
    regs.rip = 0;
    vcpu.set_regs(&regs)?;
    equal(vcpu.run()?, Exit::Hlt {})
}
claim!(in_a_guest, "every guest halts", [Observed("nowhere")]);

fn a_guest_without_end_is_a_hang() {
    let entry = tried("hangs::in_a_guest");
    assert_eq!((entry.verdict, entry.why.as_deref()), (Verdict::Hang, Some(WHY)));
}
