//! The directory of the record: one that cannot be written, and one on a full disk.

use std::fs;
use std::path::Path;
use std::process::Command;

use reports::Run;

use crate::assay::{AREA, ASSAY, PATH, Said, assay, is_able, run, sentence, status_of, usable};

/// Runs an area with a disk of so many kilobytes for `--out`, and copies what is on it at the end to `copy`.
fn on_a_small_disk(kilobytes: usize, copy: &Path, temporary: &Path) -> Option<Said> {
    let namespace = ["unshare", "--mount"];
    if !usable() || !is_able(&namespace) {
        return None;
    }
    let disk = tempfile::tempdir().unwrap();
    let script = format!(
        "mount -t tmpfs -o size={kilobytes}k none \"$1\" && \"$0\" run {AREA} --budget 0 --out \"$1\"; status=$?; cp -r \"$1/.\" \"$2\"; exit $status"
    );
    let mut command = Command::new(namespace[0]);
    command.args([namespace[1], "sh", "-c", &script, ASSAY]).arg(disk.path()).arg(copy);
    Some(Said::of(&command.env("TMPDIR", temporary).current_dir(std::env::temp_dir()).output().unwrap()))
}

/// The status of a run with this record that could not be written: what a claim showed outranks it.
fn lost(record: &Run) -> i32 {
    if status_of(record) == 1 { 1 } else { 3 }
}

fn all() -> usize {
    assay(["list", "--names", AREA]).printed().lines().count()
}

#[test]
fn a_disk_that_fills_up_costs_no_measurement() {
    let (copy, temporary) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let Some(said) = on_a_small_disk(64, copy.path(), temporary.path()) else { return };
    let sentence = sentence(&said.err);
    assert!(sentence.starts_with("cannot write "), "{sentence}");
    assert!(sentence.contains("/run.json: No space left on device; the record is in "), "{sentence}");
    assert!(
        sentence.ends_with(" instead: make room, or name another directory with --out DIR"),
        "{sentence}"
    );
    let saved = fs::read_dir(temporary.path()).unwrap().next().unwrap().unwrap().path();
    assert!(sentence.contains(&format!(" {} instead", saved.display())), "{sentence}");
    let record = run(saved);
    assert_eq!(record.claims.len(), all());
    assert_eq!(said.status, Some(lost(&record)));
    // What fitted is readable too.
    assert!(!run(copy.path()).claims.is_empty());
    assert!(said.out.contains(" claims: "), "{}", said.out);
}

#[test]
fn where_nothing_can_be_written_the_record_is_printed() {
    let copy = tempfile::tempdir().unwrap();
    let Some(said) = on_a_small_disk(64, copy.path(), Path::new("/nowhere")) else { return };
    let record = Run::from_json(&said.out[said.out.find("\n{\n").unwrap()..]).unwrap();
    assert_eq!(record.claims.len(), all());
    let sentence = said.sentence(lost(&record));
    assert!(sentence.contains("; the record as JSON ends standard output instead: "), "{sentence}");
}

#[test]
fn a_disk_that_is_full_is_said_before_anything_is_tried() {
    let copy = tempfile::tempdir().unwrap();
    let Some(said) = on_a_small_disk(4, copy.path(), copy.path()) else { return };
    let sentence = said.sentence(3);
    assert!(sentence.starts_with("cannot write to the journal "), "{sentence}");
    assert!(
        sentence.contains(": No space left on device; make room or name another directory with --out"),
        "{sentence}"
    );
    assert_eq!(said.out, "");
}

#[test]
fn a_place_that_cannot_be_written_is_said_before_anything_is_tried() {
    if !usable() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    fs::create_dir_all(directory.path().join("taken/run.json")).unwrap();
    fs::create_dir_all(directory.path().join("held/journal.jsonl")).unwrap();
    let cases = [
        ("file", "cannot write to DIR/file: it is not a directory; name another directory with --out DIR"),
        (
            "file/below",
            "cannot write to DIR/file/below: it is not a directory; name another directory with --out DIR",
        ),
        ("taken", "cannot replace DIR/taken/run.json: Is a directory; name another directory with --out DIR"),
        (
            "held",
            "cannot create the journal DIR/held/journal.jsonl: Is a directory; name a directory that can be written with --out",
        ),
    ];
    for (name, expected) in cases {
        let out = directory.path().join(name);
        let said = assay(["run".as_ref(), PATH.as_ref(), "--out".as_ref(), out.as_os_str()]);
        let place = directory.path().to_str().unwrap();
        assert_eq!(said.sentence(2).replace(place, "DIR"), expected);
        assert_eq!(said.out, "");
    }
}

#[test]
fn a_place_without_permission_is_said() {
    if !usable() || !is_able(&["unshare", "--mount"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let script =
        "mount -t tmpfs -o ro none \"$1\" && exec \"$0\" run system/get_api_version/ --out \"$1/run\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, ASSAY]).arg(directory.path());
    let said = Said::of(&command.output().unwrap());
    let place = directory.path().display();
    assert_eq!(
        said.sentence(2),
        format!("cannot write to {place}/run: Read-only file system; name another directory with --out DIR")
    );
}
