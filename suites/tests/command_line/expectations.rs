//! Expectations of a third party's, by `--expectations`.

use std::fs;

use reports::Verdict;

use crate::assay::{FIXED, Said, assay, run, usable};

/// A run of one claim with a file of expectations, and the directory that it stands in.
fn with(text: &str) -> (Said, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("mine.toml");
    fs::write(&file, text).unwrap();
    let said = assay([
        "run".as_ref(),
        FIXED.as_ref(),
        "--out".as_ref(),
        directory.path().as_os_str(),
        "--expectations".as_ref(),
        file.as_os_str(),
    ]);
    (said, directory)
}

fn known(claim: &str, verdict: &str) -> String {
    format!(
        "[[known]]\nhost = {{}}\nverdict = \"{verdict}\"\nwhy = \"it counts on\"\nlink = \"here\"\nseen.\"{claim}\" = \"13\"\n"
    )
}

#[test]
fn what_holds_against_one_is_a_surprise() {
    if !usable() {
        return;
    }
    let (said, directory) = with(&known(FIXED, "fail"));
    assert_eq!((said.status, said.err.as_str()), (Some(1), ""), "{}", said.out);
    assert!(said.out.contains(&format!("\nSURPRISE  {FIXED}\n")), "{}", said.out);
    let entry = &run(directory.path()).claims[0];
    assert_eq!(entry.verdict, Verdict::Surprise);
    let why = entry.why.as_deref().unwrap();
    assert!(
        why.ends_with("mine.toml:6 expects fail with 13: remove that expectation, or narrow its host"),
        "{why}"
    );
}

#[test]
fn one_for_another_host_says_nothing_here() {
    if !usable() {
        return;
    }
    let (said, directory) = with(&known(FIXED, "fail").replace("{}", "{ module = \"kvm_of_nobody\" }"));
    assert_eq!(said.status, Some(0), "{}", said.err);
    assert_eq!(run(directory.path()).claims[0].verdict, Verdict::Pass);
}

#[test]
fn a_broken_file_is_said_with_its_line() {
    let cases = [
        ("[[known]\n".to_owned(), "mine.toml:1: "),
        (
            "\n[[known]]\nverdict = \"fail\"\n".to_owned(),
            "mine.toml:2: missing field `host`; write [[known]] with host, ",
        ),
        (known(FIXED, "pass"), "mine.toml:3: verdict is `pass`; write fail, crash or hang"),
        (known(FIXED, "fail").replace("{}", "{ kernel = \"new\" }"), "mine.toml:2: cannot "),
        (
            known("system::get_api_version::is_twelv", "fail"),
            "near it are system::get_api_version::is_twelve, ",
        ),
    ];
    for (text, expected) in cases {
        let (said, directory) = with(&text);
        let sentence = said.sentence(2);
        assert!(sentence.starts_with("cannot ") && sentence.contains(expected), "{sentence}");
        assert!(!directory.path().join("journal.jsonl").exists(), "nothing was to be tried");
    }
    let said = assay(["run", "--expectations", "/nowhere/mine.toml"]);
    let expected =
        "cannot read the expectations in /nowhere/mine.toml: No such file or directory; name a file ";
    assert!(said.sentence(2).starts_with(expected), "{}", said.err);
}
