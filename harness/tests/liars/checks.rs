//! Every check of `check.rs`, and every way to stop of `outcome.rs`, tried with a lie: the verdict, the words, and the claim's own line.

use std::cell::Cell;

use harness::kvm::{EINVAL, ENOENT, ENOMEM, Errno, Refused};
use harness::{
    Broken, Outcome, claim, differs, each, equal, fails, fails_with_one_of, holds, succeeds, unchanged,
    within,
};
use reports::Verdict;

use crate::stage::{line, tried};

crate::tests!(
    every_check_names_the_line_that_lies,
    a_sweep_names_its_item,
    a_break_of_ones_own_keeps_its_detail,
    a_shortage_is_the_hosts_fault_whatever_was_expected,
    checks_that_hold_hold,
);

/// What a lie must be reported with; the line is the one that ends in a comment with the claim's name.
struct Lie {
    claim: &'static str,
    why: &'static str,
    expected: &'static str,
    seen: &'static str,
}

macro_rules! lies {
    ($($claim:ident => $why:literal, $expected:literal, $seen:literal;)*) => {
        $(claim!($claim, concat!("a lie told with ", stringify!($claim)), [Doc("nowhere")]);)*
        const LIES: &[Lie] = &[
            $(Lie { claim: stringify!($claim), why: $why, expected: $expected, seen: $seen }),*
        ];
    };
}

lies! {
    by_equal => "expected 5, saw 4", "5", "4";
    by_differs => "saw 4, which it should not be", "anything but 4", "4";
    by_holds => "it does not hold that the moon is green", "the moon is green", "the contrary";
    by_within => "expected 1 to 3, saw 4", "1 to 3", "4";
    by_within_from_below => "expected 1 to 3, saw 0", "1 to 3", "0";
    by_succeeds => "KVM_RUN was refused with ENOENT", "success", "ENOENT";
    by_succeeds_of_an_error => "no number here", "success", "no number here";
    by_fails => "expected EINVAL, but it succeeded with 3", "EINVAL", "success (3)";
    by_fails_otherwise => "KVM_RUN was refused with ENOENT, not EINVAL", "EINVAL", "ENOENT";
    by_fails_with_one_of => "it was refused with errno 3, not EINVAL or ENOENT", "EINVAL or ENOENT", "errno 3";
    by_unchanged => "it was refused, and changed something nevertheless", "1", "2";
    by_unchanged_that_succeeds => "expected EINVAL, but it succeeded with ()", "EINVAL", "success (())";
    by_each => "it does not hold that 16 is below 16", "16 is below 16", "the contrary";
    by_a_question_mark => "KVM_RUN was refused with ENOENT", "success", "ENOENT";
    by_a_break_of_its_own => "the moon is green", "yellow", "green";
}

fn by_equal() -> Outcome {
    equal(2 + 2, 5) // by_equal
}

fn by_differs() -> Outcome {
    differs(2 + 2, 4) // by_differs
}

fn by_holds() -> Outcome {
    holds(false, "the moon is green") // by_holds
}

fn by_within() -> Outcome {
    within(4, 1, 3) // by_within
}

fn by_within_from_below() -> Outcome {
    within(0, 1, 3) // by_within_from_below
}

fn refused() -> Result<u8, Refused> {
    Err(Refused { command: "KVM_RUN", errno: ENOENT, at: std::panic::Location::caller() })
}

fn by_succeeds() -> Outcome {
    succeeds(refused()).map(drop) // by_succeeds
}

fn by_succeeds_of_an_error() -> Outcome {
    let error = std::io::Error::other("no number here");
    succeeds(Err::<(), _>(error)).map(drop) // by_succeeds_of_an_error
}

fn by_fails() -> Outcome {
    fails(EINVAL, Ok::<_, Refused>(3)) // by_fails
}

fn by_fails_otherwise() -> Outcome {
    fails(EINVAL, refused()) // by_fails_otherwise
}

fn by_fails_with_one_of() -> Outcome {
    fails_with_one_of(&[EINVAL, ENOENT], Err::<(), _>(Errno(3))) // by_fails_with_one_of
}

fn by_unchanged() -> Outcome {
    let state = Cell::new(1);
    let act = || {
        state.set(2);
        fails(EINVAL, Err::<(), _>(EINVAL))
    };
    unchanged(|| Ok::<_, Refused>(state.get()), act) // by_unchanged
}

