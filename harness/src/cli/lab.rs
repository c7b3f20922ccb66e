//! `assay lab`: tries claims inside kernels of one's choice, side by side, and lays their records side by side.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use reports::{ChangeKind, Known, Matrix, Run, changes};

use super::how::{How, on_interrupt, own_expectations, seed};
use super::lab_screen::{Line, Screen};
use super::record;
use super::screen::Output;
use super::selection::select;
use super::status::{Complaint, Ending, say};
use crate::lab::{Cpu, Kernel, Lab, LostError, Orders, Plan, Session, Sources};
use crate::runner::Interrupt;
use crate::{Claim, shipped_expectations};

/// How much of the machine's memory one claim may take, in bytes.
const MEMORY: u64 = 640 << 20;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Which claims: a path prefix, a part of a name or sentence, or terms such as needs:PIT2; all of them if not given.
    query: Vec<String>,
    /// A kernel: debian:6.12, a package file, a directory with vmlinuz and lib/modules, a kernel's build tree, or host.
    #[arg(long, value_name = "K", required = true)]
    kernel: Vec<String>,
    /// Further suites to look for Debian's kernels in.
    #[arg(long, value_name = "S")]
    suite: Vec<String>,
    /// Whose processor is emulated: amd (by QEMU), intel (by Bochs), or a model of Bochs such as core2_penryn_t9600.
    #[arg(long, value_name = "CPU", default_value = "amd")]
    cpu: Cpu,
    /// A parameter that a module is loaded with, such as kvm.halt_poll_ns=0.
    #[arg(long, value_name = "M.P=V", value_parser = parameter)]
    module: Vec<(String, String)>,
    /// What is added to the kernel's command line.
    #[arg(long, value_name = "ARGUMENTS", default_value = "", allow_hyphen_values = true)]
    append: String,
    /// Where the records go: a directory for each kernel, and the matrix.
    #[arg(long, value_name = "DIR", default_value = "target/assay-lab")]
    out: PathBuf,
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
    #[arg(long, value_name = "MS", default_value_t = 100)]
    budget: u64,
    /// How long one case may take before it is a Hang, in seconds [default: 10, and longer on a slow host].
    #[arg(long, value_name = "SECONDS")]
    clock: Option<u64>,
    /// Known deviations of your own, in the form of suites/expectations/*.toml.
    #[arg(long, value_name = "FILE")]
    expectations: Vec<PathBuf>,
    /// Whether the record of the only kernel goes to `out` itself.
    #[arg(skip)]
    alone: bool,
}

/// What became of one kernel.
struct Tried {
    name: String,
    run: Result<Run, String>,
    /// Why its record could not be written.
    unwritten: Option<String>,
}

/// What all kernels share.
struct Bench<'a> {
    arguments: &'a Arguments,
    claims: Vec<&'static Claim>,
    known: Vec<Known>,
    parameters: BTreeMap<String, String>,
    screen: Screen,
    interrupt: Arc<Interrupt>,
}

/// What stands in for a run on a host that cannot do it: the newest kernel at hand, which is the host's own where it is kept, and
/// else what Debian has. The record goes where the run's would have gone.
pub(super) fn instead(query: &[String], out: &Path, how: &How) -> Result<Ending, Complaint> {
    let sources = Sources { suites: Vec::new(), cache: cache() };
    let mut trouble = String::new();
    for spec in ["host", "debian:"] {
        let usable = Kernel::find(spec, &sources, &|doing| say(doing))
            .and_then(|kernel| kernel.load_order(&["kvm-amd"]).map(|_| kernel));
        match usable {
            Ok(kernel) => {
                say(format!("trying the claims in Linux {}, with an emulated AMD processor", kernel.release));
                return run(&Arguments {
                    query: query.to_vec(),
                    kernel: vec![spec.to_owned()],
                    suite: Vec::new(),
                    cpu: Cpu::Amd,
                    module: Vec::new(),
                    append: String::new(),
                    out: out.to_owned(),
                    baseline: None,
                    jobs: None,
                    seed: how.seed,
                    budget: how.budget,
                    clock: how.clock.map(NonZeroU64::get),
                    expectations: how.expectations.clone(),
                    alone: true,
                });
            }
            Err(error) => trouble = error.to_string(),
        }
    }
    Err(Complaint::Nothing(format!("nor is there a kernel for the lab: cannot {trouble}")))
}

pub(super) fn run(arguments: &Arguments) -> Result<Ending, Complaint> {
    let claims = select(&arguments.query)?;
    let mut known = shipped_expectations().map_err(|error| Complaint::Fault(error.to_string()))?;
    for path in &arguments.expectations {
        known.extend(own_expectations(path)?);
    }
    let kernels = kernels(arguments)?;
    let names: Vec<_> = kernels.iter().map(|(name, _)| name.clone()).collect();
    let baselines = baselines(arguments, &names)?;
    fs::create_dir_all(&arguments.out).map_err(|error| {
        let out = arguments.out.display();
        Complaint::Usage(format!("cannot write to {out}: {error}; name another place with --out DIR"))
    })?;
    let interrupt = Arc::new(Interrupt::default());
    on_interrupt(&interrupt)?;
    let bench = Bench {
        arguments,
        screen: Screen::new(claims.len(), &names),
        claims,
        known,
        parameters: parameters(&arguments.module),
        interrupt,
    };
    let tried = bench.side_by_side(kernels);
    let interrupted = bench.interrupt.is_set();
    let output = bench.screen.finish();
    show(&tried, &arguments.out, &output)?;
    Ok(if interrupted { Ending::Interrupted } else { ending(&tried, &baselines) })
}

