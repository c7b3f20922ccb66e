//! The journal of a run is the run, wherever it was cut off.

use std::fs;
use std::path::PathBuf;

use reports::{Entry, JOURNAL, Journal, Run, Verdict};
use rstest::rstest;
use tempfile::TempDir;

use crate::fixture::{self, because, entry};

fn written(run: &Run) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(JOURNAL);
    let mut journal = Journal::create(&path, &run.host).unwrap();
    for entry in &run.claims {
        journal.trying(&entry.name).unwrap();
        journal.append(entry).unwrap();
    }
    for note in &run.notes {
        journal.note(note).unwrap();
    }
    (directory, path)
}

#[rstest]
#[case::every_verdict(fixture::run())]
#[case::hostile(fixture::hostile())]
fn it_is_the_run(#[case] run: Run) {
    let (_directory, path) = written(&run);
    assert_eq!(Journal::read(path).unwrap(), run);
}

#[test]
fn of_two_entries_of_one_name_the_last_wins() {
    let mut run = Run::new(
        fixture::host(),
        vec![entry("a::b", Verdict::Fail), entry("a::b", Verdict::Pass)],
        Vec::new(),
    );
    let (_directory, path) = written(&run);
    run.claims.remove(0);
    assert_eq!(Journal::read(path).unwrap().claims, run.claims);
}

#[test]
fn the_claim_that_a_kernel_died_of_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(JOURNAL);
    let mut journal = Journal::create(&path, &fixture::host()).unwrap();
    journal.trying("a::kills").unwrap();
    assert_eq!(Journal::read(path).unwrap().notes, ["the run ended while a::kills was tried"]);
}

#[test]
fn cut_off_anywhere_it_is_read_or_refused() {
    let claims: Vec<Entry> = ["a::b", "a::c"].map(|name| because(name, Verdict::Fail, "é")).into();
    let run = Run::new(fixture::host(), claims, Vec::new());
    let (_directory, path) = written(&run);
    let whole = fs::read(&path).unwrap();
    let first = whole.iter().position(|byte| *byte == b'\n').unwrap();
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let read = Journal::read(&path);
        assert_eq!(read.is_ok(), length >= first, "{length}: {read:?}");
        let read = read.unwrap_or(run.clone());
        assert!(read.claims.iter().zip(&run.claims).all(|(read, written)| read == written));
        let is_cut = !matches!(whole[length.max(1) - 1], b'\n') && whole[length] != b'\n';
        assert_eq!(
            read.notes.iter().any(|note| note.contains("cut off")),
            length > first && is_cut,
            "{length}"
        );
    }
}

#[rstest]
#[case::empty(
    "",
    "cannot read the journal J: it does not begin with its host (it is empty); name the journal of a run"
)]
#[case::other(
    "{\"a\":1}\n",
    "cannot read the journal J: it does not begin with its host (it has no \"format\"); name the journal of a run"
)]
#[case::no_host(
    "{\"format\":1}\n",
    "cannot read the journal J: it does not begin with its host (it has no \"host\"); name the journal of a run"
)]
#[case::later(
    "{\"format\":7,\"machine\":{}}\n",
    "cannot read the journal J: it was written by a later Assay (format 7; this one reads up to 1); use that version or newer"
)]
fn what_is_no_journal_is_refused(#[case] text: &str, #[case] sentence: &str) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(JOURNAL);
    fs::write(&path, text).unwrap();
    let error = format!("cannot {}", Journal::read(&path).unwrap_err());
    assert_eq!(error.replace(path.to_str().unwrap(), "J"), sentence);
}

#[test]
fn a_damaged_line_is_named_and_an_unknown_one_passed_over() {
    let (_directory, path) = written(&fixture::run());
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, whole.replacen('\n', "\n{\"mood\":\"good\"}\n", 1)).unwrap();
    assert_eq!(Journal::read(&path).unwrap(), fixture::run());
    fs::write(&path, whole.replacen('\n', "\nrubbish\n", 1)).unwrap();
    assert!(Journal::read(&path).unwrap_err().to_string().contains("line 2 is damaged"));
}