fn by_unchanged_that_succeeds() -> Outcome {
    let act = || {
        fails(EINVAL, Ok::<_, Refused>(())) // by_unchanged_that_succeeds
    };
    unchanged(|| Ok::<_, Refused>(1), act)
}

fn by_each() -> Outcome {
    each([2, 16, 3], |number| {
        holds(*number < 16, format_args!("{number} is below 16")) // by_each
    })
}

fn by_a_question_mark() -> Outcome {
    Err(Refused::new("KVM_RUN", ENOENT))? // by_a_question_mark
}

fn by_a_break_of_its_own() -> Outcome {
    let broken = Broken::new("the moon is green"); // by_a_break_of_its_own
    Err(broken.comparing("yellow", "green").with(["looked twice".to_owned()]).into())
}

fn every_check_names_the_line_that_lies() {
    for lie in LIES {
        let entry = tried(&format!("checks::{}", lie.claim));
        let witness = entry.witness.expect("a witness");
        assert_eq!((entry.verdict, entry.reached <= 1), (Verdict::Fail, true), "{}", lie.claim);
        assert_eq!(entry.why.as_deref(), Some(lie.why), "{}", lie.claim);
        assert_eq!(witness.expected.as_deref(), Some(lie.expected), "{}", lie.claim);
        assert_eq!(witness.seen.as_deref(), Some(lie.seen), "{}", lie.claim);
        assert_eq!(witness.at, line(file!(), include_str!("checks.rs"), lie.claim), "{}", lie.claim);
    }
}

fn a_sweep_names_its_item() {
    let witness = tried("checks::by_each").witness.expect("a witness");
    assert_eq!(witness.detail, ["with 10"], "numbers are told in hexadecimal");
}

fn a_break_of_ones_own_keeps_its_detail() {
    let witness = tried("checks::by_a_break_of_its_own").witness.expect("a witness");
    assert_eq!(witness.detail, ["looked twice"]);
}

fn short_of_memory_by_a_question_mark() -> Outcome {
    Err(Refused::new("KVM_CREATE_VM", ENOMEM))?
}
claim!(short_of_memory_by_a_question_mark, "memory is there", [Observed("nowhere")]);

fn short_of_memory_by_succeeds() -> Outcome {
    succeeds(Err::<(), _>(Refused::new("KVM_CREATE_VM", ENOMEM)))
}
claim!(short_of_memory_by_succeeds, "memory is there when it must be", [Observed("nowhere")]);

fn short_of_memory_by_fails() -> Outcome {
    fails(EINVAL, Err::<(), _>(Refused::new("KVM_CREATE_VM", ENOMEM)))
}
claim!(short_of_memory_by_fails, "memory is there to be refused with", [Observed("nowhere")]);

fn a_shortage_is_the_hosts_fault_whatever_was_expected() {
    for claim in ["by_a_question_mark", "by_succeeds", "by_fails"] {
        let entry = tried(&format!("checks::short_of_memory_{claim}"));
        let why = "KVM_CREATE_VM was refused with ENOMEM: the host ran out of something";
        assert_eq!((entry.verdict, entry.why.as_deref()), (Verdict::Fault, Some(why)), "{claim}");
        assert_eq!(entry.witness, None, "{claim}");
    }
}

fn by_none_of_them() -> Outcome {
    equal(4, 4)?;
    differs(4, 5)?;
    holds(true, "the moon is yellow")?;
    within(1, 1, 3)?;
    within(3, 1, 3)?;
    succeeds(Ok::<_, Refused>(()))?;
    fails(ENOMEM, Err::<(), _>(ENOMEM))?;
    fails_with_one_of(&[EINVAL, ENOENT], Err::<(), _>(rustix::io::Errno::NOENT))?;
    unchanged(|| Ok::<_, Refused>(1), || fails(EINVAL, Err::<(), _>(std::io::Error::from_raw_os_error(22))))?;
    each([1, 2], |number| within(*number, 1, 2))
}
claim!(by_none_of_them, "what holds holds", [Observed("everywhere")]);

fn checks_that_hold_hold() {
    let entry = tried("checks::by_none_of_them");
    assert_eq!((entry.verdict, entry.why, entry.reached), (Verdict::Pass, None, 1));
}
