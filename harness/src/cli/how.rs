//! How claims are tried: what the commands that try some have in common.

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use reports::{Known, reason, unknown_claims};

use super::selection::{EVERYTHING, nothing};
use super::status::Complaint;
use crate::expectations::{shipped_expectations, shipped_regressions};
use crate::isolate::Limits;
use crate::runner::{Interrupt, Settings};
use crate::{Facts, claims, clock};

/// How long generated cases of one claim are tried where nobody says, in milliseconds.
pub(super) const BUDGET: u64 = 100;
/// The longest that anything may be asked to take, in seconds.
pub(super) const A_DAY: u64 = 24 * 60 * 60;

/// How claims are tried, for every command that tries some.
#[derive(Debug, clap::Args)]
pub(super) struct How {
    /// Where generated inputs come from: the same seed, the same cases.
    #[arg(long, value_name = "S", default_value = "0", value_parser = seed)]
    pub(super) seed: u64,
    /// How many claims are tried at once [default: four for each processor, since most of them wait].
    #[arg(long, short, value_name = "N", value_parser = at_least_one::<NonZeroUsize>)]
    jobs: Option<NonZeroUsize>,
    /// How long generated cases of one claim are tried, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = BUDGET, value_parser = clap::value_parser!(u64).range(..=A_DAY * 1000))]
    pub(super) budget: u64,
    /// How long one case may take before it is a Hang, in seconds [default: 10, and longer on a slow host].
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=A_DAY))]
    pub(super) clock: Option<u64>,
    /// Known deviations of your own beside those that are built in: TOML with a [[known]] table for each deviation.
    #[arg(long, value_name = "FILE")]
    pub(super) expectations: Vec<PathBuf>,
}

impl Default for How {
    fn default() -> Self {
        Self { seed: 0, jobs: None, budget: BUDGET, clock: None, expectations: Vec::new() }
    }
}

/// Reads a seed, in decimal or hexadecimal.
pub(super) fn seed(text: &str) -> Result<u64, String> {
    let read = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    read.map_err(|_| "a seed is a number of 64 bits, such as 7 or 0x1f".to_owned())
}

fn at_least_one<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| "give a whole number from 1 on".to_owned())
}

impl How {
    /// What the arguments say of a run, with what is built in.
    pub(super) fn settings(&self) -> Result<Settings, Complaint> {
        let shipped = |error: crate::expectations::ShippedError| Complaint::Fault(error.to_string());
        let mut known = shipped_expectations().map_err(shipped)?;
        for path in &self.expectations {
            known.extend(own_expectations(path)?);
        }
        let default = Settings::default();
        Ok(Settings {
            seed: self.seed,
            workers: self.jobs.map_or(default.workers, NonZeroUsize::get),
            known,
            regressions: shipped_regressions().map_err(shipped)?,
            ..default
        })
    }

    /// The limits of one claim, once the host is known to be usable: a clock that fits its speed.
    pub(super) fn limits(&self, limits: Limits) -> Limits {
        let own = self.clock.map(Duration::from_secs);
        let clock = own.unwrap_or_else(|| clock::for_this_host(limits.clock));
        Limits { budget: Duration::from_millis(self.budget), clock, ..limits }
    }
}

/// The facts of a host that claims can be tried on.
pub(super) fn usable_host() -> Result<Facts, Complaint> {
    let facts = Facts::probe();
    match &facts.unusable {
        Some(why) => Err(Complaint::Nothing(why.clone())),
        None => Ok(facts),
    }
}

/// Known deviations from a file of the caller's own.
pub(super) fn own_expectations(path: &Path) -> Result<Vec<Known>, Complaint> {
    let name = path.display().to_string();
    let text = fs::read_to_string(path).map_err(|error| {
        let why = reason(&error);
        Complaint::Usage(format!(
            "cannot read the expectations in {name}: {why}; name a file with [[known]] tables that can be read"
        ))
    })?;
    let known = Known::parse(&name, &text).map_err(Complaint::unusable)?;
    let names: Vec<_> = claims().iter().map(|claim| claim.name()).collect();
    match unknown_claims(&known, names.iter().map(String::as_str)).first() {
        Some(unknown) => {
            let sentence = nothing(&unknown.claim, &names, EVERYTHING);
            Err(Complaint::Usage(format!("cannot use {}: {sentence}", unknown.at)))
        }
        None => Ok(known),
    }
}

/// Has an interrupt from the terminal end the run.
pub(super) fn on_interrupt(interrupt: &Arc<Interrupt>) -> Result<(), Complaint> {
    let interrupt = Arc::clone(interrupt);
    ctrlc::set_handler(move || interrupt.interrupt())
        .map_err(|error| Complaint::Fault(format!("cannot wait for an interrupt: {error}")))
}
