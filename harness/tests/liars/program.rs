//! The whole program, `assay run` with planted claims: its journal, its exit statuses, and what is left when it is interrupted or
//! killed.

use std::path::Path;
use std::process::{Command, Stdio};

use harness::{Outcome, claim, equal};
use reports::{JOURNAL, Run, Verdict};
use rustix::process::{Pid, Signal, kill_process};

use crate::cast::{Player, Program, players, send};
use crate::stage::{Marks, entry, wait_until};

crate::tests!(
    ; with_kvm: the_journal_names_each_claim_before_it_is_tried,
    an_interrupt_writes_what_is_known,
    a_killed_program_leaves_a_journal,
);

/// The variable that makes this program the command line.
pub(crate) const COMMAND_LINE: &str = "LIARS_COMMAND_LINE";

fn assay(out: &Path, claims: &[&str]) -> Program {
    let program = Command::new("/proc/self/exe")
        .env(COMMAND_LINE, "yes")
        .args(["run", "--jobs", "1", "--clock", "600", "--out"])
        .arg(out)
        .args(claims)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    Program(program.expect("this program again"))
}

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory for the record")
}

fn the_journal_names_each_claim_before_it_is_tried() {
    let out = directory();
    let status = assay(out.path(), &["checks::by_"]).0.wait().expect("an end");
    assert_eq!(status.code(), Some(1));
    let run = Run::load(out.path()).expect("a record");
    let journal = std::fs::read_to_string(out.path().join(JOURNAL)).expect("a journal");
    assert!(run.claims.len() > 10);
    for claim in &run.claims {
        let line = |start: String| journal.lines().position(|line| line.starts_with(&start)).expect("a line");
        let trying = line(format!("{{\"trying\":\"{}\"", claim.name));
        let told = line(format!("{{\"entry\":{{\"name\":\"{}\"", claim.name));
        assert_eq!(trying + 1, told, "{} with one worker", claim.name);
    }
}

macro_rules! waiting {
    ($($before:ident $claim:ident)*) => {
        $(
            fn $before() -> Outcome {
                equal(1, 1)
            }
            claim!($before, concat!("there is something before ", stringify!($claim)), [Observed("everywhere")]);

            fn $claim(marks: Marks) -> Outcome {
                send(&marks, stringify!($claim), "loner");
                marks.note(stringify!($claim), Player::of(std::process::id()));
                loop {
                    std::thread::park();
                }
            }
            claim!($claim, concat!("there is no end of ", stringify!($claim)), [Observed("nowhere")]);
        )*
    };
}

waiting!(before_interrupted until_interrupted before_killed until_killed);

/// Runs a claim that holds, and then one that comes to no end, up to there. Both have the name in their sentences.
fn up_to(waiting: &str, out: &Path) -> Program {
    let program = assay(out, &[waiting]);
    wait_until("the claim to be under way", || players(waiting).len() == 2);
    program
}

fn an_interrupt_writes_what_is_known() {
    let out = directory();
    let mut program = up_to("until_interrupted", out.path());
    kill_process(Pid::from_raw(program.0.id().cast_signed()).expect("a process"), Signal::INT)
        .expect("a signal");
    assert_eq!(program.0.wait().expect("an end").code(), Some(130));
    let run = Run::load(out.path()).expect("a record");
    assert_eq!(entry(&run, "program::before_interrupted").verdict, Verdict::Pass);
    assert_eq!(run.notes, ["interrupted: 1 of 2 claims were not tried"]);
    assert!(players("until_interrupted").iter().all(Player::is_gone), "nothing is left");
}

fn a_killed_program_leaves_a_journal() {
    let out = directory();
    let mut program = up_to("until_killed", out.path());
    program.0.kill().expect("a signal");
    let _ = program.0.wait();
    wait_until("everything to be gone", || players("until_killed").iter().all(Player::is_gone));
    let run = Run::load(out.path().join(JOURNAL)).expect("a record");
    assert_eq!(entry(&run, "program::before_killed").verdict, Verdict::Pass);
    assert_eq!(run.notes, ["the run ended while program::until_killed was tried"]);
}
