//! Makes a failing input smaller, each attempt in a child of its own, so that what crashes or hangs shrinks like what merely fails.

use std::time::Instant;

use reports::Verdict;

use super::trial::{Fate, Trial};
use crate::isolate::{KeeperError, Report, What};

/// How many attempts are made at most.
const ATTEMPTS: usize = 1000;

impl Trial<'_> {
    /// The smallest case of `seed` that could be found whose fate has the same verdict; none where the seed's own case already does
    /// not have it.
    ///
    /// The search is proptest's: simplify while it fails, take a part of it back when it does not.
    pub(super) fn shrink(
        &mut self,
        seed: u64,
        verdict: Verdict,
    ) -> Result<Option<(Fate, Report)>, KeeperError> {
        let start = Instant::now();
        let clock = self.settings.limits.clock;
        let is_hang = verdict == Verdict::Hang;
        // A hang takes its whole clock each time: a quarter of it does for the search, and what is found is tried with all of it.
        self.clock = if is_hang { clock / 4 } else { clock };
        let budget = self.settings.shrinking.max(if is_hang { clock * 4 } else { clock });
        let mut steps = String::new();
        let mut smallest = None;
        let mut smallest_steps = String::new();
        for _ in 0..ATTEMPTS {
            let (fate, report) = self.work(What::Case { seed, steps: steps.clone() })?;
            if report.said.as_ref().is_some_and(|said| said.exhausted) {
                break;
            }
            let failed = fate.verdict() == verdict;
            if failed {
                smallest = Some((fate, report));
                smallest_steps.clone_from(&steps);
            } else if steps.is_empty() {
                break;
            }
            if start.elapsed() > budget {
                break;
            }
            steps.push(if failed { 's' } else { 'c' });
        }
        self.clock = clock;
        if is_hang && smallest.is_some() {
            let (fate, report) = self.work(What::Case { seed, steps: smallest_steps })?;
            return Ok((fate.verdict() == verdict).then_some((fate, report)));
        }
        Ok(smallest)
    }
}
