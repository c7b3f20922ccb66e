//! How much of the interface runs really tried: counted by what happened, and by nobody's word.

use std::collections::{BTreeMap, BTreeSet};

use reports::{
    Answers, Coverage, Entry, Exits, Interface, Kind, Matrix, Part, Run, State, Verdict, merged, untried,
};
use rstest::rstest;

use crate::fixture::{self, entry};
use crate::formats::rendered;

/// What one claim asked: commands with what they were answered, by the kind of descriptor.
pub(crate) fn answers(commands: &[(&str, &str, &[&str])]) -> Answers {
    let mut answers = Answers::default();
    for (descriptor, command, answered) in commands {
        let of_kind = answers.commands.entry((*descriptor).into()).or_default();
        of_kind.insert((*command).into(), answered.iter().map(|answer| (*answer).into()).collect());
    }
    answers
}

/// What a claim asked that runs a guest.
pub(crate) fn running() -> Answers {
    let exits = Exits { times: 3, fastest_ns: Some(1800) };
    Answers {
        enabled: BTreeSet::from(["KVM_CAP_EXIT_HYPERCALL".to_owned()]),
        exits: BTreeMap::from([("KVM_EXIT_HLT".to_owned(), exits)]),
        details: BTreeSet::from(["KVM_RUN_X86_SMM".to_owned()]),
        ..answers(&[
            ("system", "KVM_CREATE_VM", &["ok"]),
            ("vm", "KVM_CREATE_VCPU", &["ok", "EEXIST"]),
            ("vcpu", "KVM_RUN", &["ok", "EINTR"]),
        ])
    }
}

/// What a claim asked that sends everything to everything.
fn everything() -> Answers {
    let interface = Interface::shipped().unwrap();
    let all: Vec<_> = interface.pairs().map(|pair| (pair.descriptor, pair.name, &["ok"][..])).collect();
    answers(&all)
}

fn claim(name: &str, verdict: Verdict, answers: Answers) -> Entry {
    Entry { answers, ..entry(name, verdict) }
}

fn run(claims: Vec<Entry>) -> Run {
    Run::new(fixture::host(), claims, vec![])
}

/// A run in which a claim ran a guest, a sweep sent everything, and a liar made an irqchip.
pub(crate) fn recorded() -> Run {
    let lie = answers(&[("vm", "KVM_CREATE_IRQCHIP", &["ok", "EEXIST"])]);
    let small = answers(&[("vm", "KVM_CREATE_PIT2", &["ENOENT"]), ("vm", "KVM_CREATE_VM", &["ENOTTY"])]);
    run(vec![
        claim("a::runs", Verdict::Pass, running()),
        claim("b::lies", Verdict::Fail, lie),
        claim("c::is_refused", Verdict::Pass, small),
        claim("d::sends_everything", Verdict::Pass, everything()),
    ])
}

/// Another, in which a claim set the clock and nothing else was tried.
pub(crate) fn recorded_elsewhere() -> Run {
    run(vec![claim("a::runs", Verdict::Pass, answers(&[("vm", "KVM_SET_CLOCK", &["ok"])]))])
}

fn state(run: &Run, descriptor: &str, name: &str, error: Option<&str>) -> State {
    let interface = Interface::shipped().unwrap();
    let coverage = Coverage::of(interface, [run]);
    let pair = interface.pairs().find(|pair| (pair.descriptor, pair.name) == (descriptor, name)).unwrap();
    match error {
        None => coverage.pair(pair),
        Some(error) => coverage.error(pair, error, pair.errors_out_of_reach.get(error).copied()),
    }
}

#[rstest]
#[case::seen("vm", "KVM_CREATE_VCPU", None, State::Tried)]
#[case::refused("vm", "KVM_CREATE_VCPU", Some("EEXIST"), State::Tried)]
#[case::by_a_liar("vm", "KVM_CREATE_IRQCHIP", Some("EEXIST"), State::Unproven)]
#[case::by_a_liar_and_a_sweep("vm", "KVM_CREATE_IRQCHIP", None, State::Swept)]
#[case::refused_is_no_success("vm", "KVM_CREATE_PIT2", None, State::Swept)]
#[case::by_a_sweep("vcpu", "KVM_GET_REGS", None, State::Swept)]
#[case::another_kind_of_descriptor("system", "KVM_GET_MSRS", Some("EFAULT"), State::Untried)]
#[case::by_nobody("vm", "KVM_GET_IRQCHIP", Some("ENXIO"), State::Untried)]
#[case::by_nobody_ever("system", "KVM_GET_SUPPORTED_CPUID", Some("ENOMEM"), State::OutOfReach)]
fn what_counts_is_what_claims_that_passed_saw(
    #[case] descriptor: &str,
    #[case] name: &str,
    #[case] error: Option<&str>,
    #[case] expected: State,
) {
    assert_eq!(state(&recorded(), descriptor, name, error), expected);
}

