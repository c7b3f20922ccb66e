//! An expectation explains exactly the deviation that it names.

use reports::{Entry, HostMatch, Known, Verdict, settle};
use rstest::rstest;

use crate::fixture::{because, entry, host, saw};

fn known() -> Known {
    Known {
        claim: "a::b".to_owned(),
        host: HostMatch { module: Some("kvm_amd".to_owned()), ..HostMatch::default() },
        verdict: Verdict::Fail,
        seen: "EINVAL".to_owned(),
        why: "the length is looked at last".to_owned(),
        link: "api.rst 4.3".to_owned(),
        sometimes: false,
        at: "amd.toml:7".to_owned(),
    }
}

const WHY: Option<&str> = Some("the length is looked at last (api.rst 4.3)");
const STALE: Option<&str> =
    Some("it holds, and amd.toml:7 expects fail with EINVAL: remove that expectation, or narrow its host");
const NOTE: &[&str] = &["amd.toml:7 expects fail with EINVAL, which this is not"];

#[rstest]
#[case::as_expected(saw("a::b", Verdict::Fail, "EINVAL"), Verdict::Known, WHY, &[])]
#[case::among_other_words(saw("a::b", Verdict::Fail, "Err(EINVAL)"), Verdict::Known, WHY, &[])]
#[case::said_in_why(because("a::b", Verdict::Fail, "failed with EINVAL."), Verdict::Known, WHY, &[])]
#[case::held(entry("a::b", Verdict::Pass), Verdict::Surprise, STALE, &[])]
#[case::another_value(saw("a::b", Verdict::Fail, "EPERM"), Verdict::Fail, Some("the answers differ"), NOTE)]
#[case::part_of_a_word(
    saw("a::b", Verdict::Fail, "EINVALID"),
    Verdict::Fail,
    Some("the answers differ"),
    NOTE
)]
#[case::another_verdict(
    saw("a::b", Verdict::Crash, "EINVAL"),
    Verdict::Crash,
    Some("the answers differ"),
    NOTE
)]
#[case::no_value(entry("a::b", Verdict::Fail), Verdict::Fail, None, NOTE)]
#[case::another_claim(saw("a::c", Verdict::Fail, "EINVAL"), Verdict::Fail, Some("the answers differ"), &[])]
#[case::skipped(because("a::b", Verdict::Skip, "EINVAL"), Verdict::Skip, Some("EINVAL"), &[])]
#[case::fault(because("a::b", Verdict::Fault, "EINVAL"), Verdict::Fault, Some("EINVAL"), &[])]
fn entries(
    #[case] mut entry: Entry,
    #[case] verdict: Verdict,
    #[case] why: Option<&str>,
    #[case] notes: &[&str],
    #[values(1, 2)] times: usize,
) {
    for _ in 0..times {
        settle(&[known()], &mut entry, &host());
    }
    assert_eq!((entry.verdict, entry.why.as_deref()), (verdict, why));
    assert_eq!(entry.notes, notes);
}

#[test]
fn on_another_host_nothing_is_expected() {
    let host = reports::Host { module: Some("kvm_intel".to_owned()), ..host() };
    for before in [saw("a::b", Verdict::Fail, "EINVAL"), entry("a::b", Verdict::Pass)] {
        let mut after = before.clone();
        settle(&[known()], &mut after, &host);
        assert_eq!(after, before);
    }
}

#[test]
fn one_of_several_expectations_is_enough() {
    let other = Known { seen: "EPERM".to_owned(), ..known() };
    let mut entry = saw("a::b", Verdict::Fail, "EINVAL");
    settle(&[other, known()], &mut entry, &host());
    assert_eq!(entry.verdict, Verdict::Known);
}

#[test]
fn what_only_happens_sometimes_may_hold() {
    let known = Known { sometimes: true, ..known() };
    let mut held = entry("a::b", Verdict::Pass);
    settle(std::slice::from_ref(&known), &mut held, &host());
    assert_eq!(held, entry("a::b", Verdict::Pass));
    let mut broken = saw("a::b", Verdict::Fail, "EINVAL");
    settle(std::slice::from_ref(&known), &mut broken, &host());
    assert_eq!(broken.verdict, Verdict::Known);
    // An expectation beside it that does not say so is still stale.
    settle(&[known, self::known()], &mut held, &host());
    assert_eq!(held.verdict, Verdict::Surprise);
}
