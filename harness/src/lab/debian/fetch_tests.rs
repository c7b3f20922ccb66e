//! What is said where there is no such kernel.

use super::*;
use crate::lab::debian::index::Package;

fn suite(name: &str, releases: &[(&str, bool)]) -> Suite {
    let offers = releases.iter().map(|&(short, is_complete)| Offer {
        release: format!("{short}-cloud-amd64"),
        version: format!("{short}-1"),
        packages: if is_complete { vec![Package::default()] } else { vec![] },
    });
    Suite { name: name.into(), offers: Ok(offers.collect()) }
}

#[test]
fn the_newest_complete_kernel_of_all_suites_is_taken() {
    let suites = [
        suite("bookworm", &[("6.1.1", true), ("6.1.9", false)]),
        suite("bookworm-security", &[("6.1.8", true)]),
    ];
    assert_eq!(
        pick(&suites, "6.1").map(|(suite, offer)| (suite, offer.short())),
        Some(("bookworm-security", "6.1.8"))
    );
    assert_eq!(pick(&suites, "6.2"), None);
}

#[test]
fn the_suite_to_add_is_named() {
    let why = nowhere("7.2", &[suite("bookworm", &[("6.1.1", true)])], &[suite("sid", &[("7.2.1", true)])]);
    assert_eq!(why, "sid has 7.2.1: add --suite sid; the suites asked have 6.1 (bookworm)");
}

#[test]
fn an_image_without_modules_is_named() {
    let why = nowhere("7.0", &[suite("bookworm", &[])], &[suite("trixie-backports", &[("7.0.13", false)])]);
    assert!(why.starts_with("trixie-backports has 7.0.13 but no longer its modules"), "{why}");
}

#[test]
fn a_suite_that_was_named_must_answer_and_one_at_least() {
    let silent = |name: &str| Suite {
        name: name.into(),
        offers: Err(LabError::Apt { what: name.into(), why: "no network".into() }),
    };
    let options = |suite: &str| Sources { suites: vec![suite.into()], cache: "/cache".into() };
    let both = || vec![suite("bookworm", &[]), silent("sid")];
    assert!(answered(both(), &options("sid")).is_err());
    assert_eq!(answered(both(), &options("bookworm")).map(|suites| suites.len()).ok(), Some(2));
    assert!(answered(vec![silent("sid")], &options("trixie")).is_err());
}

#[test]
fn where_no_suite_has_it_all_that_there_is_is_listed() {
    let silent = Suite {
        name: "trixie".into(),
        offers: Err(LabError::Apt { what: "trixie".into(), why: "no network".into() }),
    };
    let asked = [suite("bookworm", &[("6.1.1", true), ("6.1.2", true)]), silent];
    let why = nowhere("5.4", &asked, &[suite("sid", &[("7.2.1", true), ("6.19.1", true)])]);
    assert_eq!(
        why,
        "the suites asked have 6.1 (bookworm); of those that --suite can add, 6.19, 7.2 (sid); \
         cannot ask apt about trixie: no network"
    );
}
