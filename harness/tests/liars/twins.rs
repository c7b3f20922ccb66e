//! Twins that lie: one has a bit of its own in an answer, one in its state, one takes an interrupt that the other does not; and rows
//! that allow what is not there.

use std::collections::BTreeMap;

use guests::script::{Op, Said, Script};
use harness::twins::{Allowed, Answers, Rule, Twin, agree, each_is_needed};
use harness::{Outcome, Source, Stop, claim};
use proptest::prelude::*;
use reports::{Entry, Verdict};
use serde::{Deserialize, Serialize};

use crate::stage::{input, tried};

crate::tests!(
    a_bit_of_its_own_in_an_answer_is_a_fail,
    a_bit_of_its_own_in_the_state_is_a_fail,
    an_interrupt_of_its_own_is_a_fail,
    an_end_before_the_others_is_a_fail,
    a_state_that_is_not_told_is_a_fail,
    a_row_for_another_step_excuses_nothing,
    a_row_that_is_not_needed_is_a_fail,
    rows_that_end_everything_leave_nothing,
    honest_twins_hold,
);

/// Any steps at two ports.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Steps(Script);

impl Arbitrary for Steps {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> BoxedStrategy<Self> {
        let op = prop_oneof![
            (0..2_u16, any::<u8>()).prop_map(|(port, byte)| Op::Out(port, byte)),
            (0..2_u16).prop_map(Op::In),
            Just(Op::Take)
        ];
        prop::collection::vec(op, 1..12).prop_map(|ops| Self(Script(ops))).boxed()
    }
}

/// Two bytes that are kept.
fn model(script: &Script, spoil: impl Fn(&mut Answers, &[u64; 2])) -> Answers {
    let (mut kept, mut answers) = ([0; 2], Answers::default());
    for (index, op) in script.0.iter().enumerate() {
        match *op {
            Op::Out(port, byte) => kept[usize::from(port)] = u64::from(byte),
            Op::In(port) => answers.said.push((index, Said::Value(kept[usize::from(port)]))),
            _ => answers.said.push((index, Said::Done)),
        }
    }
    answers.state = BTreeMap::from([("first".to_owned(), kept[0]), ("second".to_owned(), kept[1])]);
    spoil(&mut answers, &kept);
    answers
}

fn truth(script: &Script) -> Result<Answers, Stop> {
    Ok(model(script, |_, _| ()))
}

/// Bit 6 of the last answer is its own once the second byte has bit 7.
fn answers_otherwise(script: &Script) -> Result<Answers, Stop> {
    Ok(model(script, |answers, kept| {
        if let Some((_, Said::Value(value))) = answers.said.last_mut()
            && kept[1] & 0x80 != 0
        {
            *value ^= 0x40;
        }
    }))
}

fn is_otherwise(script: &Script) -> Result<Answers, Stop> {
    Ok(model(script, |answers, kept| {
        if kept[0] > 0x10 {
            answers.state.insert("first".to_owned(), 0x10);
        }
    }))
}

fn takes_an_interrupt(script: &Script) -> Result<Answers, Stop> {
    Ok(model(script, |answers, kept| {
        let taken = answers.said.iter_mut().find(|(_, said)| *said == Said::Done);
        if let Some((_, said)) = taken.filter(|_| kept[0] & 1 != 0) {
            *said = Said::Raised(0x21);
        }
    }))
}

/// The last answer is left out.
fn ends_early(script: &Script) -> Result<Answers, Stop> {
    Ok(model(script, |answers, _| {
        answers.said.pop();
    }))
}

fn hides_its_state(script: &Script) -> Result<Answers, Stop> {
    Ok(model(script, |answers, _| answers.state.clear()))
}

const TRUTH: Twin = Twin { name: "the truth", answer: truth };

fn with(answer: fn(&Script) -> Result<Answers, Stop>) -> [Twin; 2] {
    [TRUTH, Twin { name: "the liar", answer }]
}

/// Bit 6 of what port 1 says: the liar's lie where it tells it at that port, and no other.
const AT_THE_SECOND: Allowed = Allowed {
    what: "bit 6 of port 1",
    source: Source::Observed("nowhere"),
    rule: Rule::Said(|upto| if upto.last() == Some(&Op::In(1)) { 0x40 } else { 0 }),
    example: &[Op::Out(1, 0x80), Op::In(1)],
};
const EVERYTHING: Allowed = Allowed {
    what: "all of it",
    source: Source::Observed("nowhere"),
    rule: Rule::Rest(|_| true),
    example: &[Op::In(0)],
};

