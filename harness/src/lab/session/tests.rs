//! A kernel's whole run with machines that follow a script.

use std::cell::RefCell;
use std::collections::VecDeque;

use super::*;

static CLAIMS: [Claim; 3] =
    [Claim::planted("x::a", "first"), Claim::planted("x::a", "killer"), Claim::planted("x::a", "last")];

/// Machines by their scripts, and the claims that each was ordered to try.
struct Scripts {
    left: RefCell<VecDeque<Vec<Event>>>,
    ordered: RefCell<Vec<Vec<String>>>,
}

struct Script(VecDeque<Event>);

impl Boot for Scripts {
    fn boot(&self, orders: &Orders) -> Result<Box<dyn Emulator>, BootError> {
        self.ordered.borrow_mut().push(orders.claims.clone());
        let script = self.left.borrow_mut().pop_front().expect("another boot than was expected");
        Ok(Box::new(Script(script.into())))
    }
}

impl Emulator for Script {
    fn next(&mut self, _: Duration) -> Event {
        self.0.pop_front().unwrap_or(Event::Quiet)
    }
}

struct Deaf;

/// The release that it does not want.
const UNWANTED: &str = "6.12.0-other";

impl Watcher for Deaf {
    fn booted(&self, host: &Host) -> Result<(), String> {
        if host.release == UNWANTED { Err("go on with another machine's record".into()) } else { Ok(()) }
    }
    fn began(&self, _: &str) {}
    fn ended(&self, _: &Entry) {}
    fn noted(&self, _: &str) {}
}

fn plan() -> Plan {
    Plan {
        claims: CLAIMS.iter().collect(),
        orders: Orders {
            claims: vec![],
            seed: 0,
            budget: Duration::ZERO,
            clock: None,
            memory: 0,
            parameters: BTreeMap::new(),
            emulator: "Script 1.0".into(),
            known: vec![],
        },
        replay: "assay lab --kernel k".into(),
        boot: Duration::from_secs(60),
        silence: Duration::from_secs(60),
    }
}

/// The run that these machines make, and what each was ordered to try.
fn run(plan: &Plan, scripts: Vec<Vec<Event>>) -> (Result<Run, LostError>, Vec<Vec<String>>) {
    let scripts = Scripts { left: RefCell::new(scripts.into()), ordered: RefCell::default() };
    let run = Session::new(&scripts, plan, &Deaf, &Interrupt::default()).run();
    assert!(scripts.left.borrow().is_empty(), "fewer boots than were expected");
    (run, scripts.ordered.into_inner())
}

fn up() -> Event {
    Event::Said(Word::Host { facts: Box::default(), clock: 0 })
}

fn trying(name: &str) -> Event {
    Event::Said(Word::Trying(format!("a::{name}")))
}

fn passed(index: usize) -> Event {
    Event::Said(Word::Entry(Box::new(blank(&CLAIMS[index], Verdict::Pass))))
}

fn goodbye() -> Event {
    Event::Said(Word::Goodbye)
}

fn console(line: &str) -> Event {
    Event::Console(line.into())
}

fn ended() -> Event {
    Event::Ended { failure: None }
}

fn panics() -> [Event; 3] {
    [console("[ 9.0] sysrq: Trigger a crash"), console("[ 9.1] Kernel panic - not syncing: sysrq"), ended()]
}

fn verdicts(run: &Run) -> Vec<(&str, Verdict)> {
    run.claims.iter().map(|entry| (entry.name.as_str(), entry.verdict)).collect()
}

#[test]
fn a_kernel_that_lives_is_booted_once() {
    let script = vec![up(), trying("first"), passed(0), passed(1), passed(2), goodbye()];
    let (run, ordered) = run(&plan(), vec![script]);
    assert!(verdicts(&run.unwrap()).iter().all(|(_, verdict)| *verdict == Verdict::Pass));
    assert_eq!(ordered, [["a::first", "a::killer", "a::last"]]);
}

#[test]
fn a_kernel_that_is_not_wanted_is_left_before_anything_is_tried() {
    let facts = Box::new(Host { release: UNWANTED.into(), ..Host::default() });
    let script = vec![Event::Said(Word::Host { facts, clock: 0 }), trying("first"), passed(0)];
    let (run, ordered) = run(&plan(), vec![script]);
    assert_eq!(run.unwrap_err().to_string(), "go on with another machine's record");
    assert_eq!(ordered.len(), 1);
}

