//! `assay lab`: tries claims inside kernels of one's choice, side by side, and lays their records side by side.

mod baseline;
mod machines;
mod parameters;
mod resume;
mod screen;
mod side_by_side;
mod told;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use baseline::Baseline;
use machines::Named;
use screen::Screen;
use side_by_side::{Bench, Tried};

use super::how::{A_DAY, BUDGET, How, on_interrupt, own_expectations, seed};
use super::selection::select;
use super::status::{Complaint, Ending, say};
use crate::lab::{Cpu, Kernel, Sources};
use crate::runner::Interrupt;
use crate::shipped_expectations;

#[derive(Debug, clap::Args)]
#[command(args_override_self = true)]
#[command(after_help = "\
Examples:
  assay lab --kernel debian:6.1 --kernel debian:6.12
                                two of Debian's kernels, side by side
  assay lab --kernel build --out new --baseline target/assay-lab vcpu/
                                a build tree against an earlier run
  assay lab --kernel debian:6.12 --cpu amd --cpu intel
                                one kernel on both vendors' processors
  assay lab --kernel debian:7.2 --kernel debian:6.1@core2_penryn_t9600
                                each kernel on a processor of its own
  assay lab @FILE --resume      arguments from a file, one a line; only what is not in the records yet")]
pub(super) struct Arguments {
    /// Which claims: a path prefix, a part of a name or sentence, or terms such as needs:PIT2; all of them if not given.
    query: Vec<String>,
    /// A kernel: debian:6.12, a package file, a directory with vmlinuz and lib/modules, a kernel's build tree, or host; with @CPU
    /// behind it on that processor instead of those of --cpu.
    #[arg(long, value_name = "K", required = true)]
    kernel: Vec<Named>,
    /// Further suites to look for Debian's kernels in.
    #[arg(long, value_name = "S")]
    suite: Vec<String>,
    /// Whose processor is emulated: amd (by QEMU), intel (by Bochs), or a model of Bochs such as core2_penryn_t9600; several make
    /// a matrix.
    #[arg(long, value_name = "CPU", default_value = "amd")]
    cpu: Vec<Cpu>,
    /// A parameter that a module is loaded with, such as kvm.halt_poll_ns=0.
    #[arg(long, value_name = "M.P=V", value_parser = parameters::parameter)]
    module: Vec<(String, String)>,
    /// What is added to the kernel's command line.
    #[arg(long, value_name = "ARGUMENTS", default_value = "", allow_hyphen_values = true)]
    append: String,
    /// Where the records go: a directory for each kernel, and the matrix.
    #[arg(long, value_name = "DIR", default_value = "target/assay-lab")]
    out: PathBuf,
    /// Go on with what an earlier run left in --out: what a machine's record has a verdict for is not tried there again.
    #[arg(long)]
    resume: bool,
    /// Where the matrix goes as well: a page of HTML where the name ends in .html, and of Markdown otherwise; several are possible.
    #[arg(long, value_name = "FILE")]
    page: Vec<PathBuf>,
    /// An earlier record: only what regressed against it, or is new and bad, makes the exit status 1. Of a directory with one
    /// record for each kernel, each is held against its own.
    #[arg(long, value_name = "RUN")]
    baseline: Option<PathBuf>,
    /// How many kernels run side by side [default: one for each processor].
    #[arg(long, short, value_name = "N")]
    jobs: Option<usize>,
    /// Where generated inputs come from: the same seed, the same cases.
    #[arg(long, value_name = "S", default_value = "0", value_parser = seed)]
    seed: u64,
    /// How long generated cases of one claim are tried, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = BUDGET, value_parser = clap::value_parser!(u64).range(..=A_DAY * 1000))]
    budget: u64,
    /// How long one case may take before it is a Hang, in seconds [default: 10, and longer on a slow host].
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=A_DAY))]
    clock: Option<u64>,
    /// How long a kernel may be silent before it is taken for dead, in seconds [default: 60 under QEMU, 300 under Bochs].
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(2..=A_DAY))]
    silence: Option<u64>,
    /// Known deviations of your own, in the form of suites/expectations/*.toml.
    #[arg(long, value_name = "FILE")]
    expectations: Vec<PathBuf>,
    /// Whether the record of the only kernel goes to `out` itself.
    #[arg(skip)]
    alone: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<Ending, Complaint> {
    let claims = select(&arguments.query)?;
    let mut known = shipped_expectations().map_err(|error| Complaint::Fault(error.to_string()))?;
    for path in &arguments.expectations {
        known.extend(own_expectations(path)?);
    }
    let machines = machines::machines(arguments)?;
    let names: Vec<_> = machines.iter().map(|machine| machine.name.clone()).collect();
    let baseline = arguments.baseline.as_deref();
    let baseline = baseline.map(|path| Baseline::read(path, &names, &arguments.out)).transpose()?;
    fs::create_dir_all(&arguments.out).map_err(|error| {
        let (out, why) = (arguments.out.display(), reports::reason(&error));
        Complaint::Usage(format!("cannot write to {out}: {why}; name another place with --out DIR"))
    })?;
    let interrupt = Arc::new(Interrupt::default());
    on_interrupt(&interrupt)?;
    let bench = Bench {
        arguments,
        screen: Screen::new(claims.len(), &names),
        claims,
        known,
        parameters: parameters::by_module(&arguments.module),
        interrupt,
    };
    let tried = bench.side_by_side(machines);
    let interrupted = bench.interrupt.is_set();
    let output = bench.screen.finish();
    let told = told::tell(&tried, arguments, &output, !interrupted && tried.iter().all(Tried::is_whole));
    let ending = if interrupted { Ending::Interrupted } else { baseline::ending(&tried, baseline.as_ref()) };
    match (ending, told) {
        // What the claims say comes before what became of the record.
        (Ending::Interrupted | Ending::Broken, Err(complaint)) => say(complaint),
        (_, told) => told?,
    }
    Ok(ending)
}

