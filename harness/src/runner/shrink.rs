//! Makes a failing input smaller, each attempt in a child of its own, so that what crashes or hangs shrinks like what merely fails.

use std::time::{Duration, Instant};

use reports::Verdict;

use super::fate::Fate;
use super::trial::Trial;
use crate::isolate::{Ending, KeeperError, Report, What};

/// How many attempts are made at most.
const ATTEMPTS: usize = 1000;
/// What a case that does not hang may take on a busy host, so that none is taken for one that does.
const SHORTEST: Duration = Duration::from_millis(250);

impl Trial<'_> {
    /// The smallest case of `seed` that could be found whose fate has the same verdict; none where the seed's own case already does
    /// not have it. The search ends after `effort`.
    ///
    /// The search is proptest's: simplify while it fails, take a part of it back when it does not.
    pub(super) fn shrink(
        &mut self,
        seed: u64,
        verdict: Verdict,
        effort: Duration,
    ) -> Result<Option<(Fate, Report)>, KeeperError> {
        let start = Instant::now();
        let clock = self.clock;
        let is_hang = verdict == Verdict::Hang;
        let (fate, report) = self.work(What::Case { seed, steps: String::new() })?;
        if fate.verdict() != verdict {
            return Ok(None);
        }
        // A hang takes its whole clock each time: a part of it does for the search, and what is found is tried with all of it.
        self.clock = if is_hang { clock.min((clock / 4).max(SHORTEST)) } else { clock };
        let found = self.search(seed, verdict, start + effort);
        self.clock = clock;
        match found? {
            None => Ok(Some((fate, report))),
            Some((_, _, steps)) if is_hang => {
                let smallest = self.work(What::Case { seed, steps })?;
                Ok(Some(if smallest.0.verdict() == verdict { smallest } else { (fate, report) }))
            }
            Some((fate, report, _)) => Ok(Some((fate, report))),
        }
    }

    /// The smallest case that is smaller than the seed's own, with the steps to it.
    fn search(
        &mut self,
        seed: u64,
        verdict: Verdict,
        deadline: Instant,
    ) -> Result<Option<(Fate, Report, String)>, KeeperError> {
        let mut steps = String::from("s");
        let mut smallest = None;
        for _ in 0..ATTEMPTS {
            let (fate, report) = self.work(What::Case { seed, steps: steps.clone() })?;
            if report.said.as_ref().is_some_and(|said| said.ending == Ending::Exhausted) {
                break;
            }
            let failed = fate.verdict() == verdict;
            if failed {
                smallest = Some((fate, report, steps.clone()));
            }
            if Instant::now() > deadline {
                break;
            }
            steps.push(if failed { 's' } else { 'c' });
        }
        Ok(smallest)
    }
}
