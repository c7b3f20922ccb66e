//! `assay run`: tries claims on this host, and writes the record in every format.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reports::{JOURNAL, Journal, Known, Run, formats};

use super::screen::{Output, Screen};
use super::selection::select;
use super::status::{Complaint, Ending};
use crate::expectations::{shipped_expectations, shipped_regressions};
use crate::isolate::Limits;
use crate::runner::{Interrupt, Settings, run as run_claims};
use crate::{Facts, clock};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Which claims: a path prefix, a part of a name or sentence, or terms such as needs:PIT2; all of them if not given.
    query: Vec<String>,
    /// Where the record goes: run.json, the other formats, and the journal.
    #[arg(long, value_name = "DIR", default_value = "target/assay")]
    out: PathBuf,
    #[command(flatten)]
    how: How,
    /// Do not go on in the lab where this host has no usable KVM.
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
    #[arg(long, short, value_name = "N")]
    jobs: Option<usize>,
    /// How long generated cases of one claim are tried, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 100)]
    budget: u64,
    /// How long one case may take before it is a Hang, in seconds [default: 10, and longer on a slow host].
    #[arg(long, value_name = "SECONDS")]
    clock: Option<u64>,
    /// Known deviations of your own, in the form of suites/expectations/*.toml.
    #[arg(long, value_name = "FILE")]
    expectations: Vec<PathBuf>,
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
    read.map_err(|error| format!("{error}: a seed is a number of 64 bits, such as 7 or 0x1f"))
}

pub(super) fn run(arguments: &Arguments) -> Result<Ending, Complaint> {
    let claims = select(&arguments.query)?;
    let settings = arguments.how.settings()?;
    let facts = usable_host(arguments.here)?;
    let settings = Settings { limits: arguments.how.limits(settings.limits), ..settings };
    let journal = create(&arguments.out, &facts)?;
    let interrupt = Arc::new(Interrupt::default());
    on_interrupt(&interrupt)?;
    let screen = Screen::new(journal, claims.len());
    let run = run_claims(&claims, &facts, &settings, &screen, &interrupt);
    let (output, broken_journal) = screen.finish();
    let written = write(&run, &arguments.out).map_err(Complaint::Fault).and(match broken_journal {
        Some(why) => Err(Complaint::Fault(why)),
        None => Ok(()),
    });
    show(&run, &output, &arguments.out, written.is_ok());
    if interrupt.is_set() {
        return Ok(Ending::Interrupted);
    }
    match (Ending::of(&run), written) {
        (Ending::Broken, Err(complaint)) => {
            eprintln!("assay: {complaint}");
            Ok(Ending::Broken)
        }
        (_, Err(complaint)) => Err(complaint),
        (Ending::Nothing, Ok(())) => Err(Complaint::Nothing(
            "this host meets the needs of none of these claims: assay list shows what each needs, assay host what there is".into(),
        )),
        (ending, Ok(())) => Ok(ending),
    }
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
            workers: self.jobs.unwrap_or(default.workers).max(1),
            known,
            regressions: shipped_regressions().map_err(shipped)?,
            ..default
        })
    }

    /// The limits of one claim, once the host is known to be usable: a clock that fits its speed.
    pub(super) fn limits(&self, limits: Limits) -> Limits {
        let clock = self.clock.map_or_else(|| clock::for_this_host(limits.clock), Duration::from_secs);
        Limits { budget: Duration::from_millis(self.budget), clock, ..limits }
    }
}

/// The facts of a host that claims can be tried on.
pub(super) fn usable_host(_here: bool) -> Result<Facts, Complaint> {
    let facts = Facts::probe();
    match &facts.unusable {
        Some(why) => Err(Complaint::Nothing(why.clone())),
        None => Ok(facts),
    }
}

pub(super) fn own_expectations(path: &Path) -> Result<Vec<Known>, Complaint> {
    let name = path.display().to_string();
    let text = fs::read_to_string(path)
        .map_err(|error| Complaint::Usage(format!("cannot read the expectations in {name}: {error}")))?;
    Known::parse(&name, &text).map_err(|error| Complaint::Usage(error.to_string()))
}

fn create(out: &Path, facts: &Facts) -> Result<Journal, Complaint> {
    let unwritable = |error: &dyn std::fmt::Display| {
        Complaint::Usage(format!(
            "cannot write to {}: {error}; name another place with --out DIR",
            out.display()
        ))
    };
    fs::create_dir_all(out).map_err(|error| unwritable(&error))?;
    Journal::create(out.join(JOURNAL), &facts.host).map_err(|error| unwritable(&error))
}

pub(super) fn on_interrupt(interrupt: &Arc<Interrupt>) -> Result<(), Complaint> {
    let interrupt = Arc::clone(interrupt);
    ctrlc::set_handler(move || interrupt.interrupt())
        .map_err(|error| Complaint::Fault(format!("cannot wait for an interrupt: {error}")))
}

/// Writes the record in every format, each whole or not at all.
pub(super) fn write(run: &Run, out: &Path) -> Result<(), String> {
    for format in formats() {
        let path = out.join(format.file);
        let draft = out.join(format!(".{}.draft", format.file));
        let written = File::create(&draft).and_then(|file| {
            let mut file = BufWriter::new(file);
            (format.write)(run, &mut file)?;
            file.flush()?;
            fs::rename(&draft, &path)
        });
        if let Err(error) = written {
            let _ = fs::remove_file(&draft);
            return Err(format!(
                "cannot write {}: {error}; make room and render the journal with assay report, or name another place with --out DIR",
                path.display()
            ));
        }
    }
    Ok(())
}

/// Prints the record as text. Where nobody listens, or no file could be written, what was measured must still reach somebody.
fn show(run: &Run, output: &Output, out: &Path, is_written: bool) {
    let mut text = Vec::new();
    if let Some(format) = reports::format("text")
        && (format.write)(run, &mut text).is_ok()
    {
        output.print(&String::from_utf8_lossy(&text));
    }
    if is_written {
        output
            .print(&format!("\nThe record is in {}, as run.json and in the other formats.\n", out.display()));
    }
    output.flush();
    if output.is_closed() {
        eprintln!("assay: standard output was closed; the record is in {}", out.display());
    }
}
