//! All eight verdicts in one run, and expectations that make Known and Surprise of them.

use harness::runner::Settings;
use harness::{Outcome, Stop, claim, equal};
use reports::{Known, Verdict};

use crate::stage::{HONEST, entry, run_of, settings, short, tried, tried_with};

crate::tests!(
    all_eight_in_one_run,
    a_skip_says_why,
    a_need_that_is_not_met_is_a_skip,
    crashes_and_hangs_can_be_known,
    another_value_than_the_known_one_is_a_fail,
);

fn known(claim: &str, verdict: &str, seen: &str) -> Vec<Known> {
    let text = format!(
        "[[known]]\nhost = {{}}\nverdict = \"{verdict}\"\nwhy = \"so it was planted\"\n\
         link = \"verdicts.rs\"\nseen.\"{claim}\" = \"{seen}\"\n"
    );
    Known::parse("planted.toml", &text).expect("an expectation")
}

fn sees_three() -> Outcome {
    equal(3, 4)
}
claim!(sees_three, "three is four", [Observed("nowhere")]);

fn sees_four() -> Outcome {
    equal(4, 4)
}
claim!(sees_four, "four is four", [Observed("everywhere")]);

fn cannot_tell() -> Outcome {
    Err(Stop::Skip("it is too dark to tell".into()))
}
claim!(cannot_tell, "it is light", [Observed("nowhere")]);

fn all_eight_in_one_run() {
    let known =
        [known("verdicts::sees_three", "fail", "3"), known("verdicts::sees_four", "fail", "5")].concat();
    let names = [
        ("fails::plainly", Verdict::Fail),
        ("verdicts::cannot_tell", Verdict::Skip),
        ("verdicts::sees_three", Verdict::Known),
        ("verdicts::sees_four", Verdict::Surprise),
        ("crashes::by_panic", Verdict::Crash),
        ("hangs::asleep", Verdict::Hang),
        ("checks::short_of_memory_by_fails", Verdict::Fault),
        (HONEST, Verdict::Pass),
    ];
    for workers in [1, 8] {
        let settings = Settings { known: known.clone(), workers, ..short() };
        let run = run_of(&names.map(|(name, _)| name), &settings);
        for (name, verdict) in names {
            assert_eq!(entry(&run, name).verdict, verdict, "{name}");
        }
        assert!(run.totals.len() == 8 && run.totals.values().all(|count| *count == 1), "{:?}", run.totals);
    }
}

fn a_skip_says_why() {
    let entry = tried("verdicts::cannot_tell");
    assert_eq!((entry.verdict, entry.why.as_deref()), (Verdict::Skip, Some("it is too dark to tell")));
    assert_eq!(entry.witness, None);
}

fn hurts() -> Outcome {
    std::process::abort()
}
claim!(hurts, "it does not hurt", [Observed("nowhere")], Lab);

fn a_need_that_is_not_met_is_a_skip() {
    let entry = tried("verdicts::hurts");
    assert_eq!((entry.verdict, entry.why.as_deref()), (Verdict::Skip, Some("needs to be in the lab")));
    assert_eq!(entry.cases, 0);
}

fn crashes_and_hangs_can_be_known() {
    let cases = [
        ("crashes::by_signal", "crash", "SIGILL"),
        ("crashes::by_panic", "crash", "the moon is green"),
        ("hangs::asleep", "hang", "did not come to an end"),
    ];
    for (claim, verdict, seen) in cases {
        let entry = tried_with(claim, &Settings { known: known(claim, verdict, seen), ..short() });
        let why = "so it was planted (verdicts.rs)";
        assert_eq!((entry.verdict, entry.why.as_deref()), (Verdict::Known, Some(why)), "{claim}");
    }
}

fn another_value_than_the_known_one_is_a_fail() {
    let claim = "verdicts::sees_three";
    for (verdict, seen) in [("fail", "30"), ("crash", "3")] {
        let entry = tried_with(claim, &Settings { known: known(claim, verdict, seen), ..settings() });
        assert_eq!((entry.verdict, entry.why.as_deref()), (Verdict::Fail, Some("expected 4, saw 3")));
        assert_eq!(entry.notes, [format!("planted.toml:6 expects {verdict} with {seen}, which this is not")]);
    }
}
