//! JUnit is read back by a parser of its own, whatever was written.

use quick_junit::{NonSuccessKind, Report, TestCaseStatus};
use reports::{Run, Verdict};
use rstest::rstest;

use crate::fixture::{self, entry};
use crate::formats::rendered;

#[rstest]
#[case::every_verdict(fixture::run())]
#[case::hostile(fixture::hostile())]
fn it_is_read_back_whole(#[case] run: Run) {
    let report = Report::deserialize_from_str(&rendered("junit", &run)).unwrap();
    let cases = report.test_suites.iter().flat_map(|suite| &suite.test_cases).count();
    assert_eq!(cases, run.claims.len());
}

#[rstest]
#[case(Verdict::Pass, "pass")]
#[case(Verdict::Fail, "failure fail")]
#[case(Verdict::Surprise, "failure surprise")]
#[case(Verdict::Crash, "error crash")]
#[case(Verdict::Hang, "error hang")]
#[case(Verdict::Fault, "error fault")]
#[case(Verdict::Skip, "skipped skip")]
#[case(Verdict::Known, "skipped known")]
fn verdicts_are_told_apart(#[case] verdict: Verdict, #[case] told: &str) {
    let run = Run::new(fixture::host(), vec![entry("a::b::c", verdict)], Vec::new());
    let report = Report::deserialize_from_str(&rendered("junit", &run)).unwrap();
    let case = &report.test_suites[0].test_cases[0];
    assert_eq!((case.classname.as_deref(), &*case.name), (Some("a::b"), "c"));
    let status = match &case.status {
        TestCaseStatus::Success { .. } => "pass".to_owned(),
        TestCaseStatus::NonSuccess { kind: NonSuccessKind::Failure, ty, .. } => {
            format!("failure {}", &**ty.as_ref().unwrap())
        }
        TestCaseStatus::NonSuccess { kind: NonSuccessKind::Error, ty, .. } => {
            format!("error {}", &**ty.as_ref().unwrap())
        }
        TestCaseStatus::Skipped { ty, .. } => format!("skipped {}", &**ty.as_ref().unwrap()),
    };
    assert_eq!(status, told);
}
