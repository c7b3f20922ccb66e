//! Claims that turn against their keeper, and what becomes of everything when a runner or a keeper is killed.

use std::time::{Duration, Instant};

use harness::{Outcome, claim, equal, holds};
use reports::Verdict;
use rustix::process::{Pid, Signal, getpid, getppid, kill_process, kill_process_group};
use serde_json::json;

use crate::cast::{Player, all_gone, players, runner, send};
use crate::stage::{Marks, input, tried, wait_until};

crate::tests!(
    killing_the_keeper_is_a_crash,
    killing_the_keeper_once_is_not_held_against_a_claim,
    killing_the_keeper_while_it_shrinks_keeps_the_verdict,
    stopping_the_keeper_is_a_crash,
    killing_ones_own_group_is_a_crash,
    a_killed_runner_leaves_nothing,
    a_runner_killed_with_its_group_leaves_nothing,
);

const WHY: &str = "the process that watches over it was killed or stopped, each time that it was tried";

fn keeper() -> Pid {
    getppid().expect("a keeper")
}

fn kills_its_keeper(marks: Marks) -> Outcome {
    send(&marks, "keepers-orphan", "loner");
    marks.note("killed-keeper", Player::of(std::process::id()));
    kill_process(keeper(), Signal::KILL).expect("a signal");
    equal(1, 1)
}
claim!(kills_its_keeper, "a keeper lives for ever", [Observed("nowhere")]);

fn killing_the_keeper_is_a_crash() {
    let entry = tried("keepers::kills_its_keeper");
    assert_eq!((entry.verdict, entry.why.as_deref()), (Verdict::Crash, Some(WHY)));
    assert_eq!(players("killed-keeper").len(), 2, "it is tried a second time");
    all_gone("keepers-orphan");
    wait_until("the claim itself to be gone", || players("killed-keeper").iter().all(Player::is_gone));
}

fn kills_one_keeper(marks: Marks) -> Outcome {
    if marks.lines("one-keeper").is_empty() {
        marks.note("one-keeper", "killed");
        kill_process(keeper(), Signal::KILL).expect("a signal");
    }
    equal(1, 1)
}
claim!(kills_one_keeper, "a keeper dies once", [Observed("everywhere")]);

fn killing_the_keeper_once_is_not_held_against_a_claim() {
    let entry = tried("keepers::kills_one_keeper");
    assert_eq!((entry.verdict, entry.why), (Verdict::Pass, None));
}

fn kills_the_shrinkers_keeper(marks: Marks, number: u32) -> Outcome {
    if !marks.lines("shrinkers-keeper").is_empty() {
        kill_process(keeper(), Signal::KILL).expect("a signal");
    }
    if number >= 1000 {
        marks.note("shrinkers-keeper", number);
    }
    holds(number < 1000, "the number is below a thousand")
}
claim!(kills_the_shrinkers_keeper, "every number is below a thousand, once", [Observed("nowhere")]);

fn killing_the_keeper_while_it_shrinks_keeps_the_verdict() {
    let entry = tried("keepers::kills_the_shrinkers_keeper");
    let number: u32 = Marks::new().lines("shrinkers-keeper")[0].parse().expect("a number");
    assert_eq!((entry.verdict, input(&entry)), (Verdict::Fail, json!([number])));
    assert!(
        entry.notes.iter().any(|note| note.starts_with("it could not be made smaller")),
        "{:?}",
        entry.notes
    );
}

fn stops_its_keeper() -> Outcome {
    kill_process(keeper(), Signal::STOP).expect("a signal");
    equal(1, 1)
}
claim!(stops_its_keeper, "a keeper never stops", [Observed("nowhere")]);

fn stopping_the_keeper_is_a_crash() {
    let entry = tried("keepers::stops_its_keeper");
    assert_eq!((entry.verdict, entry.why.as_deref()), (Verdict::Crash, Some(WHY)));
}

fn kills_its_group() -> Outcome {
    kill_process_group(getpid(), Signal::KILL).expect("a signal");
    equal(1, 1)
}
claim!(kills_its_group, "a group lives for ever", [Observed("nowhere")]);

fn killing_ones_own_group_is_a_crash() {
    let entry = tried("keepers::kills_its_group");
    let why = "its process was killed by SIGKILL";
    assert_eq!((entry.verdict, entry.why.as_deref()), (Verdict::Crash, Some(why)));
}

fn goes_on(marks: Marks) -> Outcome {
    go_on(&marks, "goes-on")
}
claim!(goes_on, "everything goes on", [Observed("nowhere")]);

fn goes_on_and_on(marks: Marks) -> Outcome {
    go_on(&marks, "goes-on-and-on")
}
claim!(goes_on_and_on, "everything goes on and on", [Observed("nowhere")]);

/// Notes itself, its keeper, and three that it starts; comes to no end.
fn go_on(marks: &Marks, name: &str) -> Outcome {
    for part in ["sleeper", "loner", "daemon"] {
        send(marks, name, part);
    }
    marks.note(name, Player::of(std::process::id()));
    marks.note(name, Player::of(keeper().as_raw_nonzero().get().cast_unsigned()));
    loop {
        std::thread::park();
    }
}

fn a_killed_runner_leaves_nothing() {
    let mut runner = runner(&["keepers::goes_on"]);
    wait_until("the claim to be under way", || players("goes-on").len() == 5);
    runner.0.kill().expect("a signal");
    let killed = Instant::now();
    wait_until("everything to be gone", || players("goes-on").iter().all(Player::is_gone));
    assert!(killed.elapsed() < Duration::from_secs(5), "it took {:?}", killed.elapsed());
}

/// As `timeout -s KILL`, or a terminal that goes away, would do it.
fn a_runner_killed_with_its_group_leaves_nothing() {
    let runner = runner(&["keepers::goes_on_and_on"]);
    wait_until("the claim to be under way", || players("goes-on-and-on").len() == 5);
    let group = Pid::from_raw(runner.0.id().cast_signed()).expect("a process");
    kill_process_group(group, Signal::KILL).expect("a signal");
    wait_until("everything to be gone", || players("goes-on-and-on").iter().all(Player::is_gone));
}
