//! Runs that are interrupted: what is known is in the record, and nothing stays alive.

use std::thread;

use harness::runner::{Interrupt, run};
use harness::{Outcome, claim, holds};
use reports::{Run, Verdict};

use crate::cast::{all_gone, players, runner_settings, send};
use crate::stage::{HONEST, Marks, Nobody, facts, planted, wait_until};

crate::tests!(what_is_known_is_kept, a_verdict_that_is_being_shrunk_is_kept, an_interrupt_before_the_start);

fn interrupted(names: &[&str], when: impl FnOnce() + Send) -> Run {
    let interrupt = Interrupt::default();
    thread::scope(|scope| {
        scope.spawn(|| {
            when();
            interrupt.interrupt();
        });
        run(&planted(names), &facts(), &runner_settings(), &Nobody, &interrupt)
    })
}

fn waits(marks: Marks) -> Outcome {
    send(&marks, "waits", "daemon");
    loop {
        thread::park();
    }
}
claim!(waits, "nobody waits in vain", [Observed("nowhere")]);

fn what_is_known_is_kept() {
    let names = [HONEST, "interrupts::waits", "fails::plainly"];
    let run = interrupted(&names, || wait_until("the second claim", || !players("waits").is_empty()));
    let known: Vec<_> = run.claims.iter().map(|entry| (entry.name.as_str(), entry.verdict)).collect();
    assert_eq!(known, [(HONEST, Verdict::Pass)]);
    assert_eq!(run.notes, ["interrupted: 2 of 3 claims were not tried"]);
    all_gone("waits");
}

fn lies_and_waits(marks: Marks, number: u32) -> Outcome {
    marks.note("lies-and-waits", number);
    while marks.lines("lies-and-waits").len() > 1 {
        thread::park();
    }
    holds(false, "anything is so")
}
claim!(lies_and_waits, "anything is so, sooner or later", [Observed("nowhere")]);

fn a_verdict_that_is_being_shrunk_is_kept() {
    let marks = Marks::new();
    let run = interrupted(&["interrupts::lies_and_waits"], || {
        wait_until("the search for a smaller input", || marks.lines("lies-and-waits").len() > 1);
    });
    let [entry] = run.claims.as_slice() else { panic!("{:?}", run.claims) };
    assert_eq!(
        (entry.verdict, entry.why.as_deref()),
        (Verdict::Fail, Some("it does not hold that anything is so"))
    );
    assert_eq!(entry.notes.len(), 1, "{:?}", entry.notes);
}

fn an_interrupt_before_the_start() {
    let interrupt = Interrupt::default();
    interrupt.interrupt();
    let run = run(&planted(&[HONEST]), &facts(), &runner_settings(), &Nobody, &interrupt);
    assert_eq!((run.claims.len(), run.notes.len()), (0, 1));
}
