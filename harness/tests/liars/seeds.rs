//! Where inputs come from: the seed of the run and nothing else, and before them those that once failed.

use harness::runner::Settings;
use harness::{Outcome, claim, equal, holds};
use reports::Regression;
use reports::Verdict;
use serde_json::{Value, json};

use crate::stage::{Marks, entry, input, run_of, settings, tried_with};

crate::tests!(
    the_same_seed_makes_the_same_cases_however_many_workers_there_are,
    what_once_failed_is_tried_first,
    what_once_failed_and_fails_again_is_the_witness,
    what_once_failed_and_does_not_fit_is_a_fault,
);

macro_rules! numbered {
    ($($claim:ident)*) => {
        $(
            fn $claim(marks: Marks, number: u64, sequence: Vec<u8>) -> Outcome {
                marks.note(stringify!($claim), format_args!("{number} {sequence:?}"));
                equal(number, number)
            }
            claim!($claim, concat!("numbers are themselves, and ", stringify!($claim)), [Observed("everywhere")]);
        )*
    };
}

numbered!(first second third);

fn cases(seed: u64, workers: usize) -> Vec<Vec<String>> {
    let names = ["seeds::first", "seeds::second", "seeds::third"];
    let run = run_of(&names, &Settings { seed, workers, ..settings() });
    assert!(run.claims.iter().all(|entry| entry.verdict == Verdict::Pass && entry.cases == 64));
    ["first", "second", "third"].iter().map(|name| Marks::new().take(name)).collect()
}

fn the_same_seed_makes_the_same_cases_however_many_workers_there_are() {
    let (one, again, by_many, other) = (cases(1, 1), cases(1, 1), cases(1, 3), cases(2, 1));
    assert_eq!(one, again);
    assert_eq!(one, by_many);
    for (claim, cases) in one.iter().enumerate() {
        assert_eq!(cases.len(), 64);
        assert_ne!(cases, &other[claim], "another seed");
        assert_ne!(cases, &one[(claim + 1) % 3], "another claim");
    }
}

fn with_regression(claim: &str, input: Vec<Value>) -> Settings {
    let of =
        |claim: &str, input| Regression { claim: claim.to_owned(), input, why: "it did once".to_owned() };
    let regressions = vec![of("seeds::first", vec![json!(0)]), of(claim, input)];
    Settings { regressions, ..settings() }
}

fn remembered(marks: Marks, number: u32) -> Outcome {
    marks.note("remembered", number);
    equal(number, number)
}
claim!(remembered, "numbers are remembered", [Observed("everywhere")]);

fn what_once_failed_is_tried_first() {
    let entry = tried_with("seeds::remembered", &with_regression("seeds::remembered", vec![json!(4711)]));
    assert_eq!((entry.verdict, entry.cases), (Verdict::Pass, 65));
    assert_eq!(Marks::new().take("remembered")[0], "4711");
}

fn once_failed(number: u32) -> Outcome {
    holds(number != 4711, "the number is not 4711")
}
claim!(once_failed, "no number is 4711", [Observed("nowhere")]);

fn what_once_failed_and_fails_again_is_the_witness() {
    let entry = tried_with("seeds::once_failed", &with_regression("seeds::once_failed", vec![json!(4711)]));
    assert_eq!((entry.verdict, entry.cases, input(&entry)), (Verdict::Fail, 1, json!([4711])));
    let witness = entry.witness.expect("a witness");
    assert_eq!(witness.replay, "assay replay seeds::once_failed --input '[4711]'");
    assert_eq!(witness.seed, None);
}

fn what_once_failed_and_does_not_fit_is_a_fault() {
    let run = run_of(&["seeds::once_failed"], &with_regression("seeds::once_failed", vec![json!("green")]));
    let entry = entry(&run, "seeds::once_failed");
    assert_eq!(entry.verdict, Verdict::Fault);
    assert!(entry.why.is_some_and(|why| why.starts_with("the input does not fit the claim's arguments")));
}
