//! Queries select what they say, and say what they do not understand.

use reports::{Facts, Query, Verdict, near};
use rstest::rstest;

fn matches(query: &str) -> bool {
    let needs = ["the capability KVM_CAP_NESTED_STATE".to_owned()];
    let source = ["api.rst 4.5 KVM_CREATE_VCPU".to_owned()];
    let facts = Facts {
        name: "vcpu::create::twice_is_eexist",
        claim: "KVM_CREATE_VCPU refuses an id twice",
        needs: &needs,
        source: &source,
        verdict: Some(Verdict::Fail),
        different: true,
    };
    Query::parse(query).unwrap().matches(&facts)
}

#[rstest]
#[case::everything("", true)]
#[case::area("vcpu", true)]
#[case::path("vcpu::create", true)]
#[case::path_as_of_a_file("vcpu/create", true)]
#[case::below("vcpu/", true)]
#[case::below_as_a_name("vcpu::create::", true)]
#[case::not_below("create::", false)]
#[case::part_of_the_name("is_eexist", true)]
#[case::part_of_the_sentence("REFUSES", true)]
#[case::ioctl("kvm_create_vcpu", true)]
#[case::elsewhere("system", false)]
#[case::all_must_match("vcpu refuses", true)]
#[case::all_must_match("vcpu system", false)]
#[case::negated("-system", true)]
#[case::negated("not:system", true)]
#[case::negated("-vcpu", false)]
#[case::negated_verdict("-status:fail", false)]
#[case::verdict("status:fail", true)]
#[case::verdicts("status:pass,Fail", true)]
#[case::verdict("status:pass", false)]
#[case::different("is:different", true)]
#[case::observed("is:observed", false)]
#[case::need("needs:nested", true)]
#[case::need("needs:lab", false)]
#[case::source("source:4.5", true)]
#[case::source("source:4.6", false)]
fn queries(#[case] query: &str, #[case] expected: bool) {
    assert_eq!(matches(query), expected);
}

#[rstest]
#[case("", false)]
#[case("vcpu needs:nested is:observed", false)]
#[case("vcpu status:fail", true)]
#[case("-is:different", true)]
fn queries_that_need_results(#[case] query: &str, #[case] expected: bool) {
    assert_eq!(Query::parse(query).unwrap().needs_results(), expected);
}

#[test]
fn a_claim_that_was_not_tried_has_no_verdict() {
    assert!(!Query::parse("status:pass").unwrap().matches(&Facts::default()));
}

#[rstest]
#[case(
    "verdict:fail",
    "cannot understand `verdict:fail`: the terms are status:, is:, needs:, source:, and plain text; a path is written a::b"
)]
#[case(
    "status:bad",
    "cannot understand `status:bad`: the verdicts are pass, fail, skip, known, surprise, crash, hang, fault"
)]
#[case("is:odd", "cannot understand `is:odd`: write is:different or is:observed")]
#[case("needs:", "cannot understand `needs:`: something must follow it")]
#[case("a -", "cannot understand `-`: something must follow it")]
fn what_is_not_understood_is_said(#[case] query: &str, #[case] expected: &str) {
    assert_eq!(format!("cannot {}", Query::parse(query).unwrap_err()), expected);
}

#[rstest]
#[case::typo("vcpu::creat", &["vcpu::create::twice_is_eexist"])]
#[case::typo_in_a_function("twice_is_exist", &["vcpu::create::twice_is_eexist"])]
#[case::case_and_slash("VCPU/Craete", &["vcpu::create::twice_is_eexist"])]
#[case::shared_segment("vcpu::frobnicate", &["vcpu::create::twice_is_eexist", "vcpu::regs::round_trip"])]
#[case::only_what_speaks_of_names("creat status:fail -vcpu", &["vcpu::create::twice_is_eexist"])]
#[case::nothing_like_it("zzzzzz", &[])]
#[case::nothing("", &[])]
fn names_that_are_near(#[case] text: &str, #[case] expected: &[&str]) {
    let names = ["system::api_version::is_twelve", "vcpu::create::twice_is_eexist", "vcpu::regs::round_trip"];
    assert_eq!(near(text, names.into_iter()), expected);
}

#[test]
fn no_more_than_three_are_offered() {
    assert_eq!(near("vm", ["vm::a", "vm::b", "vm::c", "vm::d"].into_iter()), ["vm::a", "vm::b", "vm::c"]);
}
