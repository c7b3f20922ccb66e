//! What changed between two runs, for each pair of verdicts, and as it is told.

use reports::{
    ChangeKind, Entry, Host, Query, Run, Verdict, changes, host_changes, write_html, write_markdown,
    write_text,
};
use rstest::rstest;

use crate::fixture::{self, because, entry, saw};

/// Rows are before, columns after, both in the order pass fail skip known surprise crash hang fault.
const ORDER: [Verdict; 8] = Verdict::ALL;

#[rstest]
#[case::pass(Verdict::Pass, ".!~~~!!.")]
#[case::fail(Verdict::Fail, "+.~~+!!.")]
#[case::skip(Verdict::Skip, "~~.~~~~.")]
#[case::known(Verdict::Known, "+!~.+!!.")]
#[case::surprise(Verdict::Surprise, "~!~~.!!.")]
#[case::crash(Verdict::Crash, "+~~~+.~.")]
#[case::hang(Verdict::Hang, "+~~~+~..")]
#[case::fault(Verdict::Fault, "........")]
fn each_pair_of_verdicts(#[case] before: Verdict, #[case] expected: &str) {
    let told: String =
        ORDER.map(|after| kind(entry("a::b", before), entry("a::b", after))).map(sign).iter().collect();
    assert_eq!(told, expected);
}

fn sign(kind: Option<ChangeKind>) -> char {
    match kind {
        None => '.',
        Some(ChangeKind::Regressed) => '!',
        Some(ChangeKind::Fixed) => '+',
        Some(ChangeKind::Different) => '~',
        Some(ChangeKind::Vanished | ChangeKind::Appeared) => '?',
    }
}

fn kind(before: Entry, after: Entry) -> Option<ChangeKind> {
    let (before, after) = (run(vec![before]), run(vec![after]));
    changes(&before, &after).first().map(|change| change.kind)
}

fn run(claims: Vec<Entry>) -> Run {
    Run::new(fixture::host(), claims, Vec::new())
}

#[rstest]
#[case::same_value(saw("a", Verdict::Fail, "1"), saw("a", Verdict::Fail, "1"), None)]
#[case::other_value(saw("a", Verdict::Fail, "1"), saw("a", Verdict::Fail, "2"), Some(ChangeKind::Different))]
#[case::other_known_value(
    saw("a", Verdict::Known, "1"),
    saw("a", Verdict::Known, "2"),
    Some(ChangeKind::Different)
)]
#[case::other_known_reason(
    because("a", Verdict::Known, "x"),
    because("a", Verdict::Known, "y"),
    Some(ChangeKind::Different)
)]
#[case::other_crash(
    because("a", Verdict::Crash, "SIGSEGV"),
    because("a", Verdict::Crash, "SIGBUS"),
    Some(ChangeKind::Different)
)]
#[case::other_skip(because("a", Verdict::Skip, "x"), because("a", Verdict::Skip, "y"), None)]
#[case::drift(entry("a", Verdict::Pass), observed(Verdict::Fail), Some(ChangeKind::Different))]
#[case::a_crash_is_no_drift(entry("a", Verdict::Pass), observed(Verdict::Crash), Some(ChangeKind::Regressed))]
fn values_and_sources_decide_too(
    #[case] before: Entry,
    #[case] after: Entry,
    #[case] expected: Option<ChangeKind>,
) {
    assert_eq!(kind(before, after), expected);
}

fn observed(verdict: Verdict) -> Entry {
    Entry { source: vec!["observed".to_owned()], ..entry("a", verdict) }
}

