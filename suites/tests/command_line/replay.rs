//! `assay replay`: one case again.

use crate::assay::{CLAIM, FIXED, assay, usable};

#[test]
fn a_claim_is_tried_again() {
    if !usable() {
        return;
    }
    let said = assay(["replay", FIXED]);
    let expected = format!(
        "PASS  {FIXED}\n  KVM_GET_API_VERSION answers 12\n    source    api.rst 4.1 KVM_GET_API_VERSION\n"
    );
    assert_eq!(said.printed(), expected);
    assert!(assay(["replay", CLAIM, "--input", "[7]"]).printed().starts_with("PASS"));
}

#[test]
fn a_seed_is_always_the_same_case() {
    if !usable() {
        return;
    }
    let case = |seed: &str| {
        let said = assay(["replay", CLAIM, "--seed", seed]);
        let case = said.printed().lines().find_map(|line| line.strip_prefix("    case      "));
        case.unwrap_or_else(|| panic!("no case: {}", said.out)).to_owned()
    };
    assert_eq!(case("42"), case("0x2a"));
    assert_ne!(case("42"), case("43"));
}

#[test]
fn an_input_that_does_not_fit_is_said_with_one_that_does() {
    let misfit = format!("--input does not fit {CLAIM} ");
    let cases = [
        ("[true]", format!("{misfit}(invalid type: boolean `true`, expected ")),
        (
            "[]",
            format!(
                "{misfit}(its length is 0, and the claim takes 1): give it as the record does, such as '["
            ),
        ),
        ("[1,2]", format!("{misfit}(its length is 2, and the claim takes 1): give it ")),
        ("-5", "--input is not a JSON array (invalid type: integer `-5`, ".to_owned()),
        ("{", "--input is not a JSON array (".to_owned()),
    ];
    for (input, expected) in cases {
        let said = assay(["replay", CLAIM, "--input", input]);
        assert!(said.sentence(2).starts_with(&expected), "{}", said.err);
        assert_eq!(said.out, "");
    }
    for option in [["--input", "[1]"], ["--seed", "1"]] {
        let said = assay(["replay", FIXED].iter().chain(&option));
        assert!(
            said.sentence(2).ends_with(": it generates no input, so leave the option out"),
            "{}",
            said.err
        );
    }
    let said = assay(["replay", CLAIM, "--input", "[1]", "--seed", "1"]);
    assert!(said.sentence(2).contains("cannot be used with"), "{}", said.err);
}
