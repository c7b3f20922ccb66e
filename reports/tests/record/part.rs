//! Runs that were split over several machines, and made whole again.

use reports::{Host, Journal, Part, PartError, Run, Verdict, merged};

use crate::fixture::{self, entry};

fn part(number: u64, of: u64, names: &[&str]) -> (u64, Run) {
    let claims = names.iter().map(|name| entry(name, Verdict::Pass)).collect();
    let run = Run::new(fixture::host(), claims, vec![]);
    (number, Run { part: Some(Part { number, of, claims: 4 }), ..run })
}

#[test]
fn parts_make_the_whole_that_they_were() {
    let whole =
        Run::new(fixture::host(), ["a", "b", "c", "d"].map(|name| entry(name, Verdict::Pass)).into(), vec![]);
    let parts = [part(2, 3, &["c"]), part(3, 3, &["b"]), part(1, 3, &["a", "d"])];
    assert_eq!(merged(parts).unwrap(), [(2, whole.clone())]);
    // What was never split stays as it is, in its place.
    let other = (0, Run::new(Host::default(), vec![], vec![]));
    let runs =
        merged([other.clone(), part(1, 2, &["a", "b"]), other.clone(), part(2, 2, &["c", "d"])]).unwrap();
    assert_eq!(runs, [other.clone(), (1, whole), other]);
}

#[test]
fn what_makes_no_whole_is_told() {
    let refused = |parts: Vec<(u64, Run)>| merged(parts).unwrap_err();
    assert_eq!(refused(vec![part(1, 2, &["a"])]), PartError::Missing { number: 2, of: 2 });
    assert_eq!(
        refused(vec![part(3, 3, &["a"]), part(1, 3, &["b", "c"])]),
        PartError::Missing { number: 2, of: 3 }
    );
    assert_eq!(refused(vec![part(1, 2, &["a"]), part(1, 2, &["a"])]), PartError::Twice { number: 1, of: 2 });
    let short = refused(vec![part(1, 2, &["a"]), part(2, 2, &["b"])]);
    assert_eq!(short, PartError::Claims { of: 2, found: 2, claims: 4 });
    let (number, mut elsewhere) = part(2, 2, &["c", "d"]);
    elsewhere.host.release = "6.18.1".into();
    let other = refused(vec![part(1, 2, &["a", "b"]), (number, elsewhere)]);
    assert!(other.to_string().contains("release: 6.12.48-cloud-amd64 → 6.18.1"), "{other}");
}

#[test]
fn a_part_that_was_killed_is_still_that_part() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal.jsonl");
    let part = Part { number: 2, of: 3, claims: 4 };
    let mut journal = Journal::create(&path, &fixture::host()).unwrap();
    journal.part(part).unwrap();
    journal.append(&entry("a", Verdict::Pass)).unwrap();
    assert_eq!(Run::load(&path).unwrap().part, Some(part));
}
