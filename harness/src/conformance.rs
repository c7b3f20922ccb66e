//! The same claims as tests: under `cargo test`, and under nextest, which runs each in a process of its own.

use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use reports::{Entry, Verdict, account};

use crate::isolate::{self, What};
use crate::runner::{Settings, try_one};
use crate::{Claim, Facts, claims, clock, shipped_expectations, shipped_regressions};

/// The whole of a test program: every claim that is linked in is a test, named as the claim is.
///
/// A Known passes, a Surprise and a Fault fail, a Skip is ignored with its reason; without a usable `/dev/kvm` every claim is
/// ignored with the cure. Listing the tests needs no KVM.
pub fn conformance() -> ExitCode {
    isolate::intercept();
    let arguments = Arguments::from_args();
    let host = Arc::new(Host::default());
    let trials = claims().into_iter().map(|claim| {
        let host = Arc::clone(&host);
        Trial::ignorable_test(claim.name(), move || host.test(claim))
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

/// What all tests share, asked for when the first of them runs.
#[derive(Default)]
struct Host {
    asked: OnceLock<Result<(Facts, Settings), String>>,
}

impl Host {
    fn test(&self, claim: &'static Claim) -> Result<Completion, Failed> {
        let (facts, settings) = self.asked.get_or_init(ask).as_ref().map_err(Failed::from)?;
        if let Some(why) = &facts.unusable {
            return Ok(Completion::ignored_with(why));
        }
        let regressions = settings.regressions.iter().filter(|regression| regression.claim == claim.name());
        let what = What::Cases {
            seed: settings.seed,
            regressions: regressions.map(|regression| regression.input.clone()).collect(),
        };
        judged(&try_one(claim, what, facts, settings)?)
    }
}

fn ask() -> Result<(Facts, Settings), String> {
    let facts = Facts::probe();
    let mut settings = Settings::default();
    if facts.unusable.is_none() {
        settings.limits.clock = clock::for_this_host(settings.limits.clock);
    }
    settings.known = shipped_expectations().map_err(|error| error.to_string())?;
    settings.regressions = shipped_regressions().map_err(|error| error.to_string())?;
    Ok((facts, settings))
}

fn judged(entry: &Entry) -> Result<Completion, Failed> {
    match entry.verdict {
        Verdict::Pass | Verdict::Known => Ok(Completion::Completed),
        Verdict::Skip => Ok(Completion::ignored_with(entry.why.as_deref().unwrap_or("skipped"))),
        // What drifts from an observation is information, not failure.
        Verdict::Fail if entry.is_drift() => {
            Ok(Completion::ignored_with(entry.why.as_deref().unwrap_or("drift")))
        }
        bad => Err(Failed::from(format!("{bad}: {}\n{}", entry.claim, account(entry).join("\n")))),
    }
}