fn two_runs() -> (Run, Run) {
    let before = run(vec![
        entry("vm::create::holds", Verdict::Pass),
        entry("vm::create::is_gone", Verdict::Pass),
        entry("vm::create::needs_more", Verdict::Pass),
        saw("vm::pit::counts", Verdict::Fail, "0"),
        saw("vm::pit::mends", Verdict::Fail, "0"),
        because("vcpu::regs::faults", Verdict::Fault, "ENOMEM"),
    ]);
    let after = run(vec![
        saw("vm::create::holds", Verdict::Fail, "EINVAL"),
        because("vm::create::needs_more", Verdict::Skip, "needs KVM_CAP_PIT2"),
        saw("vm::pit::counts", Verdict::Fail, "1"),
        entry("vm::pit::mends", Verdict::Pass),
        entry("vm::pit::new", Verdict::Pass),
        entry("vcpu::regs::faults", Verdict::Pass),
    ]);
    (before, Run { host: later_host(), ..after })
}

fn later_host() -> Host {
    let mut host = Host { release: "6.18.1".to_owned(), module: None, ..fixture::host() };
    host.capabilities = [("KVM_CAP_NR_MEMSLOTS", 509), ("KVM_CAP_X2APIC_API", 3)]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
    host.parameters.entry("kvm_amd".to_owned()).or_default().remove("npt");
    host
}

#[test]
fn changes_are_told_with_regressions_first() {
    let (before, after) = two_runs();
    let mut out = Vec::new();
    write_text(&mut out, &before, &after, &changes(&before, &after)).unwrap();
    insta::assert_snapshot!("changes", String::from_utf8(out).unwrap());
}

#[test]
fn changes_fit_the_comment_on_a_pull_request() {
    let (before, after) = two_runs();
    let mut out = Vec::new();
    write_markdown(&mut out, &before, &after, &changes(&before, &after)).unwrap();
    insta::assert_snapshot!("changes_as_markdown", String::from_utf8(out).unwrap());
}

#[test]
fn many_changes_stay_short() {
    let many = |verdict| run((0..500).map(|n| entry(&format!("a::claim_{n}"), verdict)).collect());
    let (before, after) = (many(Verdict::Pass), many(Verdict::Fail));
    let mut out = Vec::new();
    write_markdown(&mut out, &before, &after, &changes(&before, &after)).unwrap();
    let text = String::from_utf8(out).unwrap();
    // What GitHub takes in a comment.
    assert!(text.len() < 65_536 / 2, "{} bytes", text.len());
    assert!(text.contains("and 460 more"), "{text}");
}

/// What changed, as a page.
pub(crate) fn page(before: &Run, after: &Run) -> String {
    let mut out = Vec::new();
    write_html(&mut out, before, after, &changes(before, after)).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn changes_are_a_page_with_regressions_open() {
    let (before, after) = two_runs();
    let page = page(&before, &after);
    let (_, first) = page.split_once("<details").unwrap();
    assert!(first.starts_with(" open>\n<summary><span class=\"name\">regressed</span>"), "{page}");
    assert_eq!(page.matches("<details open>").count(), 1, "{page}");
    let page = self::page(&run(vec![]), &fixture::hostile());
    assert!(!page.contains("</details> <!--"), "{page}");
    assert_eq!(page.chars().find(|c| c.is_control() && *c != '\n'), None);
}

#[test]
fn a_run_has_not_changed_from_itself() {
    for run in [fixture::run(), fixture::hostile()] {
        assert_eq!(changes(&run, &run), []);
        assert_eq!(host_changes(&run.host, &run.host), Vec::<String>::new());
    }
}

#[test]
fn a_query_selects_changes() {
    let (before, after) = two_runs();
    let query = Query::parse("is:different status:skip").unwrap();
    let selected = changes(&before, &after).into_iter().filter(|change| query.matches(&change.facts()));
    assert_eq!(selected.map(|change| change.name).collect::<Vec<_>>(), ["vm::create::needs_more"]);
}

#[test]
fn hosts_differ_by_their_facts() {
    let expected = [
        "release: 6.12.48-cloud-amd64 → 6.18.1",
        "module: kvm_amd → none",
        "parameter lost: kvm_amd.npt (was Y)",
        "capability changed: KVM_CAP_NR_MEMSLOTS = 32764 → 509",
        "capability gained: KVM_CAP_X2APIC_API = 3",
    ];
    assert_eq!(host_changes(&fixture::host(), &later_host()), expected);
}
