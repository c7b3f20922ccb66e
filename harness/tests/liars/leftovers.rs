//! Claims that leave processes behind. Each has its own verdict, a note, and nothing of it is alive when the next one begins.

use std::process::Command;

use harness::{Outcome, claim, equal};
use reports::Verdict;

use crate::cast::{all_gone, players, send, send_and_wait, send_by};
use crate::stage::{Marks, tried};

crate::tests!(
    a_child_is_killed,
    a_child_in_a_session_of_its_own_is_killed,
    a_daemon_is_killed,
    a_child_that_ignores_signals_is_killed,
    a_crowd_is_killed,
    a_lie_with_a_leftover_is_a_fail,
    a_crash_with_a_leftover_is_a_crash,
);

/// The claim holds, leaves one process behind, and that one is gone.
fn leaves_one(claim: &str, name: &str) {
    let entry = tried(claim);
    assert_eq!((entry.verdict, entry.why), (Verdict::Pass, None), "{claim}");
    assert_eq!(entry.notes, ["it left 1 process behind, killed now"], "{claim}");
    all_gone(name);
}

fn a_child(marks: Marks) -> Outcome {
    send(&marks, "child", "sleeper");
    equal(1, 1)
}
claim!(a_child, "a child may be left", [Observed("everywhere")]);

fn a_child_is_killed() {
    leaves_one("leftovers::a_child", "child");
}

fn a_loner(marks: Marks) -> Outcome {
    send(&marks, "loner", "loner");
    equal(1, 1)
}
claim!(a_loner, "a child in a session of its own may be left", [Observed("everywhere")]);

fn a_child_in_a_session_of_its_own_is_killed() {
    leaves_one("leftovers::a_loner", "loner");
}

fn a_daemon(marks: Marks) -> Outcome {
    send_and_wait(&marks, "daemon", "daemon");
    equal(1, 1)
}
claim!(a_daemon, "a daemon may be left", [Observed("everywhere")]);

fn a_daemon_is_killed() {
    leaves_one("leftovers::a_daemon", "daemon");
}

fn a_deaf_child(marks: Marks) -> Outcome {
    // What a shell ignores stays ignored in what it becomes.
    let script = "trap '' TERM INT HUP QUIT; exec \"$0\" --play loner";
    let own = std::env::current_exe().expect("this program");
    send_by(&marks, "deaf", Command::new("sh").args(["-c", script]).arg(own));
    equal(1, 1)
}
claim!(a_deaf_child, "a child that ignores signals may be left", [Observed("everywhere")]);

fn a_child_that_ignores_signals_is_killed() {
    leaves_one("leftovers::a_deaf_child", "deaf");
}

fn a_crowd(marks: Marks) -> Outcome {
    for index in 0..50 {
        send(&marks, "crowd", ["sleeper", "loner", "daemon"][index % 3]);
    }
    equal(1, 1)
}
claim!(a_crowd, "a crowd may be left", [Observed("everywhere")]);

fn a_crowd_is_killed() {
    let entry = tried("leftovers::a_crowd");
    assert_eq!((entry.verdict, entry.why), (Verdict::Pass, None));
    // Of a daemon two are left: itself, and the one that started it, for which nobody has waited.
    assert_eq!(entry.notes, ["it left 66 processes behind, killed now"]);
    assert_eq!(players("crowd").len(), 50);
    all_gone("crowd");
}

fn a_liars_child(marks: Marks) -> Outcome {
    send(&marks, "liars-child", "daemon");
    equal(1, 2)
}
claim!(a_liars_child, "one is two, and a child knows", [Observed("nowhere")]);

fn a_lie_with_a_leftover_is_a_fail() {
    let entry = tried("leftovers::a_liars_child");
    assert_eq!((entry.verdict, entry.why.as_deref()), (Verdict::Fail, Some("expected 2, saw 1")));
    assert_eq!(entry.notes, ["it left 2 processes behind, killed now"]);
    all_gone("liars-child");
}

fn an_orphan(marks: Marks) -> Outcome {
    send(&marks, "orphan", "loner");
    std::process::abort()
}
claim!(an_orphan, "no child becomes an orphan", [Observed("nowhere")]);

fn a_crash_with_a_leftover_is_a_crash() {
    let entry = tried("leftovers::an_orphan");
    assert_eq!(entry.verdict, Verdict::Crash);
    assert_eq!(entry.notes, ["it left 1 process behind, killed now"]);
    all_gone("orphan");
}