/// The kernels that are named, each once, under their releases.
fn kernels(arguments: &Arguments) -> Result<Vec<(String, Kernel)>, Complaint> {
    let sources = Sources { suites: arguments.suite.clone(), cache: cache() };
    let mut kernels: Vec<(String, Kernel)> = Vec::new();
    for spec in &arguments.kernel {
        let kernel = Kernel::find(spec, &sources, &|doing| say(doing)).map_err(Complaint::unusable)?;
        if kernels.iter().any(|(_, other)| other.image == kernel.image) {
            continue;
        }
        let release = match arguments.cpu {
            Cpu::Amd => kernel.release.clone(),
            cpu => format!("{} on {cpu}", kernel.release),
        };
        // Two builds may call themselves the same.
        let alike = kernels.iter().filter(|(_, other)| other.release == kernel.release).count();
        let name = match alike {
            0 => release,
            more => format!("{release}~{}", more + 1),
        };
        kernels.push((name, kernel));
    }
    Ok(kernels)
}

/// Where packages are kept.
fn cache() -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let caches =
        std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute()).or_else(home);
    caches.unwrap_or_else(std::env::temp_dir).join("assay")
}

/// Reads `MODULE.PARAMETER=VALUE`.
fn parameter(text: &str) -> Result<(String, String), String> {
    let (module, rest) = text.split_once('.').unwrap_or_default();
    let is_name =
        |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
    if !is_name(module)
        || !is_name(rest.split('=').next().unwrap_or_default())
        || rest.contains(char::is_whitespace)
    {
        return Err(
            "a module's parameter is given as MODULE.PARAMETER=VALUE, such as kvm.halt_poll_ns=0".into()
        );
    }
    Ok((module.replace('-', "_"), rest.to_owned()))
}

/// The parameters of each module, as the kernel takes them.
fn parameters(given: &[(String, String)]) -> BTreeMap<String, String> {
    let mut parameters: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (module, parameter) in given {
        parameters.entry(module.clone()).or_default().push(parameter);
    }
    parameters.into_iter().map(|(module, values)| (module, values.join(" "))).collect()
}

/// What each kernel is held against.
fn baselines(arguments: &Arguments, names: &[String]) -> Result<Option<BTreeMap<String, Run>>, Complaint> {
    let Some(path) = &arguments.baseline else { return Ok(None) };
    let load = |path: &Path| Run::load(path).map_err(Complaint::unusable);
    let own = |name: &String| Some(path.join(folder(name))).filter(|path| path.is_dir());
    let mut baselines = BTreeMap::new();
    for name in names {
        baselines.insert(name.clone(), load(&own(name).unwrap_or_else(|| path.clone()))?);
    }
    Ok(Some(baselines))
}

/// The name of a kernel's directory.
fn folder(name: &str) -> String {
    name.chars().map(|c| if c.is_alphanumeric() || ".+-_~".contains(c) { c } else { '-' }).collect()
}

impl Bench<'_> {
    /// Tries every kernel, as many at once as there are processors; in the order in which they were named.
    fn side_by_side(&self, kernels: Vec<(String, Kernel)>) -> Vec<Tried> {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let workers = self.arguments.jobs.unwrap_or(processors).clamp(1, kernels.len().max(1));
        let queue: Mutex<VecDeque<_>> = Mutex::new(kernels.into_iter().enumerate().collect());
        let tried = Mutex::new(BTreeMap::new());
        thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| {
                    loop {
                        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                        let Some((index, (name, kernel))) = next.filter(|_| !self.interrupt.is_set()) else {
                            break;
                        };
                        let became = self.kernel(name, kernel);
                        tried.lock().unwrap_or_else(PoisonError::into_inner).insert(index, became);
                    }
                });
            }
        });
        tried.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect()
    }

    fn kernel(&self, name: String, kernel: Kernel) -> Tried {
        let all = &self.arguments.out;
        let out = if self.arguments.alone { all.clone() } else { all.join(folder(&name)) };
        let line = self.screen.line(&name, &out);
        let run = self.session(kernel, &line).map_err(|error| error.to_string());
        let mut unwritten = line.finish(run.as_ref().err().map(String::as_str));
        let written = run.as_ref().ok().map(|run| record::write(run, &out));
        if let Some(why) = written.as_ref().and_then(|written| written.trouble()) {
            unwritten.get_or_insert(why.to_owned());
        }
        Tried { name, run, unwritten }
    }

    fn session(&self, kernel: Kernel, line: &Line<'_>) -> Result<Run, LostError> {
        let arguments = self.arguments;
        let plan = Plan {
            claims: self.claims.clone(),
            orders: Orders {
                claims: Vec::new(),
                seed: arguments.seed,
                budget: Duration::from_millis(arguments.budget),
                clock: arguments.clock.map(Duration::from_secs),
                memory: MEMORY,
                parameters: self.parameters.clone(),
            },
            known: self.known.clone(),
            replay: match arguments.cpu {
                Cpu::Amd => format!("assay lab --kernel {}", kernel.name),
                cpu => format!("assay lab --kernel {} --cpu {cpu}", kernel.name),
            },
            boot: arguments.cpu.boot(),
            silence: arguments.cpu.silence(),
        };
        let lab = Lab::new(&kernel, arguments.cpu, &arguments.append, &self.parameters)?;
        Session::new(&lab, &plan, line, &self.interrupt).run()
    }
}

