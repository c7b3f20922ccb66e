//! Runs are read from every place where one can be, and refused with one sentence elsewhere.

use std::fs;
use std::path::Path;

use reports::{JOURNAL, Journal, LoadError, Run};
use rstest::rstest;

use crate::fixture;
use crate::formats::rendered;

fn journal(directory: &Path, run: &Run) {
    let mut journal = Journal::create(directory.join(JOURNAL), &run.host).unwrap();
    run.claims.iter().for_each(|entry| journal.append(entry).unwrap());
    run.notes.iter().for_each(|note| journal.note(note).unwrap());
}

/// The sentence that the user reads, without the name of the directory.
fn sentence(directory: &Path, error: &LoadError) -> String {
    format!("cannot {error}").replace(directory.to_str().unwrap(), "DIR")
}

#[test]
fn what_was_written_is_read() {
    let run = fixture::run();
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("run.json"), rendered("json", &run)).unwrap();
    journal(directory.path(), &run);
    assert_eq!(Run::load(directory.path()).unwrap(), run);
    assert_eq!(Run::load(directory.path().join("run.json")).unwrap(), run);
    assert_eq!(Run::load(directory.path().join(JOURNAL)).unwrap(), run);
}

#[test]
fn unknown_fields_are_passed_over() {
    let mut json = serde_json::to_value(fixture::run()).unwrap();
    json["mood"] = "good".into();
    json["host"]["mood"] = "good".into();
    json["claims"][0]["mood"] = "good".into();
    assert_eq!(Run::from_json(json.to_string()).unwrap(), fixture::run());
}

#[test]
fn a_directory_without_a_whole_record_is_read_from_its_journal() {
    let run = fixture::run();
    let directory = tempfile::tempdir().unwrap();
    journal(directory.path(), &run);
    assert_eq!(Run::load(directory.path()).unwrap(), run);
    let json = rendered("json", &run);
    fs::write(directory.path().join("run.json"), &json[..json.len() / 2]).unwrap();
    let read = Run::load(directory.path()).unwrap();
    assert_eq!(read.claims, run.claims);
    assert_eq!(read.notes.last().unwrap(), "run.json is cut off: this was read from journal.jsonl instead");
    fs::write(directory.path().join("run.json"), [0; 64]).unwrap();
    let read = Run::load(directory.path()).unwrap();
    assert_eq!(read.claims, run.claims);
    assert_eq!(read.notes.last().unwrap(), "run.json is damaged: this was read from journal.jsonl instead");
    fs::write(directory.path().join("run.json"), &json[..json.len() / 2]).unwrap();
    let error = Run::load(directory.path().join("run.json")).unwrap_err();
    assert_eq!(
        sentence(directory.path(), &error),
        "cannot read DIR/run.json: it is cut off; DIR/journal.jsonl still has what was measured, read that"
    );
}

#[rstest]
#[case::missing(
    "other.json",
    "cannot read DIR/other.json: there is no such file; name a run.json, a journal.jsonl or the directory of a run"
)]
#[case::missing_journal(
    "other.jsonl",
    "cannot read DIR/other.jsonl: there is no such file; name a run.json, a journal.jsonl or the directory of a run"
)]
#[case::no_run(
    "",
    "cannot read DIR/: the directory holds neither run.json nor journal.jsonl; name the --out directory of a run"
)]
fn what_is_not_there_is_said(#[case] name: &str, #[case] expected: &str) {
    let directory = tempfile::tempdir().unwrap();
    let error = Run::load(directory.path().join(name)).unwrap_err();
    assert_eq!(sentence(directory.path(), &error), expected);
}

#[rstest]
#[case::later(
    "{\"format\": 7}",
    "it was written by a later Assay (format 7; this one reads up to 1); use that version or newer"
)]
#[case::empty("", "it is cut off; take a whole copy of it")]
#[case::cut_off("{\"format\": 1, \"ho", "it is cut off; take a whole copy of it")]
#[case::no_json(
    "<xml/>",
    "it is not the record of a run (expected value at line 1 column 1); name a run.json that Assay wrote"
)]
#[case::other_json(
    "{}",
    "it is not the record of a run (it has no \"format\"); name a run.json that Assay wrote"
)]
#[case::no_host(
    "{\"format\": 1}",
    "it is not the record of a run (missing field `host` at line 1 column 13); name a run.json that Assay wrote"
)]
#[case::bytes(
    b"\xff\xfe",
    "it is not the record of a run (expected value at line 1 column 1); name a run.json that Assay wrote"
)]
fn what_is_no_record_is_refused(#[case] json: impl AsRef<[u8]>, #[case] expected: &str) {
    let error = Run::from_json(json).unwrap_err();
    assert_eq!(format!("cannot {error}"), format!("cannot read the record: {expected}"));
}

#[test]
fn a_record_cut_off_anywhere_says_so() {
    let json = rendered("json", &fixture::run());
    let body = json.trim_end();
    for length in (0..body.len()).step_by(7) {
        let Some(cut) = body.get(..length) else { continue };
        assert!(matches!(Run::from_json(cut), Err(LoadError::CutOff { .. })), "{length}");
    }
}
