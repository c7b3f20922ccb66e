//! What a run of the lab is held against: an earlier one, of which only what got worse since makes the exit status.

use std::collections::BTreeMap;
use std::path::Path;

use reports::{ChangeKind, LoadError, Run, Verdict, changes};

use super::side_by_side::Tried;
use crate::cli::status::{Complaint, Ending};

/// The earlier record of each machine, by the machine's name.
pub(super) struct Baseline(BTreeMap<String, Run>);

impl Baseline {
    /// Reads an earlier record. Of a directory with one for each machine, each is held against its own.
    pub(super) fn read(path: &Path, names: &[String], out: &Path) -> Result<Self, Complaint> {
        if is_within(path, out) || is_within(out, path) {
            return Err(Complaint::Usage(format!(
                "cannot hold the new record against {}, which it would replace; name another place for it with --out DIR",
                path.display()
            )));
        }
        let mut runs = BTreeMap::new();
        for name in names {
            let own = Some(path.join(super::folder(name))).filter(|path| path.is_dir());
            let run = Run::load(own.as_deref().unwrap_or(path)).map_err(|error| match error {
                LoadError::Empty(_) => Complaint::Usage(format!(
                    "cannot hold {name} against {}: it has no record of that kernel, only {}; try it there first",
                    path.display(),
                    machines_in(path)
                )),
                error => Complaint::unusable(error),
            })?;
            runs.insert(name.clone(), run);
        }
        Ok(Self(runs))
    }
}

/// Whether one path is the other or lies below it.
fn is_within(path: &Path, other: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().ok();
    real(path).zip(real(other)).is_some_and(|(path, other)| path.starts_with(other))
}

/// The machines that a directory has records of.
fn machines_in(path: &Path) -> String {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| Run::load(entry.path()).is_ok());
    let mut names: Vec<_> = folders.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    if names.is_empty() { "records of none".to_owned() } else { names.join(", ") }
}

/// What all machines amount to; against a baseline, only what it does not say already.
pub(super) fn ending(tried: &[Tried], baseline: Option<&Baseline>) -> Ending {
    let endings: Vec<_> = tried
        .iter()
        .map(|tried| match (&tried.run, baseline.and_then(|baseline| baseline.0.get(&tried.name))) {
            (Err(_), _) => Ending::Fault,
            (Ok(run), None) => Ending::of(run),
            (Ok(run), Some(baseline)) if is_worse(baseline, run) => Ending::Broken,
            (Ok(run), Some(_)) if run.claims.iter().any(|entry| entry.verdict == Verdict::Fault) => {
                Ending::Fault
            }
            (Ok(run), Some(_)) => match Ending::of(run) {
                Ending::Broken => Ending::Held,
                other => other,
            },
        })
        .collect();
    let worst_first = [Ending::Broken, Ending::Fault, Ending::Held];
    worst_first.into_iter().find(|ending| endings.contains(ending)).unwrap_or(Ending::Nothing)
}

/// Whether something regressed, or is bad that the earlier record says nothing of.
fn is_worse(baseline: &Run, run: &Run) -> bool {
    let says_nothing = |name: &str| {
        let before = baseline.claims.iter().find(|entry| entry.name == name);
        before.is_none_or(|entry| matches!(entry.verdict, Verdict::Skip | Verdict::Fault))
    };
    changes(baseline, run).iter().any(|change| change.kind == ChangeKind::Regressed)
        || run.claims.iter().any(|entry| entry.is_failure() && says_nothing(&entry.name))
}

#[cfg(test)]
mod tests {
    use reports::Host;
    use rstest::rstest;

    use super::*;
    use crate::Claim;
    use crate::runner::blank;

    static CLAIM: Claim = Claim::planted("x::m", "stands");

    fn run(verdicts: &[Verdict]) -> Run {
        let entries = verdicts.iter().map(|verdict| blank(&CLAIM, *verdict)).collect();
        Run::new(Host::default(), entries, vec![])
    }

    #[rstest]
    #[case::as_it_was(&[Verdict::Fail], &[Verdict::Fail], Ending::Held)]
    #[case::regressed(&[Verdict::Pass], &[Verdict::Fail], Ending::Broken)]
    #[case::new(&[], &[Verdict::Fail], Ending::Broken)]
    #[case::said_nothing(&[Verdict::Skip], &[Verdict::Crash], Ending::Broken)]
    #[case::said_nothing_either(&[Verdict::Fault], &[Verdict::Hang], Ending::Broken)]
    #[case::says_nothing(&[Verdict::Fail], &[Verdict::Fail, Verdict::Fault], Ending::Fault)]
    fn only_what_got_worse_counts(
        #[case] before: &[Verdict],
        #[case] now: &[Verdict],
        #[case] expected: Ending,
    ) {
        let tried = Tried { name: "k".to_owned(), run: Ok(run(now)), written: None, unwritten: None };
        let baseline = Baseline(BTreeMap::from([("k".to_owned(), run(before))]));
        assert_eq!(ending(&[tried], Some(&baseline)), expected);
    }

    #[test]
    fn a_baseline_is_not_written_over() {
        let out = tempfile::tempdir().unwrap();
        let refused = |path: &Path| Baseline::read(path, &[], out.path()).err().unwrap().to_string();
        assert!(refused(out.path()).contains("name another place for it with --out DIR"));
        let below = out.path().join("6.12.1");
        std::fs::create_dir(&below).unwrap();
        assert!(refused(&below).contains("which it would replace"));
    }

    #[test]
    fn a_kernel_without_a_record_is_named_with_those_that_have_one() {
        let (baseline, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let place = baseline.path().join("6.1.0");
        std::fs::create_dir(&place).unwrap();
        reports::Journal::create(place.join(reports::JOURNAL), &Host::default()).unwrap();
        let error = Baseline::read(baseline.path(), &["6.12.1".to_owned()], out.path()).err().unwrap();
        assert!(error.to_string().contains("it has no record of that kernel, only 6.1.0"), "{error}");
    }
}
