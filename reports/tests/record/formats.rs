//! Every format of the run that holds every verdict, as a snapshot for people to read.

use reports::{Run, Verdict, format, formats};
use rstest::rstest;

use crate::fixture;

pub(crate) fn rendered(name: &str, run: &Run) -> String {
    let mut out = Vec::new();
    (format(name).unwrap().write)(run, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn formats_are_sorted_and_their_files_distinct() {
    let names: Vec<_> = formats().iter().map(|format| format.name).collect();
    assert_eq!(names, ["badge", "github", "html", "json", "junit", "ktap", "markdown", "text"]);
    let files: std::collections::BTreeSet<_> = formats().iter().filter_map(|format| format.file).collect();
    // Two are made only when they are asked for.
    assert_eq!(files.len(), names.len() - 2);
    assert!(format("yaml").is_none());
}

#[rstest]
fn each_format_of_every_verdict(
    #[values("badge", "github", "json", "junit", "ktap", "markdown", "text")] name: &str,
) {
    insta::assert_snapshot!(name, rendered(name, &fixture::run()));
}

#[rstest]
fn each_format_of_no_claim(#[values("badge", "github", "junit", "ktap", "markdown", "text")] name: &str) {
    let run = Run::new(Default::default(), Vec::new(), Vec::new());
    insta::assert_snapshot!(format!("{name}_of_nothing"), rendered(name, &run));
}

#[rstest]
fn hostile_text_reaches_no_terminal(#[values("badge", "github", "ktap", "markdown", "text")] name: &str) {
    let text = rendered(name, &fixture::hostile());
    assert_eq!(text.chars().find(|c| c.is_control() && *c != '\n'), None);
    assert!(!text.contains('\u{202e}'));
}

#[rstest]
fn hostile_text_is_shown_as_text(#[values("ktap", "markdown", "text")] name: &str) {
    let name_of_it = format!("- {}::it", fixture::HOSTILE);
    let crash = fixture::because(&name_of_it, Verdict::Crash, fixture::HOSTILE);
    let run = Run::new(Default::default(), vec![crash], Vec::new());
    let text = rendered(name, &run);
    insta::assert_snapshot!(format!("{name}_of_hostile_text"), text);
}

#[test]
fn nothing_in_a_record_is_a_command_to_github() {
    let text = rendered("github", &fixture::hostile());
    for line in text.lines() {
        let (head, _) = line.strip_prefix("::").unwrap().split_once("::").unwrap();
        assert!(["error ", "warning ", "notice "].iter().any(|level| head.starts_with(level)), "{line}");
    }
    assert_eq!(text.lines().count(), 5 + 1, "one for each that is to act on, and the totals: {text}");
}

#[test]
fn nothing_in_a_fold_closes_it() {
    let text = rendered("markdown", &fixture::hostile());
    let fences = text.lines().filter(|line| line.starts_with("````")).count();
    let folds = text.lines().filter(|line| line.starts_with("<details>")).count();
    assert_eq!(fences, 2 * folds);
    assert_eq!(text.lines().filter(|line| line.starts_with("```") && !line.starts_with("````")).count(), 0);
}
