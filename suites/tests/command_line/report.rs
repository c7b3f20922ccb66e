//! `assay report`: records rendered again, and files that are none.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use reports::formats;
use serde_json::json;

use crate::assay::{FIXED, Said, assay, json, whole};

fn report(path: &Path, arguments: &[&str]) -> Said {
    assay([OsStr::new("report"), path.as_os_str()].into_iter().chain(arguments.iter().map(OsStr::new)))
}

#[test]
fn every_format_is_as_the_run_wrote_it() {
    let Some((_, out)) = whole() else { return };
    for (format, file) in formats().into_iter().filter_map(|format| Some((format, format.file?))) {
        let said = report(out.path(), &["--format", format.name]);
        assert!(said.printed() == fs::read_to_string(out.path().join(file)).unwrap(), "{}", format.name);
    }
    let file = out.path().with_extension("xml");
    let said = report(&out.path().join("run.json"), &["-f", "junit", "--out", file.to_str().unwrap()]);
    assert_eq!(said.printed(), "");
    assert!(fs::read(&file).unwrap() == fs::read(out.path().join("junit.xml")).unwrap());
    fs::remove_file(file).unwrap();
}

#[test]
fn an_unknown_format_is_answered_with_those_that_exist() {
    let said = assay(["report", ".", "--format", "html5"]);
    let sentence = said.sentence(2);
    assert!(sentence.starts_with("there is no format html5: there are "), "{sentence}");
    assert!(formats().iter().all(|format| sentence.contains(format.name)), "{sentence}");
}

#[test]
fn a_query_selects() {
    let Some((_, out)) = whole() else { return };
    let directory = tempfile::tempdir().unwrap();
    let mut record = json(out.path());
    for claim in record["claims"].as_array_mut().unwrap() {
        claim["verdict"] = if claim["name"] == FIXED { "fail" } else { "pass" }.into();
    }
    fs::write(directory.path().join("run.json"), record.to_string()).unwrap();
    let said = report(directory.path(), &["--query", "status:fail"]);
    assert!(said.printed().contains(&format!("\nFAIL  {FIXED}\n")), "{}", said.out);
    assert!(said.out.contains("\n1 claim: 1 fail in "), "{}", said.out);
    assert!(report(directory.path(), &["-q", "-status:fail"]).printed().starts_with("Assay: no failure in "));
    let said = report(directory.path(), &["--query", "status:hang"]);
    assert_eq!(
        said.sentence(4),
        "no claim matches `status:hang`: without --query every claim of the record is shown"
    );
    let said = report(directory.path(), &["--query", "status:broken"]);
    assert!(said.sentence(2).starts_with("cannot understand `status:broken`: the verdicts are pass, "));
}

#[test]
fn a_record_that_is_cut_off_is_read_from_the_journal_beside_it() {
    let Some((_, out)) = whole() else { return };
    let directory = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(out.path().join("run.json")).unwrap();
    let record = directory.path().join("run.json");
    let claims = format!("\n{} claims: ", json(out.path())["claims"].as_array().unwrap().len());
    for (broken, why) in [(&text[..text.len() / 2], "cut off"), ("\0\0\0\0", "damaged")] {
        fs::write(&record, broken).unwrap();
        fs::copy(out.path().join("journal.jsonl"), directory.path().join("journal.jsonl")).unwrap();
        let said = report(directory.path(), &[]);
        assert!(said.printed().contains(&claims), "{}", said.out);
        assert!(said.out.contains(&format!("run.json is {why}: this was read from journal.jsonl instead")));
    }
    fs::write(&record, &text[..text.len() / 2]).unwrap();
    let journal = directory.path().join("journal.jsonl");
    let cut_off = format!("cannot read {}: it is cut off; ", record.display());
    let sentence = |cure: &str| format!("{cut_off}{cure}");
    let said = report(&record, &[]);
    let cure = format!("{} still has what was measured, read that", journal.display());
    assert_eq!(said.sentence(2), sentence(&cure));
    fs::remove_file(&journal).unwrap();
    assert_eq!(report(directory.path(), &[]).sentence(2), sentence("take a whole copy of it"));
}

#[test]
fn a_record_of_the_future_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let record = directory.path().join("run.json");
    fs::write(&record, json!({"format": 2, "machine": "more"}).to_string()).unwrap();
    for command in [vec!["report"], vec!["diff", record.to_str().unwrap()]] {
        let said = assay(command.into_iter().chain([record.to_str().unwrap()]));
        let place = record.display();
        let expected = format!(
            "cannot read {place}: it was written by a later Assay (format 2; this one reads up to 1); use that version or newer"
        );
        assert_eq!(said.sentence(2), expected);
    }
}

#[test]
fn what_is_no_record_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().display();
    let said = report(directory.path(), &[]);
    let empty = "the directory holds neither run.json nor journal.jsonl; name the --out directory of a run";
    assert_eq!(said.sentence(2), format!("cannot read {place}: {empty}"));
    let said = report(&directory.path().join("none"), &[]);
    assert!(said.sentence(2).starts_with(&format!("cannot read {place}/none: there is no such file; name ")));
    fs::write(directory.path().join("run.xml"), "<xml/>").unwrap();
    let said = report(&directory.path().join("run.xml"), &[]);
    assert!(said.sentence(2).contains("run.xml: it is not the record of a run ("), "{}", said.err);
}
