//! `assay list` and `assay explain`.

use std::fs;

use reports::{Entry, Host, JOURNAL, Journal, Run, Verdict};

use crate::assay::{CLAIM, FIXED, assay, whole};

fn names(query: &[&str]) -> Vec<String> {
    let said = assay(["list", "--names"].iter().chain(query));
    said.printed().lines().map(str::to_owned).collect()
}

#[test]
fn every_claim_is_listed_with_its_sentence() {
    let said = assay(["list"]);
    let lines: Vec<_> = said.printed().lines().collect();
    let line = lines.iter().find(|line| line.starts_with(FIXED)).unwrap();
    assert!(line.ends_with("  KVM_GET_API_VERSION answers 12"), "{line}");
    let names = names(&[]);
    assert!(names.is_sorted() && names.len() == lines.len());
    assert!(lines.iter().zip(&names).all(|(line, name)| line.starts_with(name)));
}

#[test]
fn a_query_selects() {
    assert_eq!(names(&["system::get_api_version"]), [FIXED, CLAIM]);
    assert_eq!(names(&["system/get_api_version/", "refuses"]), [CLAIM]);
    assert_eq!(names(&["KVM_GET_API_VERSION", "refuses", "argument", "-is:observed"]), [CLAIM]);
}

#[test]
fn a_negated_term_may_begin_with_a_hyphen() {
    let all = names(&[]);
    let others: Vec<_> = all.iter().filter(|name| !name.starts_with("system::")).cloned().collect();
    assert!(!others.is_empty() && others.len() < all.len());
    // A hyphen that begins the letters of an option is no option either, and `--` ends what could be one.
    assert_eq!(names(&["-system::"]), others);
    assert_eq!(names(&["not:system::"]), others);
    assert_eq!(names(&["--", "-system::"]), others);
    assert!(names(&["exits::", "-hlt"]).iter().all(|name| !name.contains("hlt")));
}

#[test]
fn what_matches_nothing_is_answered_with_what_is_near() {
    for command in ["list", "explain", "run", "replay"] {
        let said = assay([command, "system::get_api_versoin::is_twelve"]);
        let expected = format!("no claim matches `system::get_api_versoin::is_twelve`: near it is {FIXED}");
        assert!(said.sentence(4).starts_with(expected.trim_end_matches(FIXED).trim_end_matches("is ")));
        assert!(said.sentence(4).contains(FIXED), "{}", said.err);
    }
    let said = assay(["run", "zzzzzz"]);
    assert_eq!(said.sentence(4), "no claim matches `zzzzzz`: assay list shows what there is");
}

#[test]
fn a_claim_is_explained() {
    let said = assay(["explain", FIXED]);
    let expected = "system::get_api_version::is_twelve
  KVM_GET_API_VERSION answers 12
  rests on    api.rst 4.1 KVM_GET_API_VERSION
  tries       one case
  try it      assay run system::get_api_version::is_twelve
";
    assert_eq!(said.printed(), expected);
    let said = assay(["explain", "needs:KVM_CAP_XEN_HVM"]);
    assert!(said.printed().contains("\n  needs       KVM_CAP_XEN_HVM\n"), "{}", said.out);
}

#[test]
fn how_a_claim_fared_is_told_of_each_run() {
    let places = tempfile::tempdir().unwrap();
    let record = |name: &str, verdict: Verdict, why: Option<&str>| {
        let entry = Entry {
            name: FIXED.to_owned(),
            claim: "KVM_GET_API_VERSION answers 12".to_owned(),
            verdict,
            why: why.map(str::to_owned),
            witness: None,
            cases: 1,
            reached: 1,
            ms: 1.0,
            source: vec!["api.rst 4.1 KVM_GET_API_VERSION".to_owned()],
            notes: vec![],
            answers: Default::default(),
        };
        let place = places.path().join(name);
        fs::create_dir(&place).unwrap();
        Journal::create(place.join(JOURNAL), &Host::default()).unwrap().append(&entry).unwrap();
        place
    };
    let old = record("6.1", Verdict::Pass, None);
    let new = record("6.12.117", Verdict::Fail, Some("expected 12, saw 13"));
    let said =
        assay(["explain".as_ref(), FIXED.as_ref(), "--run".as_ref(), old.as_os_str(), new.as_os_str()]);
    let expected = "\n  fared       6.1       pass\n  fared       6.12.117  fail: expected 12, saw 13\n";
    assert!(said.printed().ends_with(expected), "{}", said.out);
    let said = assay(["explain", FIXED, "--run", "/nowhere"]);
    assert!(said.sentence(2).contains("/nowhere"), "{}", said.err);
}

#[test]
fn what_a_run_did_not_reach_is_named() {
    let Some((_, out)) = whole() else { return };
    let said = assay(["list".as_ref(), "--untried".as_ref(), out.path().as_os_str()]);
    let lines: Vec<_> = said.printed().lines().collect();
    assert!(lines[0].starts_with("descriptor-command pairs: ") && lines[0].ends_with(" of 119 not tried"));
    // Claims of one area begin with a VM here and there, and none of them runs a guest under TDX.
    assert!(!lines.contains(&"  system  KVM_GET_API_VERSION"), "{lines:?}");
    let tdx = lines.iter().find(|line| line.starts_with("  KVM_EXIT_TDX ")).unwrap();
    assert!(tdx.ends_with("  out of reach: needs TDX"), "{tdx}");
}

#[test]
fn a_record_that_says_nothing_of_what_was_asked_names_nothing() {
    let out = tempfile::tempdir().unwrap();
    let record = out.path().join("run.json");
    let older = Run::new(Default::default(), vec![], vec![]);
    fs::write(&record, serde_json::to_vec(&older).unwrap()).unwrap();
    let said = assay(["list".as_ref(), "--untried".as_ref(), record.as_os_str()]);
    let expected = "these records do not say what the kernel was asked: make them again with this version";
    assert_eq!(said.sentence(4), expected);
}
