//! `assay run`: tries claims on this host, and writes the record in every format.

use std::fs;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use reports::{Known, Run, reason, unknown_claims};

use super::lab;
use super::record::{self, Written};
use super::screen::{Output, Screen};
use super::selection::{EVERYTHING, nothing, select};
use super::status::{Complaint, Ending, say};
use crate::expectations::{shipped_expectations, shipped_regressions};
use crate::isolate::Limits;
use crate::runner::{Interrupt, Settings, run as run_claims};
use crate::{Facts, claims, clock};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  assay run                            every claim that this host can show
  assay run system::get_api_version    those below one path
  assay run vcpu refuses -mmap         of vcpu, about refusals, not about mmap
  assay run --seed 0x2a --budget 5000  other inputs than usual, and more of them
  assay run --out before               the record where assay diff finds it again

Where /dev/kvm cannot be used, it says why and what to do about it, and goes
on in the lab with the newest kernel at hand; with --here it ends there, with
status 4. Ctrl-C ends a run early: what was tried until then is in the record.")]
pub(super) struct Arguments {
    /// Which claims: a path prefix, a part of a name or sentence, or terms such as needs:PIT2 [default: all of them].
    query: Vec<String>,
    /// Where the record goes: run.json, the other formats, and the journal.
    #[arg(long, value_name = "DIR", default_value = "target/assay")]
    out: PathBuf,
    #[command(flatten)]
    how: How,
    /// Do not go on in the lab where /dev/kvm cannot be used.
    #[arg(long)]
    here: bool,
}

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
    #[arg(long, value_name = "MS", default_value_t = 100)]
    pub(super) budget: u64,
    /// How long one case may take before it is a Hang, in seconds [default: 10, and longer on a slow host].
    #[arg(long, value_name = "SECONDS", value_parser = at_least_one::<NonZeroU64>)]
    pub(super) clock: Option<NonZeroU64>,
    /// Known deviations of your own beside those that are built in: TOML with a [[known]] table for each.
    #[arg(long, value_name = "FILE")]
    pub(super) expectations: Vec<PathBuf>,
}

impl Default for How {
    fn default() -> Self {
        Self { seed: 0, jobs: None, budget: 100, clock: None, expectations: Vec::new() }
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

pub(super) fn run(arguments: &Arguments) -> Result<Ending, Complaint> {
    let Arguments { query, out, how, here } = arguments;
    let claims = select(query)?;
    let settings = how.settings()?;
    let facts = match usable_host() {
        Err(Complaint::Nothing(why)) if !here => {
            say(format!("{why}; until then the claims are tried in the lab, which --here forbids"));
            return lab::instead(query, out, how);
        }
        facts => facts?,
    };
    let settings = Settings { limits: how.limits(settings.limits), ..settings };
    let journal = record::begin(out, &facts.host)?;
    let interrupt = Arc::new(Interrupt::default());
    on_interrupt(&interrupt)?;
    let screen = Screen::new(journal, claims.len());
    let run = run_claims(&claims, &facts, &settings, &screen, &interrupt);
    let (output, broken_journal) = screen.finish();
    let written = record::write(&run, out);
    show(&run, &output, out, &written);
    if let (Written::Whole, Some(why)) = (&written, broken_journal) {
        say(format!("{why} (run.json is whole all the same)"));
    }
    ending(&run, out, written.trouble(), interrupt.is_set())
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
        let own = self.clock.map(|seconds| Duration::from_secs(seconds.get()));
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

pub(super) fn on_interrupt(interrupt: &Arc<Interrupt>) -> Result<(), Complaint> {
    let interrupt = Arc::clone(interrupt);
    ctrlc::set_handler(move || interrupt.interrupt())
        .map_err(|error| Complaint::Fault(format!("cannot wait for an interrupt: {error}")))
}

/// Prints the record as text, and where it is. Where it could be written nowhere, what was measured must still reach somebody.
fn show(run: &Run, output: &Output, out: &Path, written: &Written) {
    let print = |name| {
        let mut text = Vec::new();
        if let Some(format) = reports::format(name)
            && (format.write)(run, &mut text).is_ok()
        {
            output.print(&String::from_utf8_lossy(&text));
        }
    };
    print("text");
    match written {
        Written::Whole => {
            let place = out.display();
            output.print(&format!("\nThe record is in {place}, as run.json and in the other formats.\n"));
        }
        Written::Nowhere(_) => print("json"),
        Written::Partly(_) | Written::Elsewhere(_) => {}
    }
    match (output.broken(), written) {
        (Some(why), Written::Whole | Written::Partly(_)) => {
            say(format!("{why}: the record is in {}", out.display()));
        }
        (Some(why), _) => say(why),
        (None, _) => {}
    }
}

/// How the run ended. Whatever is to be said beside that is said here, unless it is the only thing.
fn ending(run: &Run, out: &Path, trouble: Option<&str>, is_interrupted: bool) -> Result<Ending, Complaint> {
    let ending = if is_interrupted { Ending::Interrupted } else { Ending::of(run) };
    match (ending, trouble) {
        (Ending::Interrupted, trouble) => {
            say(match trouble {
                Some(trouble) => format!("interrupted, and {trouble}"),
                None => format!("interrupted: what was tried until then is in {}", out.display()),
            });
            Ok(ending)
        }
        (Ending::Broken, Some(trouble)) => {
            say(trouble);
            Ok(ending)
        }
        (_, Some(trouble)) => Err(Complaint::Fault(trouble.to_owned())),
        (Ending::Nothing, None) => Err(Complaint::Nothing(
            "this host can show none of these claims: the record says what each needs, assay host what there is".into(),
        )),
        (_, None) => Ok(ending),
    }
}
