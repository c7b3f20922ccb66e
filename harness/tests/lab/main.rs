//! Claims that kill the kernel that they are tried on: each costs itself, and the run goes on after it. They need the lab, and are
//! skipped anywhere else.
//!
//! A kernel to boot is named by `ASSAY_LAB_KERNEL`, in any form that `assay lab --kernel` takes; without one, or without QEMU, the
//! tests are ignored and say so.

mod quick;
mod slow;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, ExitCode, Output};

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use reports::{Run, Verdict};

/// Names the kernel to boot.
const KERNEL: &str = "ASSAY_LAB_KERNEL";

fn main() -> ExitCode {
    let first = std::env::args().nth(1);
    // This program is its own assay, its own keepers, and the init of the kernels that it boots.
    if std::process::id() == 1
        || first.is_some_and(|first| ["lab", "run", "--keeper-of-claims"].contains(&first.as_str()))
    {
        return harness::main();
    }
    let trials = vec![
        Trial::ignorable_test("a_claim_that_kills_the_kernel_costs_itself", killers_cost_themselves),
        Trial::ignorable_test("a_kernel_that_is_not_heard_of_costs_the_claim", silent_kernels_are_left),
        Trial::ignorable_test("a_kernel_that_never_reaches_init_is_told", no_init_is_told),
        Trial::ignorable_test("a_processor_without_virtualization_is_told", no_virtualization_is_told),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// Why no kernel can be booted here.
fn impossible() -> Option<&'static str> {
    if Command::new("qemu-system-x86_64").arg("--version").output().is_err() {
        return Some("there is no qemu-system-x86_64 here");
    }
    std::env::var_os(KERNEL).is_none().then_some("ASSAY_LAB_KERNEL names no kernel to boot")
}

fn command(out: &Path, arguments: &[&str]) -> Result<Command, Failed> {
    let kernel = std::env::var_os(KERNEL).unwrap_or_default();
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("lab").arg("--out").arg(out).arg("--kernel").arg(kernel).args(arguments);
    Ok(command)
}

fn lab(out: &Path, arguments: &[&str]) -> Result<Output, Failed> {
    Ok(command(out, arguments)?.output()?)
}

fn killers_cost_themselves() -> Result<Completion, Failed> {
    if let Some(why) = impossible() {
        return Ok(Completion::ignored_with(why));
    }
    let out = tempfile::tempdir()?;
    let output = lab(out.path(), &["quick/"])?;
    let said = String::from_utf8_lossy(&output.stdout);
    let folder = fs::read_dir(out.path())?.next().ok_or("there is no record")??;
    let run = Run::load(folder.path())?;
    let verdicts: Vec<_> = run.claims.iter().map(|entry| entry.verdict).collect();
    assert_eq!(verdicts, [Verdict::Pass, Verdict::Crash, Verdict::Crash, Verdict::Pass], "{said}");
    assert_eq!(output.status.code(), Some(1));
    let [_, panicked, reset, _] = run.claims.as_slice() else { return Err("four claims".into()) };
    assert!(
        panicked.why.as_deref().is_some_and(|why| why.contains("Kernel panic - not syncing")),
        "{panicked:?}"
    );
    let words = &panicked.witness.as_ref().ok_or("a witness")?.detail;
    assert!(words.iter().any(|line| line.contains("sysrq")), "{words:?}");
    assert!(reset.why.as_deref().is_some_and(|why| why.contains("the machine was reset")), "{reset:?}");
    for killer in [panicked, reset] {
        assert!(killer.notes.iter().any(|note| note.starts_with("tried a second time")), "{killer:?}");
    }
    Ok(Completion::Completed)
}

fn silent_kernels_are_left() -> Result<Completion, Failed> {
    if let Some(why) = impossible() {
        return Ok(Completion::ignored_with(why));
    }
    let out = tempfile::tempdir()?;
    let output = lab(out.path(), &["slow/", "--silence", "6"])?;
    let said = String::from_utf8_lossy(&output.stdout);
    let folder = fs::read_dir(out.path())?.next().ok_or("there is no record")??;
    let run = Run::load(folder.path())?;
    let verdicts: Vec<_> = run.claims.iter().map(|entry| entry.verdict).collect();
    assert_eq!(verdicts, [Verdict::Crash, Verdict::Crash, Verdict::Pass], "{said}");
    for killer in &run.claims[..2] {
        assert!(
            killer.why.as_deref().is_some_and(|why| why.contains("nothing was heard of it for 6 s")),
            "{killer:?}"
        );
        assert!(killer.notes.iter().any(|note| note.starts_with("tried a second time")), "{killer:?}");
    }
    Ok(Completion::Completed)
}

/// An emulator whose processor has no SVM, by a program of QEMU's name that passes everything on but that.
fn no_virtualization_is_told() -> Result<Completion, Failed> {
    if let Some(why) = impossible() {
        return Ok(Completion::ignored_with(why));
    }
    let (out, tools) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let path = std::env::var("PATH")?;
    let script = format!(
        "#!/bin/bash\nPATH='{path}'\nexec qemu-system-x86_64 \"${{@//max,+svm,+npt,-erms/max,-svm}}\"\n"
    );
    let program = tools.path().join("qemu-system-x86_64");
    fs::write(&program, script)?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    let tools = tools.path().display();
    let output = command(out.path(), &["quick/"])?.env("PATH", format!("{tools}:{path}")).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(
        said.contains(
            "cannot use KVM in this kernel: the emulated processor shows neither SVM nor VMX: name"
        ),
        "{said}"
    );
    Ok(Completion::Completed)
}

fn no_init_is_told() -> Result<Completion, Failed> {
    if let Some(why) = impossible() {
        return Ok(Completion::ignored_with(why));
    }
    let out = tempfile::tempdir()?;
    let output = lab(out.path(), &["--append", "rdinit=/nowhere"])?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("cannot reach init in this kernel: the kernel panicked"), "{said}");
    Ok(Completion::Completed)
}
