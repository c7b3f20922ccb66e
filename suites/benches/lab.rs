//! How long the lab takes, and how much memory: from the command to the first claim, all claims on one kernel, several kernels side
//! by side, and the first claim under Bochs.
//!
//!     cargo bench -p suites --bench lab                                     # Debian's 6.12, by itself and under Bochs
//!     cargo bench -p suites --bench lab -- debian:5.10 debian:6.1 …         # these side by side as well
//!
//! An argument of `--suite=NAME` is handed on. Kernels are fetched before anything is measured. What is missing here is said in its line.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// The program, as people use it.
const ASSAY: &str = env!("CARGO_BIN_EXE_assay");
/// The kernel that is tried by itself.
const KERNEL: &str = "debian:6.12";
/// A claim that takes no time of its own.
const QUICK: &str = "system::get_api_version::is_twelve";

/// One run of the lab, measured.
struct Measured {
    /// From the command to the first verdict.
    first: Option<Duration>,
    whole: Duration,
    /// The most memory that one of its processes held, in KiB.
    peak: u64,
    /// What the last line of its totals says.
    totals: String,
    status: ExitStatus,
}

fn main() {
    // The harness of benches hands on its own options.
    let given: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let (suites, kernels): (Vec<_>, Vec<_>) =
        given.into_iter().partition(|argument| argument.starts_with("--suite="));
    let kernels: Vec<_> = kernels.iter().flat_map(|kernel| ["--kernel", kernel]).map(str::to_owned).collect();
    let alone = ["--kernel".to_owned(), KERNEL.to_owned()];
    let intel = |model: &str| [alone.as_slice(), &["--cpu".to_owned(), model.to_owned()]].concat();
    fetch(&[suites.as_slice(), &alone, &kernels].concat());
    row("what", "first claim", "whole", "largest process", "");
    measure("one claim, AMD under QEMU", &alone, &[QUICK]);
    measure("every claim, AMD under QEMU", &alone, &[]);
    if !kernels.is_empty() {
        let what = format!("every claim, {} kernels side by side", kernels.len() / 2);
        measure(&what, &[suites, kernels].concat(), &[]);
    }
    for model in ["core2_penryn_t9600", "corei7_haswell_4770"] {
        measure(&format!("one claim, {model} under Bochs"), &intel(model), &[QUICK]);
    }
}

/// Has every kernel there before the clock runs.
fn fetch(kernels: &[String]) {
    let status = start(kernels, &[QUICK]).wait();
    if !status.is_ok_and(|status| status.success()) {
        eprintln!("not every kernel could be tried: what follows says which");
    }
}

fn start(kernels: &[String], query: &[&str]) -> Child {
    let out = std::env::temp_dir().join("assay-bench-lab");
    let mut command = Command::new(ASSAY);
    command.arg("lab").args(kernels).args(query).arg("--out").arg(out);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("assay starts")
}

fn measure(what: &str, kernels: &[String], query: &[&str]) {
    let measured = run(kernels, query);
    let seconds = |time: Duration| format!("{:.1} s", time.as_secs_f64());
    let first = measured.first.map_or_else(|| "none".to_owned(), seconds);
    let peak = format!("{} MiB", measured.peak >> 10);
    let totals = if measured.status.code() == Some(0) {
        measured.totals
    } else {
        format!("{}: {}", measured.status, measured.totals)
    };
    row(what, &first, &seconds(measured.whole), &peak, &totals);
}

fn run(kernels: &[String], query: &[&str]) -> Measured {
    let begin = Instant::now();
    let mut child = start(kernels, query);
    let (mut first, mut totals, mut peak) = (None, String::new(), 0);
    let output = child.stdout.take().expect("its output is piped");
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        if first.is_none() && line.split_whitespace().any(|word| ["pass", "fail", "known"].contains(&word)) {
            first = Some(begin.elapsed());
        }
        if line.contains(" claims: ") || line.contains(" claim: ") {
            totals = line.trim().to_owned();
        }
        // The kernel keeps the most that each ever held, so that it is enough to look before the emulator ends.
        peak = peak.max(largest_below(child.id()));
    }
    let status = child.wait().expect("its end");
    Measured { first, whole: begin.elapsed(), peak, totals, status }
}

/// The most memory that one of the processes below this one ever held, in KiB.
fn largest_below(process: u32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let children = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let children: Vec<u32> = children
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect();
    children.into_iter().map(|child| held(child).max(largest_below(child))).max().unwrap_or(0)
}

/// The most memory that a process ever held, in KiB.
fn held(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
}

fn row(what: &str, first: &str, whole: &str, peak: &str, totals: &str) {
    println!("{what:<48} {first:>12} {whole:>9} {peak:>18}  {totals}");
}
