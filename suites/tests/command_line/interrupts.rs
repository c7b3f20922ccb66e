//! A run that ends before its time keeps what it measured.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread::yield_now;
use std::time::{Duration, Instant};

use reports::Run;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::assay::{AREA, Said, assay, command, run, sentence, shown, usable};

/// A run that would go on for long, once it has tried at least one claim.
fn under_way() -> Option<(Child, TempDir)> {
    if !usable() {
        return None;
    }
    let out = tempfile::tempdir().unwrap();
    // What an earlier run left must not be taken for this one's.
    fs::write(out.path().join("run.json"), "{}").unwrap();
    let mut command = command(["run", AREA, "--jobs", "1", "--budget", "60000", "--out"]);
    let child = command.arg(out.path()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while !has_entry(out.path()) {
        assert!(Instant::now() < deadline, "nothing was tried in 20 seconds");
        yield_now();
    }
    Some((child, out))
}

fn has_entry(out: &Path) -> bool {
    let journal = fs::read_to_string(out.join("journal.jsonl")).unwrap_or_default();
    journal.lines().any(|line| line.starts_with("{\"entry\":") && line.ends_with('}'))
}

fn end(child: Child, signal: Signal) -> Said {
    let pid = Pid::from_raw(child.id().cast_signed()).unwrap();
    kill_process(pid, signal).unwrap();
    let output = child.wait_with_output().unwrap();
    Said { status: Some(shown(output.status)), ..Said::of(&output) }
}

fn names(run: &Run) -> Vec<&str> {
    run.claims.iter().map(|entry| entry.name.as_str()).collect()
}

#[test]
fn sigint_writes_what_is_known() {
    let Some((child, out)) = under_way() else { return };
    let said = end(child, Signal::INT);
    let place = out.path().display();
    assert_eq!(said.sentence(130), format!("interrupted: what was tried until then is in {place}"));
    let record = run(out.path().join("run.json"));
    let all = assay(["list", "--names", AREA]).out.lines().count();
    let tried = record.claims.len();
    assert!((1..all).contains(&tried), "{tried} of {all}");
    let note = format!("interrupted: {} of {all} claims were not tried", all - tried);
    assert_eq!(record.notes, [note.as_str()]);
    assert!(said.out.contains(&note), "{}", said.out);
    let journal = run(out.path().join("journal.jsonl"));
    assert_eq!(names(&journal), names(&record));
    assert!(journal.notes.contains(&note), "{:?}", journal.notes);
}

#[test]
fn a_killed_run_is_reported_from_its_journal() {
    let Some((child, out)) = under_way() else { return };
    assert_eq!(end(child, Signal::KILL).status, Some(137));
    assert!(!out.path().join("run.json").exists(), "an earlier run's record was left");
    let record = run(out.path());
    assert!(!record.claims.is_empty());
    let said = assay(["report".as_ref(), out.path().as_os_str()]);
    let claims = record.claims.len();
    let counted = if claims == 1 { "1 claim: ".to_owned() } else { format!("{claims} claims: ") };
    assert!(said.printed().contains(&format!("\n{counted}")), "{}", said.out);
}

#[test]
fn sigint_without_a_place_for_the_record_still_tells() {
    let Some((child, out)) = under_way() else { return };
    let place = out.path().to_owned();
    drop(out);
    let said = end(child, Signal::INT);
    let sentence = said.sentence(130);
    let lost =
        format!("interrupted, and cannot write {}/run.json: No such file or directory; ", place.display());
    assert!(sentence.starts_with(&lost), "{sentence}");
    let saved =
        sentence.split("the record is in ").nth(1).and_then(|rest| rest.split(" instead").next()).unwrap();
    assert!(!run(saved).claims.is_empty());
    fs::remove_file(saved).unwrap();
}

#[test]
fn a_sentence_is_asserted_to_be_one() {
    assert_eq!(sentence("assay: this\n"), "this");
    assert!(std::panic::catch_unwind(|| sentence("assay: this\nassay: that\n")).is_err());
}
