//! `assay diff`: what changed between two records.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::assay::{FIXED, Said, assay, json, whole};

/// A record of two claims, and the same after an edit.
struct Pair {
    directory: TempDir,
    before: PathBuf,
    after: PathBuf,
}

impl Pair {
    /// Records made of the first claims of a real one: `before` and `after` say of each its verdict, or that it is not there.
    fn of(before: &[Option<&str>], after: &[Option<&str>]) -> Option<Self> {
        let (_, whole) = whole()?;
        let record = json(whole.path());
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, verdicts: &[Option<&str>]| {
            let path = directory.path().join(name);
            fs::write(&path, edited(&record, verdicts).to_string()).unwrap();
            path
        };
        let (before, after) = (write("before.json", before), write("after.json", after));
        Some(Self { directory, before, after })
    }

    fn diff(&self, query: &[&str]) -> Said {
        let mut arguments = vec!["diff", self.before.to_str().unwrap(), self.after.to_str().unwrap()];
        arguments.extend(query);
        assay(arguments)
    }
}

fn edited(record: &Value, verdicts: &[Option<&str>]) -> Value {
    let claims = record["claims"].as_array().unwrap().iter().filter(|claim| claim["verdict"] == "pass");
    let claims = claims.zip(verdicts).filter_map(|(claim, verdict)| {
        let mut claim = claim.clone();
        claim["verdict"] = (*verdict)?.into();
        if *verdict == Some("fail") {
            claim["why"] = "expected 12, saw 13".into();
            claim["witness"] = json!({"seen": "13", "replay": "assay replay this"});
        }
        Some(claim)
    });
    let mut edited = record.clone();
    edited["claims"] = claims.collect();
    edited
}

#[test]
fn of_equal_runs_nothing_changed() {
    let Some((_, out)) = whole() else { return };
    let said = assay(["diff".as_ref(), out.path().as_os_str(), out.path().join("journal.jsonl").as_os_str()]);
    assert!(said.printed().ends_with("\nnothing changed\n"), "{}", said.out);
}

#[test]
fn a_regression_is_told_first_and_is_status_1() {
    let Some(pair) = Pair::of(&[Some("pass"), Some("fail")], &[Some("fail"), Some("pass")]) else { return };
    let said = pair.diff(&[]);
    assert_eq!((said.status, said.err.as_str()), (Some(1), ""));
    let at = |text: &str| said.out.find(text).unwrap_or_else(|| panic!("no {text:?} in {}", said.out));
    assert!(at("\nregressed (1)\n") < at("  pass → fail\n"));
    assert!(
        at("    after   saw 13: expected 12, saw 13\n    replay  assay replay this\n") < at("\nfixed (1)\n")
    );
    assert!(said.out.ends_with("\n1 regressed, 1 fixed\n"), "{}", said.out);
}

#[test]
fn what_is_better_gone_or_new_is_no_regression() {
    let before = [Some("fail"), Some("pass"), None];
    let Some(pair) = Pair::of(&before, &[Some("pass"), None, Some("pass")]) else { return };
    let said = pair.diff(&[]);
    for heading in ["\nfixed (1)\n", "\nvanished (1)\n", "\nappeared (1)\n"] {
        assert!(said.printed().contains(heading), "{heading}{}", said.out);
    }
    assert!(said.out.ends_with("\n1 fixed, 1 vanished, 1 appeared\n"), "{}", said.out);
}

#[test]
fn a_query_narrows_it() {
    let Some(pair) = Pair::of(&[Some("pass"), Some("fail")], &[Some("fail"), Some("pass")]) else { return };
    assert!(pair.diff(&["status:pass"]).printed().ends_with("\n1 fixed\n"));
    assert!(pair.diff(&["-status:fail"]).printed().ends_with("\n1 fixed\n"));
    let said = pair.diff(&["zzzzzz"]);
    assert_eq!(said.sentence(4), "no claim matches `zzzzzz`: without a query all of them are compared");
    let query = FIXED.replace("is_", "was_");
    assert!(pair.diff(&[&query]).sentence(4).starts_with(&format!("no claim matches `{query}`: ")));
}

#[test]
fn what_is_no_run_is_said() {
    let Some(pair) = Pair::of(&[], &[]) else { return };
    fs::remove_file(&pair.after).unwrap();
    let place = pair.after.display();
    assert_eq!(
        pair.diff(&[]).sentence(2),
        format!(
            "cannot read {place}: there is no such file; name a run.json, a journal.jsonl or the directory of a run"
        )
    );
    drop(pair.directory);
}
