//! KTAP is read by a strict parser of the grammar in the kernel's `Documentation/dev-tools/ktap.rst`.

use std::iter::Peekable;
use std::str::Lines;

use reports::{Run, Verdict};
use rstest::rstest;

use crate::fixture::{self, because};
use crate::formats::rendered;

/// A result line, and the results nested below it.
#[derive(Debug)]
struct Test {
    ok: bool,
    name: String,
    directive: String,
    subtests: Vec<Test>,
}

/// Reads a version line, a plan and as many results as it says, each line indented by `indent`; panics on all else.
fn parse(lines: &mut Peekable<Lines<'_>>, indent: &str) -> Vec<Test> {
    assert_eq!(lines.next(), Some(&*format!("{indent}KTAP version 1")));
    skip_diagnostics(lines, indent);
    let plan = lines.next().unwrap().strip_prefix(indent).unwrap().strip_prefix("1..").unwrap();
    let tests = (1..=plan.parse().unwrap()).map(|number: usize| {
        let nested = format!("{indent}  ");
        let is_nested = lines.peek().is_some_and(|line| **line == format!("{nested}KTAP version 1"));
        let subtests = if is_nested { parse(lines, &nested) } else { Vec::new() };
        skip_diagnostics(lines, indent);
        let test = result(lines.next().unwrap().strip_prefix(indent).unwrap(), number, subtests);
        assert!(test.subtests.iter().all(|subtest| subtest.ok) || !test.ok, "a failure must bubble up");
        test
    });
    tests.collect()
}

fn skip_diagnostics(lines: &mut Peekable<Lines<'_>>, indent: &str) {
    while lines.next_if(|line| line.starts_with(&format!("{indent}#"))).is_some() {}
}

fn result(line: &str, number: usize, subtests: Vec<Test>) -> Test {
    let (ok, rest) = match line.strip_prefix("not ") {
        Some(rest) => (false, rest),
        None => (true, line),
    };
    let rest = rest.strip_prefix(&format!("ok {number} ")).unwrap();
    let (name, directive) = rest.split_once(" # ").unwrap_or((rest, ""));
    assert!(!directive.contains('#'), "{line}");
    assert!(!name.contains('#') && !name.is_empty() && name.trim() == name, "{line}");
    Test { ok, name: name.to_owned(), directive: directive.to_owned(), subtests }
}

fn read(run: &Run) -> Vec<Test> {
    let text = rendered("ktap", run);
    // What the kernel's parser takes for the header of a subtest, and how often it may.
    let headers = text.lines().filter(|line| line.trim_start().starts_with("# Subtest: ")).count();
    let mut lines = text.lines().peekable();
    let tests = parse(&mut lines, "");
    skip_diagnostics(&mut lines, "");
    assert_eq!(lines.next(), None);
    assert_eq!(headers, tests.len());
    tests
}

#[rstest]
#[case::every_verdict(fixture::run())]
#[case::hostile(fixture::hostile())]
#[case::nothing(Run::new(fixture::host(), Vec::new(), Vec::new()))]
fn it_is_read_back_whole(#[case] run: Run) {
    let results: usize = read(&run).iter().map(|test| test.subtests.len()).sum();
    assert_eq!(results, run.claims.len());
}

#[rstest]
#[case(Verdict::Pass, true, "")]
#[case(Verdict::Skip, true, "SKIP why")]
#[case(Verdict::Known, true, "XFAIL why")]
#[case(Verdict::Fail, false, "fail: why")]
#[case(Verdict::Surprise, false, "surprise: why")]
#[case(Verdict::Crash, false, "crash: why")]
#[case(Verdict::Hang, false, "TIMEOUT why")]
#[case(Verdict::Fault, false, "ERROR why")]
fn verdicts_are_told_apart(#[case] verdict: Verdict, #[case] ok: bool, #[case] directive: &str) {
    let run = Run::new(fixture::host(), vec![because("a::b", verdict, "why")], Vec::new());
    let [area] = &*read(&run) else { panic!("one area") };
    let [claim] = &*area.subtests else { panic!("one claim") };
    assert_eq!((area.name.as_str(), area.ok), ("a", ok));
    assert_eq!((claim.name.as_str(), claim.ok, claim.directive.as_str()), ("a::b", ok, directive));
}
