//! Claims that take more memory than they may, with a control group around them and without.

use harness::runner::Settings;
use harness::{Outcome, claim, equal};
use reports::Verdict;
use serde_json::json;

use crate::cast::send_and_wait;
use crate::stage::{Marks, input, settings, tried_with};

crate::tests!(
    hoarding_is_a_crash,
    hoarding_with_some_inputs_is_shrunk,
    a_hoarding_child_is_a_crash,
    memory_that_is_shared_counts_once,
);

const WHY: &str = "it took more than 128 MiB of memory";

/// With a control group where one can be made, and without any.
fn both_ways() -> [Settings; 2] {
    [true, false].map(|control_groups| Settings { control_groups, ..settings() })
}

/// Takes memory and keeps it, for as long as it is let: where it is only watched, a busy host may look late.
fn hoard() -> ! {
    let hoard = vec![1_u8; 1 << 30];
    std::hint::black_box(&hoard);
    loop {
        std::thread::park();
    }
}

fn by_the_claim() -> Outcome {
    hoard()
}
claim!(by_the_claim, "there is memory for everybody", [Observed("nowhere")]);

fn hoarding_is_a_crash() {
    for settings in both_ways() {
        let entry = tried_with("memory::by_the_claim", &settings);
        let grouped = settings.control_groups;
        assert_eq!((entry.verdict, entry.why.as_deref()), (Verdict::Crash, Some(WHY)), "grouped: {grouped}");
    }
}

fn with_some(number: u8) -> Outcome {
    if number >= 99 {
        hoard();
    }
    equal(number, number)
}
claim!(with_some, "no number takes much memory", [Observed("nowhere")]);

fn hoarding_with_some_inputs_is_shrunk() {
    for settings in both_ways() {
        let entry = tried_with("memory::with_some", &settings);
        assert_eq!((entry.verdict, entry.why.as_deref()), (Verdict::Crash, Some(WHY)));
        assert_eq!(input(&entry), json!([99]), "grouped: {}", settings.control_groups);
    }
}

fn by_a_child(marks: Marks) -> Outcome {
    send_and_wait(&marks, "hoarder", "hoarder");
    equal(1, 1)
}
claim!(by_a_child, "a child takes little", [Observed("nowhere")]);

fn a_hoarding_child_is_a_crash() {
    for settings in both_ways() {
        let entry = tried_with("memory::by_a_child", &settings);
        let grouped = settings.control_groups;
        assert_eq!((entry.verdict, entry.why.as_deref()), (Verdict::Crash, Some(WHY)), "grouped: {grouped}");
    }
}

fn with_a_copy() -> Outcome {
    let hoard = vec![1_u8; 90 << 20];
    std::hint::black_box(&hoard);
    let ended = harness::process::in_child(|| std::thread::sleep(std::time::Duration::from_millis(100)))?;
    equal(ended, harness::process::Ended::Returned(()))
}
claim!(with_a_copy, "a copy costs nothing", [Observed("everywhere")]);

fn memory_that_is_shared_counts_once() {
    for settings in both_ways() {
        let entry = tried_with("memory::with_a_copy", &settings);
        assert_eq!((entry.verdict, entry.why), (Verdict::Pass, None), "grouped: {}", settings.control_groups);
    }
}
