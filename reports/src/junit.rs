//! `junit.xml`: a run as JUnit XML, which every CI system shows. An area is a suite, a claim is a case.
//!
//! Fail and Surprise are failures, Crash, Hang and Fault are errors, Skip and Known are skipped with their reason; the
//! verdict is the `type` of each. Drift is skipped too, because it is information and a Pass would hide it.

use std::io;

use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};

use crate::account::account;
use crate::{Entry, Run, Verdict, outline, plain, report_format};

report_format!("junit", "junit.xml", "JUnit XML, for CI systems", write);

fn write(run: &Run, out: &mut dyn io::Write) -> io::Result<()> {
    let mut report = Report::new("assay");
    report.set_time(outline::total_time(&run.claims));
    for (area, entries) in outline::by_area(run) {
        let mut suite = TestSuite::new(plain::one_line(area));
        suite.set_time(outline::total_time(entries.iter().copied()));
        suite.add_properties(run.host.facts().into_iter().map(|(name, fact)| Property::new(name, fact)));
        suite.add_test_cases(entries.into_iter().map(case));
        report.add_test_suite(suite);
    }
    if let (Some(suite), false) = (report.test_suites.first_mut(), run.notes.is_empty()) {
        // The format has no place for what is said of the whole run.
        let notes: Vec<_> = run.notes.iter().flat_map(|note| plain::lines(note)).collect();
        suite.set_system_out(notes.join("\n"));
    }
    report.serialize(out).map_err(io::Error::other)
}

fn case(entry: &Entry) -> TestCase {
    let (module, function) = outline::module_and_function(&entry.name);
    let mut case = TestCase::new(plain::one_line(function), status(entry));
    case.set_classname(plain::one_line(module));
    case.set_time(outline::time(entry));
    case.add_property(Property::new("claim", plain::one_line(&entry.claim)));
    for source in &entry.source {
        case.add_property(Property::new("source", plain::one_line(source)));
    }
    if entry.verdict == Verdict::Pass && !entry.notes.is_empty() {
        let notes: Vec<_> = entry.notes.iter().flat_map(|note| plain::lines(note)).collect();
        case.set_system_out(notes.join("\n"));
    }
    case
}

fn status(entry: &Entry) -> TestCaseStatus {
    let mut status = match entry.verdict {
        Verdict::Pass => return TestCaseStatus::success(),
        Verdict::Skip | Verdict::Known => TestCaseStatus::skipped(),
        Verdict::Fail if entry.is_drift() => TestCaseStatus::skipped(),
        Verdict::Fail | Verdict::Surprise => TestCaseStatus::non_success(NonSuccessKind::Failure),
        Verdict::Crash | Verdict::Hang | Verdict::Fault => TestCaseStatus::non_success(NonSuccessKind::Error),
    };
    let kind = if entry.is_drift() { "drift" } else { entry.verdict.name() };
    status.set_type(kind).set_message(plain::clipped(&outline::why(entry), plain::LONG));
    if entry.verdict != Verdict::Skip {
        let claim = plain::one_line(&entry.claim);
        status.set_description(format!("{claim}\n{}", account(entry).join("\n")));
    }
    status
}