#[test]
fn a_panic_costs_one_claim_which_is_tried_a_second_time_at_the_end() {
    let mut first = vec![up(), trying("first"), passed(0), trying("killer")];
    first.extend(panics());
    let mut second = vec![up(), trying("last"), passed(2), trying("killer")];
    second.extend(panics());
    let (run, ordered) = run(&plan(), vec![first, second]);
    let run = run.unwrap();
    assert_eq!(ordered[1], ["a::last", "a::killer"]);
    assert_eq!(
        verdicts(&run),
        [("a::first", Verdict::Pass), ("a::killer", Verdict::Crash), ("a::last", Verdict::Pass)]
    );
    let entry = &run.claims[1];
    assert_eq!(entry.why.as_deref(), Some("the kernel panicked: Kernel panic - not syncing: sysrq"));
    let witness = entry.witness.as_ref().unwrap();
    assert!(witness.detail.iter().any(|line| line.contains("Trigger a crash")), "{witness:?}");
    assert_eq!(witness.replay, "assay lab --kernel k a::killer");
    assert_eq!(entry.notes.len(), 1);
}

#[test]
fn a_claim_that_killed_once_stays_a_crash_though_it_held_later() {
    let mut first = vec![up(), trying("first"), passed(0), trying("killer")];
    first.extend(panics());
    let second = vec![up(), passed(2), trying("killer"), passed(1), goodbye()];
    let (run, _) = run(&plan(), vec![first, second]);
    let run = run.unwrap();
    assert_eq!(run.claims[1].verdict, Verdict::Crash);
    assert!(run.claims[1].notes[0].contains("it was a pass"), "{:?}", run.claims[1].notes);
}

#[test]
fn an_emulator_that_dies_says_nothing_of_the_claim() {
    let first = vec![
        up(),
        passed(0),
        passed(2),
        trying("killer"),
        console("qemu: assertion failed"),
        Event::Ended { failure: Some("signal: 6".into()) },
    ];
    let second = vec![up(), trying("killer"), passed(1), goodbye()];
    let (run, _) = run(&plan(), vec![first, second]);
    let run = run.unwrap();
    assert_eq!(run.claims[1].verdict, Verdict::Pass);
    assert!(run.claims[1].notes[0].contains("the emulator died"), "{:?}", run.claims[1].notes);
}

#[test]
fn silence_in_a_claim_is_its_crash() {
    let plan = Plan { silence: Duration::ZERO, ..plan() };
    let one = vec![up()];
    let (run, _) = run(&plan, vec![one.clone(), one]);
    // Silent at once, before any claim was tried, and again: given up.
    let run = run.unwrap();
    assert!(run.claims.iter().all(|entry| entry.verdict == Verdict::Fault));
    assert!(run.notes[0].contains("nothing was heard of it"), "{:?}", run.notes);
}

#[test]
fn a_kernel_that_never_reaches_init_is_told_with_its_last_words() {
    let script = vec![console("[ 1.0] Kernel panic - not syncing: No working init found."), ended()];
    let (run, _) = run(&plan(), vec![script]);
    let error = run.unwrap_err().to_string();
    assert!(error.contains("reach init") && error.contains("No working init found"), "{error}");
}

#[test]
fn a_kernel_without_kvm_says_why() {
    let (run, _) = run(&plan(), vec![vec![Event::Said(Word::Unusable("SVM not supported".into()))]]);
    assert!(run.unwrap_err().to_string().contains("SVM not supported"));
}

#[test]
fn what_the_channel_lost_is_tried_again() {
    let first = vec![up(), passed(0), Event::Garbled("{\"entry\":{".into()), passed(2), goodbye()];
    let second = vec![up(), trying("killer"), passed(1), goodbye()];
    let (run, ordered) = run(&plan(), vec![first, second]);
    assert_eq!(ordered[1], ["a::killer"]);
    assert!(verdicts(&run.unwrap()).iter().all(|(_, verdict)| *verdict == Verdict::Pass));
}

#[test]
fn what_was_said_is_kept_when_the_run_is_interrupted() {
    let interrupt = Interrupt::default();
    interrupt.interrupt();
    let scripts = Scripts { left: RefCell::new([vec![up()]].into()), ordered: RefCell::default() };
    let run = Session::new(&scripts, &plan(), &Deaf, &interrupt).run();
    assert!(matches!(run, Err(LostError::Interrupted)));
}