/// Prints what there is to say in the end: one kernel's record, or the matrix of several, which is written beside the records.
fn show(tried: &[Tried], out: &Path, output: &Output) -> Result<(), Complaint> {
    let runs: Vec<_> =
        tried.iter().filter_map(|tried| Some((tried.name.as_str(), tried.run.as_ref().ok()?))).collect();
    let mut text = Vec::new();
    let shown = match runs.as_slice() {
        [] => Ok(()),
        [(_, run)] => reports::format("text").map_or(Ok(()), |format| (format.write)(run, &mut text)),
        several => Matrix::new(several.iter().copied()).write_text(&mut text),
    };
    shown.map_err(|error| Complaint::Fault(format!("cannot render the record: {error}")))?;
    output.print(&String::from_utf8_lossy(&text));
    let unwritten = match runs.len() {
        0 | 1 => None,
        _ => write_matrix(&Matrix::new(runs.iter().copied()), out).err(),
    };
    for tried in tried {
        if let Err(why) = &tried.run {
            say(format!("{}: cannot {why}", tried.name));
        }
    }
    match unwritten.or_else(|| tried.iter().find_map(|tried| tried.unwritten.clone())) {
        Some(why) => Err(Complaint::Fault(why)),
        None => {
            if !runs.is_empty() {
                output.print(&format!("\nThe record of each kernel is below {}.\n", out.display()));
            }
            output.end()
        }
    }
}

fn write_matrix(matrix: &Matrix<'_>, out: &Path) -> Result<(), String> {
    let (mut page, mut json) = (Vec::new(), Vec::new());
    let rendered = matrix.write_markdown(&mut page).and_then(|()| matrix.write_json(&mut json));
    rendered.map_err(|error| format!("cannot render the matrix: {error}"))?;
    for (file, bytes) in [("matrix.md", page), ("matrix.json", json)] {
        let path = out.join(file);
        fs::write(&path, bytes).map_err(|error| {
            format!(
                "cannot write {}: {error}; make room, or name another place with --out DIR",
                path.display()
            )
        })?;
    }
    Ok(())
}

/// What all kernels amount to; against a baseline, only what it does not say already.
fn ending(tried: &[Tried], baselines: &Option<BTreeMap<String, Run>>) -> Ending {
    let endings: Vec<_> = tried
        .iter()
        .map(|tried| match (&tried.run, baselines.as_ref().and_then(|all| all.get(&tried.name))) {
            (Err(_), _) => Ending::Fault,
            (Ok(run), None) => Ending::of(run),
            (Ok(run), Some(baseline)) if is_worse(baseline, run) => Ending::Broken,
            (Ok(run), Some(_)) => match Ending::of(run) {
                Ending::Broken => Ending::Held,
                other => other,
            },
        })
        .collect();
    let any = |ending| endings.contains(&ending);
    if any(Ending::Broken) {
        Ending::Broken
    } else if any(Ending::Fault) {
        Ending::Fault
    } else if any(Ending::Held) {
        Ending::Held
    } else {
        Ending::Nothing
    }
}

/// Whether something regressed, or is new and bad.
fn is_worse(baseline: &Run, run: &Run) -> bool {
    changes(baseline, run).iter().any(|change| match change.kind {
        ChangeKind::Regressed => true,
        ChangeKind::Appeared => change.after.is_some_and(reports::Entry::is_failure),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_and_gathered_by_module() {
        let given =
            ["kvm-amd.nested=1", "kvm.halt_poll_ns=0", "kvm_amd.npt=0"].map(|text| parameter(text).unwrap());
        let gathered = parameters(&given);
        assert_eq!(gathered["kvm_amd"], "nested=1 npt=0");
        assert_eq!(gathered["kvm"], "halt_poll_ns=0");
    }

    #[test]
    fn what_is_no_parameter_is_refused() {
        for text in ["", "kvm", "kvm.", ".x=1", "kvm.x=1 y", "k/vm.x=1"] {
            assert!(parameter(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_kernels_directory_stays_where_it_belongs() {
        assert_eq!(folder("6.12.117+deb12-cloud-amd64"), "6.12.117+deb12-cloud-amd64");
        assert_eq!(folder("../a b/c"), "..-a-b-c");
    }
}
