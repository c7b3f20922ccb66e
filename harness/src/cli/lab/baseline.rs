//! What a run of the lab is held against: an earlier one, of which only what got worse since makes the exit status.

use std::collections::BTreeMap;
use std::path::Path;

use reports::{ChangeKind, Run, changes};

use super::side_by_side::Tried;
use crate::cli::status::{Complaint, Ending};

/// The earlier record of each machine, by the machine's name.
pub(super) struct Baseline(BTreeMap<String, Run>);

impl Baseline {
    /// Reads an earlier record. Of a directory with one for each machine, each is held against its own.
    pub(super) fn read(path: &Path, names: &[String]) -> Result<Self, Complaint> {
        let load = |path: &Path| Run::load(path).map_err(Complaint::unusable);
        let own = |name: &String| Some(path.join(super::folder(name))).filter(|path| path.is_dir());
        let mut runs = BTreeMap::new();
        for name in names {
            runs.insert(name.clone(), load(&own(name).unwrap_or_else(|| path.to_owned()))?);
        }
        Ok(Self(runs))
    }
}

/// What all machines amount to; against a baseline, only what it does not say already.
pub(super) fn ending(tried: &[Tried], baseline: Option<&Baseline>) -> Ending {
    let endings: Vec<_> = tried
        .iter()
        .map(|tried| match (&tried.run, baseline.and_then(|baseline| baseline.0.get(&tried.name))) {
            (Err(_), _) => Ending::Fault,
            (Ok(run), None) => Ending::of(run),
            (Ok(run), Some(baseline)) if is_worse(baseline, run) => Ending::Broken,
            (Ok(run), Some(_)) => match Ending::of(run) {
                Ending::Broken => Ending::Held,
                other => other,
            },
        })
        .collect();
    let worst_first = [Ending::Broken, Ending::Fault, Ending::Held];
    worst_first.into_iter().find(|ending| endings.contains(ending)).unwrap_or(Ending::Nothing)
}

/// Whether something regressed, or is new and bad.
fn is_worse(baseline: &Run, run: &Run) -> bool {
    changes(baseline, run).iter().any(|change| match change.kind {
        ChangeKind::Regressed => true,
        ChangeKind::Appeared => change.after.is_some_and(reports::Entry::is_failure),
        _ => false,
    })
}
