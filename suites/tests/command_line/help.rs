//! Help teaches, and a mistyped line is answered with one sentence.

use crate::assay::assay;

const COMMANDS: [&str; 9] = ["boot", "run", "lab", "list", "explain", "host", "diff", "report", "replay"];

#[test]
fn alone_it_shows_what_there_is() {
    let said = assay(<[&str; 0]>::default());
    assert_eq!(said.status, Some(2));
    for command in COMMANDS {
        assert!(said.err.contains(&format!("\n  {command} ")), "{}", said.err);
    }
    assert_eq!(said.err, assay(["--help"]).printed());
}

#[test]
fn every_command_has_help_that_fits_a_terminal() {
    for command in COMMANDS {
        let said = assay([command, "--help"]);
        let help = said.printed();
        assert!(help.contains(&format!("Usage: assay {command}")), "{help}");
        let wide: Vec<_> = help.lines().filter(|line| line.chars().count() > 100).collect();
        assert!(wide.is_empty(), "{wide:?}");
    }
}

#[test]
fn what_is_mistyped_is_one_sentence() {
    let cases: [(&[&str], &str); 9] = [
        (&["rum"], "unrecognized subcommand 'rum' (a similar subcommand exists: 'run'); assay --help shows"),
        (
            &["run", "--sed", "1"],
            "unexpected argument '--sed' found (a similar argument exists: '--seed'); assay run",
        ),
        (
            &["run", "--seed", "x"],
            "for '--seed <S>': a seed is a number of 64 bits, such as 7 or 0x1f; assay run",
        ),
        (&["run", "--jobs", "0"], "for '--jobs <N>': give a whole number from 1 on; assay run --help"),
        (&["lab", "--kernel", "host", "--clock", "0"], "0 is not in 1..=86400; assay lab --help"),
        (&["diff", "a"], "the following required arguments were not provided: <AFTER>; assay diff --help"),
        (
            &["list", "colour:red"],
            "cannot understand `colour:red`: the terms are status:, is:, needs:, source:, and plain",
        ),
        (&["list", "needs:"], "cannot understand `needs:`: something must follow it"),
        (&["run", "status:fail"], "give them to assay report or assay diff"),
    ];
    for (arguments, expected) in cases {
        let said = assay(arguments);
        let sentence = said.sentence(2);
        assert!(sentence.contains(expected), "{sentence}");
    }
}

#[test]
fn what_was_typed_cannot_break_the_line() {
    let said = assay(["list", "colour:\u{1b}[31m"]);
    assert!(said.sentence(2).contains("`colour:\\u{1b}[31m`"));
}
