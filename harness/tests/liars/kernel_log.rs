//! Claims that make the kernel complain. Its log is played by a file, to which the claim adds what a kernel would.

use std::fs;

use harness::runner::Settings;
use harness::{Outcome, claim, equal};
use reports::{Entry, Known, Run, Verdict};

use crate::stage::{HONEST, Marks, entry, run_of, settings};

crate::tests!(
    a_complaint_that_names_a_claim_is_a_fail,
    a_complaint_beside_a_lie_is_told_too,
    a_complaint_beside_a_known_deviation_is_not_known,
    a_complaint_that_names_nobody_is_pinned_alone,
    a_complaint_that_does_not_come_again_is_told_of_the_run,
    a_complaint_that_comes_by_chance_is_nobodys,
    what_a_program_says_is_no_complaint,
);

/// The run of a claim and the honest one beside it, with a log of its own.
fn run_with_log(claim: &str) -> (Entry, Run) {
    run_expecting(claim, vec![])
}

/// The same with expectations.
fn run_expecting(claim: &str, known: Vec<Known>) -> (Entry, Run) {
    let log = Marks::new().path(&format!("log-{claim}"));
    fs::write(&log, "4,1,1,-;WARNING: something before the run\n").expect("a log");
    let name = format!("kernel_log::{claim}");
    let run = run_of(&[&name, HONEST], &Settings { kernel_log: log, workers: 2, known, ..settings() });
    assert_eq!(entry(&run, HONEST).verdict, Verdict::Pass);
    (entry(&run, &name), run)
}

fn complain(marks: &Marks, claim: &str, priority: u32, task: &str) {
    let name = format!("log-{claim}");
    marks.note(&name, format_args!("{priority},2,2,-;------------[ cut here ]------------"));
    marks.note(
        &name,
        format_args!("{priority},3,3,-;WARNING: CPU: 0 PID: 7 at arch/x86/kvm/x86.c:1 liar+0x1/0x2"),
    );
    marks.note(&name, format_args!("{priority},4,4,-;CPU: 0 UID: 0 PID: 7 Comm: {task} Not tainted 6.12.0"));
    marks.note(&name, format_args!("{priority},5,5,-;---[ end trace 0000000000000000 ]---"));
}

fn own_name() -> String {
    fs::read_to_string("/proc/self/comm").unwrap_or_default().trim().to_owned()
}

fn warned(marks: Marks) -> Outcome {
    complain(&marks, "warned", 4, &own_name());
    equal(1, 1)
}
claim!(warned, "the kernel is content", [Observed("nowhere")]);

fn a_complaint_that_names_a_claim_is_a_fail() {
    let (entry, run) = run_with_log("warned");
    let why = "the kernel complained: WARNING: CPU: 0 PID: 7 at arch/x86/kvm/x86.c:1 liar+0x1/0x2";
    assert_eq!((entry.verdict, entry.why.as_deref()), (Verdict::Fail, Some(why)));
    let detail = entry.witness.expect("a witness").detail;
    assert!(detail.iter().any(|line| line.contains("Not tainted")), "{detail:?}");
    assert_eq!(detail.last().map(String::as_str), Some("a WARN_ONCE needs a fresh boot to fire again"));
    assert_eq!(run.notes, Vec::<String>::new());
}

fn warned_and_wrong(marks: Marks) -> Outcome {
    complain(&marks, "warned_and_wrong", 4, &own_name());
    equal(1, 2)
}
claim!(warned_and_wrong, "the kernel is content, and one is two", [Observed("nowhere")]);

fn a_complaint_beside_a_lie_is_told_too() {
    let (entry, _) = run_with_log("warned_and_wrong");
    assert_eq!((entry.verdict, entry.why.as_deref()), (Verdict::Fail, Some("expected 2, saw 1")));
    let detail = entry.witness.expect("a witness").detail;
    assert!(detail[0].starts_with("WARNING:"), "{detail:?}");
}

fn a_complaint_beside_a_known_deviation_is_not_known() {
    let text = "[[known]]\nhost = {}\nverdict = \"fail\"\nwhy = \"so\"\nlink = \"here\"\n\
                seen.\"kernel_log::warned_and_wrong\" = \"1\"\n";
    let (entry, _) = run_expecting("warned_and_wrong", Known::parse("planted.toml", text).expect("one"));
    assert_eq!(entry.verdict, Verdict::Fail);
    let note = "the kernel complained beside it: WARNING: CPU: 0 PID: 7 at arch/x86/kvm/x86.c:1 liar+0x1/0x2";
    assert_eq!(entry.notes, [note]);
}

fn always_warned_by_a_worker(marks: Marks) -> Outcome {
    complain(&marks, "always_warned_by_a_worker", 4, "kworker/0:1");
    equal(1, 1)
}
claim!(always_warned_by_a_worker, "the kernel's workers are content", [Observed("nowhere")]);

fn a_complaint_that_names_nobody_is_pinned_alone() {
    let (entry, run) = run_with_log("always_warned_by_a_worker");
    assert_eq!(entry.verdict, Verdict::Fail);
    assert!(entry.why.is_some_and(|why| why.starts_with("the kernel complained: WARNING:")));
    assert_eq!(run.notes.len(), 1);
}

fn once_warned_by_a_worker(marks: Marks) -> Outcome {
    if marks.lines("once").is_empty() {
        marks.note("once", "warned");
        complain(&marks, "once_warned_by_a_worker", 4, "kworker/0:1");
    }
    equal(1, 1)
}
claim!(once_warned_by_a_worker, "the kernel's workers are content but once", [Observed("nowhere")]);

fn a_complaint_that_does_not_come_again_is_told_of_the_run() {
    let (entry, run) = run_with_log("once_warned_by_a_worker");
    assert_eq!((entry.verdict, entry.why), (Verdict::Pass, None));
    let [note] = run.notes.as_slice() else { panic!("{:?}", run.notes) };
    assert!(note.starts_with("the kernel complained, and named no claim: WARNING: CPU: 0"), "{note}");
}

fn twice_warned_by_a_worker(marks: Marks) -> Outcome {
    if marks.lines("twice").len() < 2 {
        marks.note("twice", "warned");
        complain(&marks, "twice_warned_by_a_worker", 4, "kworker/0:1");
    }
    equal(1, 1)
}
claim!(twice_warned_by_a_worker, "the kernel's workers are content but twice", [Observed("nowhere")]);

fn a_complaint_that_comes_by_chance_is_nobodys() {
    let (entry, run) = run_with_log("twice_warned_by_a_worker");
    assert_eq!((entry.verdict, run.notes.len()), (Verdict::Pass, 1));
}

fn warned_by_a_program(marks: Marks) -> Outcome {
    complain(&marks, "warned_by_a_program", 12, &own_name());
    equal(1, 1)
}
claim!(warned_by_a_program, "programs may say what they like", [Observed("everywhere")]);

fn what_a_program_says_is_no_complaint() {
    let (entry, run) = run_with_log("warned_by_a_program");
    assert_eq!((entry.verdict, entry.why, run.notes), (Verdict::Pass, None, vec![]));
}
