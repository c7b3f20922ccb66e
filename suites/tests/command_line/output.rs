//! Standard output that nobody reads, or that cannot be written.

use std::fs::File;
use std::process::Stdio;

use crate::assay::{FIXED, PATH, Said, command, run, usable};

/// The writing end of a pipe whose reading end is closed.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

fn full() -> Stdio {
    File::options().write(true).open("/dev/full").unwrap().into()
}

#[test]
fn a_run_goes_on_when_nobody_listens() {
    if !usable() {
        return;
    }
    for (stdout, why) in [
        (closed(), "standard output was closed"),
        (full(), "cannot write to standard output (No space left on device)"),
    ] {
        let out = tempfile::tempdir().unwrap();
        let mut command = command(["run", PATH, "--out"]);
        let said = Said::of(&command.arg(out.path()).stdout(stdout).output().unwrap());
        assert_eq!(said.sentence(0), format!("{why}: the record is in {}", out.path().display()));
        assert_eq!(run(out.path().join("run.json")).claims.len(), 2);
    }
}

#[test]
fn the_status_is_told_when_not_even_errors_are_heard() {
    if !usable() {
        return;
    }
    let out = tempfile::tempdir().unwrap();
    let mut command = command(["run", FIXED, "--out"]);
    let status = command.arg(out.path()).stdout(closed()).stderr(closed()).status().unwrap();
    assert_eq!(status.code(), Some(0));
    assert_eq!(run(out.path()).claims.len(), 1);
}

#[test]
fn a_complaint_that_nobody_hears_has_its_status() {
    for (arguments, expected) in [(["list", "zzzzzz"], 4), (["run", "a:b"], 2), (["run", "--seed"], 2)] {
        let status = command(arguments).stdout(closed()).stderr(closed()).status().unwrap();
        assert_eq!(status.code(), Some(expected), "{arguments:?}");
    }
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    for arguments in [["list"].as_slice(), &["explain", FIXED], &["--help"]] {
        let said = Said::of(&command(arguments).stdout(closed()).output().unwrap());
        assert_eq!((said.status, said.err.as_str()), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn a_list_that_is_lost_is_an_error() {
    let said = Said::of(&command(["list"]).stdout(full()).output().unwrap());
    assert_eq!(
        said.sentence(3),
        "cannot write to standard output (No space left on device): make room, or send it elsewhere"
    );
}