#[rstest]
#[case::enabled("KVM_CAP_EXIT_HYPERCALL", State::Tried)]
#[case::by_its_exit("KVM_CAP_HLT", State::Tried)]
#[case::by_a_detail("KVM_CAP_X86_SMM", State::Tried)]
#[case::by_its_command("KVM_CAP_VM_TYPES", State::Tried)]
#[case::by_a_sweep("KVM_CAP_IRQCHIP", State::Swept)]
#[case::not_enabled("KVM_CAP_SPLIT_IRQCHIP", State::Untried)]
#[case::by_nothing("KVM_CAP_NR_VCPUS", State::OutOfReach)]
fn a_capability_counts_where_its_behaviour_was_seen(#[case] name: &str, #[case] expected: State) {
    let interface = Interface::shipped().unwrap();
    let capability = interface.capabilities.iter().find(|capability| capability.name == name).unwrap();
    assert_eq!(Coverage::of(interface, [&recorded()]).capability(capability), expected);
}

#[test]
fn only_many_commands_make_a_sweep() {
    assert!(everything().is_sweep() && !running().is_sweep());
    // However often, and with whatever answers, the same commands are few.
    let mut many = running();
    (0..1000).for_each(|_| many.add(&running()));
    assert!(!many.is_sweep());
}

#[test]
fn the_table_is_at_the_end_of_a_run() {
    let text = rendered("text", &recorded());
    let (_, table) = text.split_once("=== tried").unwrap();
    insta::assert_snapshot!("tried", format!("=== tried{table}"));
}

#[test]
fn what_the_data_hold_out_of_reach_and_a_claim_saw_is_told() {
    let exits = BTreeMap::from([("KVM_EXIT_TDX".to_owned(), Exits { times: 1, fastest_ns: None })]);
    let seen = run(vec![claim("a::runs", Verdict::Pass, Answers { exits, ..Answers::default() })]);
    let text = rendered("text", &seen);
    assert!(text.contains("KVM_EXIT_TDX was seen, which the data hold out of reach: needs TDX"), "{text}");
    assert!(!rendered("text", &recorded()).contains("was seen, which"));
}

#[test]
fn an_older_record_has_no_table() {
    let mut json = serde_json::to_value(recorded()).unwrap();
    for entry in json["claims"].as_array_mut().unwrap() {
        entry.as_object_mut().unwrap().remove("answers");
    }
    let older = Run::from_json(json.to_string()).unwrap();
    assert!(!rendered("text", &older).contains("=== tried"));
    assert!(!rendered("html", &older).contains("id=\"tried\""));
}

#[test]
fn parts_tried_together_what_the_whole_did() {
    let Run { host, claims, .. } = recorded();
    let part = |number, claims: Vec<Entry>| {
        let part = Part { number, of: 2, claims: 4 };
        ((), Run { part: Some(part), ..Run::new(host.clone(), claims, vec![]) })
    };
    let parts = [part(1, claims[..1].to_vec()), part(2, claims[1..].to_vec())];
    let whole = merged(parts).unwrap().remove(0).1;
    let table = |run: &Run| rendered("text", run).split_once("=== tried").unwrap().1.to_owned();
    assert_eq!(table(&whole), table(&recorded()));
}

#[test]
fn several_kernels_are_counted_together() {
    let one = run(vec![claim("a::b", Verdict::Pass, answers(&[("vm", "KVM_GET_CLOCK", &["ok"])]))]);
    let other = run(vec![claim("a::b", Verdict::Pass, answers(&[("vm", "KVM_SET_CLOCK", &["ok"])]))]);
    let mut text = Vec::new();
    Matrix::new([("6.1", &one), ("6.12", &other)]).write_text(&mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("    2 of 119 descriptor-command pairs "), "{text}");
}

#[test]
fn what_is_left_is_named_with_its_reason() {
    let left = untried(Interface::shipped().unwrap(), &[recorded()]);
    let why = |kind, name: &str| {
        let found = left.iter().find(|untried| (untried.kind, untried.name.as_str()) == (kind, name));
        found.unwrap_or_else(|| panic!("{name} is not left")).why.as_deref()
    };
    assert_eq!(why(Kind::SourceError, "vm      KVM_GET_IRQCHIP ENXIO"), None);
    assert_eq!(why(Kind::Pair, "vcpu    KVM_GET_REGS"), Some("seen in sweeps alone"));
    assert_eq!(why(Kind::Exit, "KVM_EXIT_TDX"), Some("out of reach: needs TDX"));
    assert_eq!(why(Kind::Exit, "KVM_EXIT_EXCEPTION"), Some("Intel's KVM alone gives it"));
    assert_eq!(
        why(Kind::Capability, "KVM_CAP_ONE_REG"),
        Some("seen in sweeps alone"),
        "whoever saw it, saw it"
    );
    assert_eq!(
        why(Kind::Capability, "KVM_CAP_GUEST_MEMFD_FLAGS"),
        Some("out of reach: an argument of a command shows it, and not the command")
    );
    assert!(left.iter().all(|untried| !untried.name.contains("KVM_CREATE_VCPU EEXIST")));
    let nothing = untried(Interface::shipped().unwrap(), &[run(vec![])]);
    let register = nothing.iter().find(|untried| untried.name == "vcpu    KVM_GET_ONE_REG").unwrap();
    assert_eq!(register.why.as_deref(), Some("not in these kernels: since Linux 6.18 on x86"));
}
