//! `assay run`: tries claims on this host, and writes the record in every format.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use reports::{Part, Run};

use super::how::{How, on_interrupt, usable_host};
use super::lab;
use super::partition::{Partition, part_of};
use super::record::{self, Written};
use super::screen::{Output, Screen, Shown};
use super::selection::select;
use super::status::{Complaint, Ending, say};
use crate::Claim;
use crate::runner::{Interrupt, Settings, run as run_claims};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  assay run                            every claim that this host can show
  assay run system::get_api_version    those below one path
  assay run vcpu refuses -mmap         of vcpu, about refusals, not about mmap
  assay run --seed 0x2a --budget 5000  other inputs than usual, and more of them
  assay run --out before               the record where assay diff finds it again
  assay run --partition 3/8 --out 3    the third of eight machines' share

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
    /// What goes to standard output: text for people, or the lines of the journal as they are written, as JSON.
    #[arg(long, short, value_enum, default_value = "text")]
    format: Shown,
    /// Which part of the claims, where a run is split over several machines: K/N, or auto/N or auto to take K (and N) from the
    /// variables of a Slurm array, of an indexed job of Kubernetes, or of GitLab. assay report makes one record of the parts.
    #[arg(long, value_name = "K/N")]
    partition: Option<Partition>,
    /// An earlier record that says how long each claim takes, so that every part takes as long; the same for all parts.
    #[arg(long, value_name = "RUN", requires = "partition")]
    times: Option<PathBuf>,
    /// Do not go on in the lab where /dev/kvm cannot be used.
    #[arg(long)]
    here: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<Ending, Complaint> {
    let Arguments { query, out, how, format, partition, times, here } = arguments;
    let (claims, part) = parted(select(query)?, *partition, times.as_deref())?;
    let settings = how.settings()?;
    let facts = match usable_host() {
        Err(Complaint::Nothing(why)) if !here && part.is_none() => {
            say(format!("{why}; until then the claims are tried in the lab, which --here forbids"));
            return lab::instead(query, out, how);
        }
        facts => facts?,
    };
    let settings = Settings { limits: how.limits(settings.limits), ..settings };
    let mut journal = record::begin(out, &facts.host)?;
    if let Some(part) = part {
        journal.part(part).map_err(Complaint::unusable)?;
    }
    let interrupt = Arc::new(Interrupt::default());
    on_interrupt(&interrupt)?;
    let screen = Screen::new(journal, claims.len(), *format);
    let run = Run { part, ..run_claims(&claims, &facts, &settings, &screen, &interrupt) };
    let (output, broken_journal) = screen.finish();
    let written = record::write(&run, out);
    if *format == Shown::Text {
        show(&run, &output, out, &written);
    }
    if let (Written::Whole, Some(why)) = (&written, broken_journal) {
        say(format!("{why} (run.json is whole all the same)"));
    }
    ending(&run, out, written.trouble(), interrupt.is_set())
}

/// The claims of the part that is asked for; all of them where none is.
fn parted(
    claims: Vec<&'static Claim>,
    partition: Option<Partition>,
    times: Option<&Path>,
) -> Result<(Vec<&'static Claim>, Option<Part>), Complaint> {
    let Some(partition) = partition else { return Ok((claims, None)) };
    let (number, of) = partition.resolve(|name| std::env::var(name).ok())?;
    let times = times.map(Run::load).transpose().map_err(Complaint::unusable)?;
    let (claims, part) = part_of(claims, number, of, times.as_ref());
    Ok((claims, Some(part)))
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
        // A share may well have nothing in it that this host can show.
        (Ending::Nothing, None) if run.part.is_some() => Ok(Ending::Held),
        (Ending::Nothing, None) => Err(Complaint::Nothing(
            "this host can show none of these claims: the record says what each needs, assay host what there is".into(),
        )),
        (_, None) => Ok(ending),
    }
}
