//! Claims that die: by a panic, by a signal, by leaving in the middle; always, or only with some inputs.

use std::os::unix::process::CommandExt;
use std::process::Command;

use harness::{Broken, Outcome, claim, equal};
use reports::Verdict;
use rustix::process::{Signal, getpid, kill_process};
use serde_json::json;

use crate::stage::{input, line, tried};

crate::tests!(
    a_panic_is_a_crash,
    a_panic_behind_much_output_is_told,
    a_panic_with_some_inputs_is_shrunk,
    a_panic_in_a_thread_that_is_joined_is_told,
    leaving_is_a_crash,
    leaving_with_success_is_a_crash,
    leaving_as_a_panic_does_is_no_panic,
    becoming_another_program_is_a_crash,
    a_signal_is_a_crash,
    an_abort_with_some_inputs_is_shrunk,
    a_stack_without_end_is_a_crash,
);

fn by_panic() -> Outcome {
    panic!("the moon is green") // panics
}
claim!(by_panic, "nothing panics", [Observed("nowhere")]);

fn a_panic_is_a_crash() {
    let entry = tried("crashes::by_panic");
    assert_eq!(entry.verdict, Verdict::Crash);
    assert_eq!(entry.why.as_deref(), Some("it panicked: the moon is green"));
    assert_eq!(entry.witness.expect("a witness").at, line(file!(), include_str!("crashes.rs"), "panics"));
    assert!(entry.notes[0].contains("the moon is green"), "{:?}", entry.notes);
}

fn by_panic_behind_much_output() -> Outcome {
    struct Talkative;
    impl Drop for Talkative {
        fn drop(&mut self) {
            println!("{}", "blah ".repeat(10_000));
        }
    }
    let _talkative = Talkative;
    panic!("at the end of a long story")
}
claim!(by_panic_behind_much_output, "nothing panics at length", [Observed("nowhere")]);

fn a_panic_behind_much_output_is_told() {
    let entry = tried("crashes::by_panic_behind_much_output");
    assert_eq!(entry.verdict, Verdict::Crash);
    assert_eq!(entry.why.as_deref(), Some("it panicked: at the end of a long story"));
}

fn by_index(index: u16) -> Outcome {
    let table = [0_u8; 500];
    equal(table[usize::from(index)], 0)
}
claim!(by_index, "every index lies within the table", [Observed("nowhere")]);

fn a_panic_with_some_inputs_is_shrunk() {
    let entry = tried("crashes::by_index");
    assert_eq!((entry.verdict, input(&entry)), (Verdict::Crash, json!([500])));
    let why = "it panicked: index out of bounds: the len is 500 but the index is 500";
    assert_eq!(entry.why.as_deref(), Some(why));
}

fn by_thread() -> Outcome {
    let thread = std::thread::spawn(|| panic!("in another thread"));
    thread.join().map_err(|_| Broken::new("the thread panicked"))?;
    equal(1, 1)
}
claim!(by_thread, "no thread panics", [Observed("nowhere")]);

fn a_panic_in_a_thread_that_is_joined_is_told() {
    let entry = tried("crashes::by_thread");
    assert_eq!((entry.verdict, entry.why.as_deref()), (Verdict::Fail, Some("the thread panicked")));
    assert!(entry.notes[0].contains("in another thread"), "{:?}", entry.notes);
}

fn by_leaving() -> Outcome {
    std::process::exit(7)
}
claim!(by_leaving, "nobody leaves", [Observed("nowhere")]);

fn leaving_is_a_crash() {
    let entry = tried("crashes::by_leaving");
    let why = "its process exited with status 7 in the middle of the claim";
    assert_eq!((entry.verdict, entry.why.as_deref()), (Verdict::Crash, Some(why)));
}

fn by_leaving_content(number: u16) -> Outcome {
    if number >= 300 {
        std::process::exit(0);
    }
    equal(number, number)
}
claim!(by_leaving_content, "nobody leaves content", [Observed("nowhere")]);

fn leaving_with_success_is_a_crash() {
    let entry = tried("crashes::by_leaving_content");
    let why = "its process exited with status 0 in the middle of the claim";
    assert_eq!((entry.verdict, entry.why.as_deref()), (Verdict::Crash, Some(why)));
    assert_eq!(input(&entry), json!([300]));
}

fn by_leaving_as_if_in_panic() -> Outcome {
    std::process::exit(101)
}
claim!(by_leaving_as_if_in_panic, "nobody feigns a panic", [Observed("nowhere")]);

fn leaving_as_a_panic_does_is_no_panic() {
    let entry = tried("crashes::by_leaving_as_if_in_panic");
    let why = "its process exited with status 101 in the middle of the claim";
    assert_eq!((entry.verdict, entry.why.as_deref()), (Verdict::Crash, Some(why)));
}

fn by_becoming_another() -> Outcome {
    let error = Command::new("/bin/true").exec();
    Err(Broken::new(error.to_string()).into())
}
claim!(by_becoming_another, "everybody stays what he is", [Observed("nowhere")]);

fn becoming_another_program_is_a_crash() {
    let entry = tried("crashes::by_becoming_another");
    let why = "its process exited with status 0 in the middle of the claim";
    assert_eq!((entry.verdict, entry.why.as_deref()), (Verdict::Crash, Some(why)));
}

fn by_signal() -> Outcome {
    println!("last words");
    kill_process(getpid(), Signal::ILL).expect("a signal");
    equal(1, 1)
}
claim!(by_signal, "no signal comes", [Observed("nowhere")]);

fn a_signal_is_a_crash() {
    let entry = tried("crashes::by_signal");
    let why = "its process was killed by SIGILL";
    assert_eq!((entry.verdict, entry.why.as_deref()), (Verdict::Crash, Some(why)));
    assert_eq!(entry.notes, ["it printed: last words"]);
}

fn by_abort(number: u32) -> Outcome {
    if number >= 54_321 {
        std::process::abort();
    }
    equal(number, number)
}
claim!(by_abort, "no number aborts", [Observed("nowhere")]);

fn an_abort_with_some_inputs_is_shrunk() {
    let entry = tried("crashes::by_abort");
    let why = "its process was killed by SIGABRT";
    assert_eq!((entry.verdict, entry.why.as_deref()), (Verdict::Crash, Some(why)));
    assert_eq!(input(&entry), json!([54_321]));
}

fn by_descending() -> Outcome {
    fn descend(depth: u64) -> u64 {
        if std::hint::black_box(depth) == u64::MAX { 0 } else { descend(depth + 1) + 1 }
    }
    equal(descend(0), 0)
}
claim!(by_descending, "every stack has an end", [Observed("nowhere")]);

fn a_stack_without_end_is_a_crash() {
    let entry = tried("crashes::by_descending");
    assert_eq!(entry.verdict, Verdict::Crash, "{:?}", entry.why);
}