/// What stands in for a run on a host that cannot do it: the newest kernel at hand, which is the host's own where it is kept, and
/// else what Debian has. The record goes where the run's would have gone.
pub(super) fn instead(query: &[String], out: &Path, how: &How) -> Result<Ending, Complaint> {
    let sources = Sources { suites: Vec::new(), cache: machines::cache() };
    let mut trouble = String::new();
    for spec in ["host", "debian:"] {
        let usable = Kernel::find(spec, &sources, &|doing| say(doing))
            .and_then(|kernel| kernel.load_order(&["kvm-amd"]).map(|_| kernel));
        match usable {
            Ok(kernel) => {
                say(format!("trying the claims in Linux {}, with an emulated AMD processor", kernel.release));
                return run(&Arguments::instead(spec, query, out, how));
            }
            Err(error) => trouble = error.to_string(),
        }
    }
    Err(Complaint::Nothing(format!("nor is there a kernel for the lab: cannot {trouble}")))
}

impl Arguments {
    fn instead(spec: &str, query: &[String], out: &Path, how: &How) -> Self {
        Self {
            query: query.to_vec(),
            kernel: vec![Named::plain(spec)],
            suite: Vec::new(),
            cpu: vec![Cpu::Amd],
            module: Vec::new(),
            append: String::new(),
            out: out.to_owned(),
            resume: false,
            page: Vec::new(),
            baseline: None,
            jobs: None,
            seed: how.seed,
            budget: how.budget,
            clock: how.clock,
            silence: None,
            expectations: how.expectations.clone(),
            alone: true,
        }
    }
}

/// The name of a machine's directory.
fn folder(name: &str) -> String {
    name.chars().map(|c| if c.is_alphanumeric() || ".+-_~".contains(c) { c } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernels_directory_stays_where_it_belongs() {
        assert_eq!(folder("6.12.117+deb12-cloud-amd64"), "6.12.117+deb12-cloud-amd64");
        assert_eq!(folder("../a b/c"), "..-a-b-c");
    }
}
