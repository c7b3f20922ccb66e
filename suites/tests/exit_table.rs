//! The table of exits as a house rule: every exit that the kernel can give has claims, or a reason why it has none.

use std::collections::BTreeSet;
use std::path::Path;

use harness::kvm::{EXIT_REASONS, Given};
use suites::exits::table::{By, Row, TABLE};

/// The kinds that exits, and the fields that every exit has: what `linux/kvm.h` of Linux 7.3 has beside the reasons.
const KINDS: [&str; 40] = [
    "4.1", "4.2", "4.3", "4.4", "4.5", "4.6", "4.7", "4.8", "4.9", "17.1", "17.2", "17.3", "17.4", "24.1",
    "24.2", "24.3", "24.4", "24.5", "24.6", "24.7", "27.1", "27.2", "27.3", "29.1", "29.2", "29.4", "30.1",
    "30.2", "30.4", "34.1", "37.1", "39.0", "39.8", "39.E", "flags.1", "flags.2", "flags.4", "run.1",
    "run.2", "run.3",
];

/// The row of a number.
fn row(number: &str) -> &'static Row {
    TABLE.iter().find(|row| row.number == number).unwrap_or_else(|| panic!("the table has no row {number}"))
}

#[test]
fn every_exit_has_a_row_under_its_name() {
    for reason in EXIT_REASONS {
        assert_eq!(row(&reason.number.to_string()).name, reason.name);
    }
}

#[test]
fn every_kind_has_a_row() {
    for kind in KINDS.into_iter().chain(["run.4"]) {
        row(kind);
    }
    assert_eq!(
        TABLE.len(),
        EXIT_REASONS.len() + KINDS.len() + 1,
        "the table has a row that nobody asked for"
    );
}

#[test]
fn no_row_is_there_twice() {
    let numbers: BTreeSet<_> = TABLE.iter().map(|row| row.number).collect();
    assert_eq!(numbers.len(), TABLE.len());
}

#[test]
fn what_is_said_to_be_tried_is_tried() {
    let names: Vec<_> = harness::claims().iter().map(|claim| claim.name()).collect();
    for row in TABLE {
        if let By::Claims(prefix) | By::Absence(prefix, _) = row.by {
            assert!(names.iter().any(|name| name.starts_with(prefix)), "{}: no claim {prefix}", row.name);
        }
    }
}

#[test]
fn what_is_not_tried_has_a_reason() {
    for row in TABLE {
        if let By::Nothing(why) | By::Absence(_, why) = row.by {
            assert!(why.len() > 20, "{}: that is no reason: {why}", row.name);
        }
    }
}

#[test]
fn only_exits_of_other_architectures_are_left_alone() {
    for reason in EXIT_REASONS {
        let left_alone = matches!(row(&reason.number.to_string()).by, By::Nothing(_));
        assert_eq!(left_alone, reason.given != Given::OnX86, "{}", reason.name);
    }
}

#[test]
fn every_exit_that_is_tried_has_a_file_of_its_name() {
    let exits = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/exits");
    for reason in EXIT_REASONS {
        let (By::Claims(prefix) | By::Absence(prefix, _)) = row(&reason.number.to_string()).by else {
            continue;
        };
        let name = reason.name.strip_prefix("KVM_EXIT_").unwrap().to_lowercase();
        assert_eq!(prefix, format!("exits::{name}::"));
        assert!(exits.join(&name).with_extension("rs").is_file(), "no file for {}", reason.name);
    }
}
