//! Claims that lie: Fail, shrunk, with a witness; and claims that never check anything.

use harness::{Outcome, Stop, claim, equal, holds};
use reports::Verdict;
use serde_json::{Value, json};

use crate::stage::{input, line, settings, tried, tried_with};

crate::tests!(
    a_lie_is_a_fail,
    a_number_is_shrunk,
    a_sequence_is_shrunk,
    several_arguments_are_shrunk,
    the_case_comes_again_by_its_seed,
    no_check_at_all_is_vacuous,
    no_check_in_any_case_is_vacuous,
    a_check_in_one_case_is_enough,
    a_case_without_a_check_is_no_smaller_lie,
    skipping_some_inputs_hides_no_lie,
    skipping_some_inputs_is_no_skip,
);

fn plainly() -> Outcome {
    equal(2 + 2, 5) // lies plainly
}
claim!(plainly, "two and two are five", [Observed("nowhere")]);

fn a_lie_is_a_fail() {
    let entry = tried("fails::plainly");
    let witness = entry.witness.expect("a witness");
    assert_eq!(entry.verdict, Verdict::Fail);
    assert_eq!(entry.why.as_deref(), Some("expected 5, saw 4"));
    assert_eq!((witness.expected.as_deref(), witness.seen.as_deref()), (Some("5"), Some("4")));
    assert_eq!(witness.at, line(file!(), include_str!("fails.rs"), "lies plainly"));
    assert_eq!((witness.input, witness.seed), (None, None));
    assert_eq!(witness.replay, "assay replay fails::plainly");
    assert_eq!((entry.cases, entry.reached, entry.notes), (1, 1, vec![]));
}

fn above_a_thousand(number: u32) -> Outcome {
    holds(number < 1000, "the number is below a thousand")
}
claim!(above_a_thousand, "every number is below a thousand", [Observed("nowhere")]);

fn a_number_is_shrunk() {
    let entry = tried("fails::above_a_thousand");
    assert_eq!((entry.verdict, input(&entry)), (Verdict::Fail, json!([1000])));
    assert_eq!(entry.why.as_deref(), Some("it does not hold that the number is below a thousand"));
    let witness = entry.witness.expect("a witness");
    assert_eq!(witness.replay, "assay replay fails::above_a_thousand --input '[1000]'");
    assert!(witness.seed.is_some_and(|seed| seed.starts_with("0x")));
}

fn in_long_sequences(sequence: Vec<u8>) -> Outcome {
    holds(sequence.len() < 3, "the sequence is short")
}
claim!(in_long_sequences, "every sequence is short", [Observed("nowhere")]);

fn a_sequence_is_shrunk() {
    let entry = tried("fails::in_long_sequences");
    assert_eq!((entry.verdict, input(&entry)), (Verdict::Fail, json!([[0, 0, 0]])));
}

fn in_pairs(number: u8, sign: bool, rest: u64) -> Outcome {
    holds(number < 7 || !sign, format_args!("{number} and {sign} agree, whatever {rest} is"))
}
claim!(in_pairs, "every pair agrees", [Observed("nowhere")]);

fn several_arguments_are_shrunk() {
    let entry = tried("fails::in_pairs");
    assert_eq!((entry.verdict, input(&entry)), (Verdict::Fail, json!([7, true, 0])));
}

fn the_case_comes_again_by_its_seed() {
    let entry = tried("fails::in_pairs");
    let seed = entry.witness.as_ref().and_then(|witness| witness.seed.clone()).expect("a seed");
    let seed = u64::from_str_radix(seed.trim_start_matches("0x"), 16).expect("a number");
    let what = harness::isolate::What::Case { seed, steps: String::new() };
    let claim = crate::stage::planted(&["fails::in_pairs"])[0];
    let again = harness::runner::try_one(claim, what, &crate::stage::facts(), &settings()).expect("an entry");
    assert_eq!((again.verdict, again.witness), (entry.verdict, entry.witness));
}

fn by_saying_nothing() -> Outcome {
    Ok(())
}
claim!(by_saying_nothing, "nothing is said", [Observed("nowhere")]);

fn no_check_at_all_is_vacuous() {
    let entry = tried("fails::by_saying_nothing");
    assert_eq!((entry.verdict, entry.reached), (Verdict::Fail, 0));
    assert_eq!(entry.why.as_deref(), Some("vacuous: it made no check"));
}

fn by_evading(_: u64) -> Outcome {
    Ok(())
}
claim!(by_evading, "every number is evaded", [Observed("nowhere")]);

fn no_check_in_any_case_is_vacuous() {
    let entry = tried("fails::by_evading");
    assert_eq!((entry.verdict, entry.cases, entry.reached), (Verdict::Fail, 64, 0));
    assert_eq!(entry.why.as_deref(), Some("vacuous: none of 64 cases made a check"));
    assert_eq!(input(&entry), Value::Null, "no input is to blame");
}

fn hardly_ever(number: u8) -> Outcome {
    if number >= 128 { equal(number, number) } else { Ok(()) }
}
claim!(hardly_ever, "half of the numbers are themselves", [Observed("everywhere")]);

fn a_check_in_one_case_is_enough() {
    let entry = tried("fails::hardly_ever");
    assert_eq!((entry.verdict, entry.cases), (Verdict::Pass, 64));
    assert!((1..64).contains(&entry.reached), "{} of 64 cases", entry.reached);
}

fn above_what_it_evades(number: u32) -> Outcome {
    if number < 990 {
        return Ok(());
    }
    holds(number < 1000, "the number is below a thousand")
}
claim!(above_what_it_evades, "every number from 990 on is below a thousand", [Observed("nowhere")]);

fn a_case_without_a_check_is_no_smaller_lie() {
    let entry = tried("fails::above_what_it_evades");
    assert_eq!((entry.verdict, input(&entry)), (Verdict::Fail, json!([1000])));
}

fn behind_skips(number: u32) -> Outcome {
    if number % 2 == 1 {
        return Err(Stop::Skip("an odd number".into()));
    }
    holds(number < 1000, "the even number is below a thousand")
}
claim!(behind_skips, "every even number is below a thousand", [Observed("nowhere")]);

fn skipping_some_inputs_hides_no_lie() {
    for seed in 0..4 {
        let entry = tried_with("fails::behind_skips", &harness::runner::Settings { seed, ..settings() });
        assert_eq!(entry.verdict, Verdict::Fail, "with seed {seed}: {:?}", entry.why);
    }
}

fn never_for_even_numbers(number: u32) -> Outcome {
    if number % 2 == 1 {
        return Err(Stop::Skip("an odd number".into()));
    }
    equal(number % 2, 0)
}
claim!(never_for_even_numbers, "every even number is even", [Observed("everywhere")]);

fn skipping_some_inputs_is_no_skip() {
    let entry = tried("fails::never_for_even_numbers");
    assert_eq!((entry.verdict, entry.cases), (Verdict::Pass, 64));
    assert!(entry.reached < 64, "skipped cases reach nothing");
}