fn an_answer(steps: Steps) -> Outcome {
    agree(&steps.0, &with(answers_otherwise), &[])
}
claim!(an_answer, "a twin with a bit of its own in an answer agrees", [Observed("nowhere")]);

fn a_state(steps: Steps) -> Outcome {
    agree(&steps.0, &with(is_otherwise), &[])
}
claim!(a_state, "a twin with a bit of its own in its state agrees", [Observed("nowhere")]);

fn an_interrupt(steps: Steps) -> Outcome {
    agree(&steps.0, &with(takes_an_interrupt), &[])
}
claim!(an_interrupt, "a twin that takes an interrupt of its own agrees", [Observed("nowhere")]);

fn an_early_end(steps: Steps) -> Outcome {
    agree(&steps.0, &with(ends_early), &[])
}
claim!(an_early_end, "a twin that ends before the other agrees", [Observed("nowhere")]);

fn a_hidden_state(steps: Steps) -> Outcome {
    agree(&steps.0, &with(hides_its_state), &[])
}
claim!(a_hidden_state, "a twin that tells nothing of its state agrees", [Observed("nowhere")]);

fn another_step(steps: Steps) -> Outcome {
    agree(&steps.0, &with(answers_otherwise), &[&AT_THE_SECOND])
}
claim!(another_step, "a row excuses another step", [Observed("nowhere")]);

fn not_needed() -> Outcome {
    each_is_needed(&with(truth), &[AT_THE_SECOND], &[])
}
claim!(not_needed, "a row is needed between twins that agree", [Observed("nowhere")]);

fn ended(steps: Steps) -> Outcome {
    agree(&steps.0, &with(truth), &[&EVERYTHING])
}
claim!(ended, "rows that end everything leave something", [Observed("nowhere")]);

fn honest(steps: Steps) -> Outcome {
    agree(&steps.0, &with(truth), &[])?;
    each_is_needed(&with(answers_otherwise), &[AT_THE_SECOND], &[])
}
claim!(honest, "twins that agree agree, and a row that is needed is needed", [Observed("nowhere")]);

fn failed(liar: &str, why: &str) -> Entry {
    let entry = tried(&format!("twins::{liar}"));
    assert_eq!((entry.verdict, entry.why.as_deref()), (Verdict::Fail, Some(why)));
    entry
}

fn a_bit_of_its_own_in_an_answer_is_a_fail() {
    let entry = tried("twins::an_answer");
    assert_eq!(entry.verdict, Verdict::Fail);
    let steps: Vec<Vec<Op>> = serde_json::from_value(input(&entry)).expect("the input is a script");
    assert_eq!(steps[0].len(), 2, "made small: {steps:?}");
    let why = entry.why.unwrap_or_default();
    assert!(why.starts_with("step ") && why.contains("the liar says 0x"), "{why}");
    let detail = entry.witness.map(|witness| witness.detail).unwrap_or_default();
    assert!(detail.iter().any(|line| line.contains("OUT 0x1 <- 0x80")), "{detail:?}");
}

fn a_bit_of_its_own_in_the_state_is_a_fail() {
    failed("a_state", "in the end first is 0x11 in the truth, 0x10 in the liar");
}

fn an_interrupt_of_its_own_is_a_fail() {
    let entry = tried("twins::an_interrupt");
    assert_eq!(entry.verdict, Verdict::Fail);
    let why = entry.why.unwrap_or_default();
    assert!(
        why.ends_with("STI; OUT; CLI: the truth says done, the liar says vector 0x21"),
        "what differs is not told: {why}"
    );
}

fn an_end_before_the_others_is_a_fail() {
    failed("an_early_end", "the truth answers other steps than the liar");
}

fn a_state_that_is_not_told_is_a_fail() {
    failed("a_hidden_state", "the truth and the liar have no part of their state in common");
}

fn a_row_for_another_step_excuses_nothing() {
    let entry = tried("twins::another_step");
    assert_eq!(entry.verdict, Verdict::Fail);
    assert!(entry.why.is_some_and(|why| why.contains("IN 0x0:")), "the other step is not told");
}

fn a_row_that_is_not_needed_is_a_fail() {
    failed("not_needed", "the twins do not differ: bit 6 of port 1");
}

fn rows_that_end_everything_leave_nothing() {
    let entry = tried("twins::ended");
    assert_eq!(entry.verdict, Verdict::Fail);
    assert!(entry.why.is_some_and(|why| why.starts_with("vacuous")), "nothing was compared");
}

fn honest_twins_hold() {
    assert_eq!(tried("twins::honest").verdict, Verdict::Pass);
}
