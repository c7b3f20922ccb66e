//! The lab with the suite's own claims: kernels booted by the program that people use.
//!
//! The kernel is named by `ASSAY_LAB_KERNEL`, in any form that `assay lab --kernel` takes. Without one, or without an emulator, a test
//! says so and passes.

#![expect(clippy::unwrap_used, reason = "a test's own functions may panic too")]

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use reports::{Run, Verdict};
use rustix::process::{Pid, Signal, kill_process};

/// The kernel to boot, where all of these emulators are here.
fn kernel(emulators: &[&str]) -> Option<OsString> {
    let Some(kernel) = std::env::var_os("ASSAY_LAB_KERNEL") else {
        eprintln!("not tried: ASSAY_LAB_KERNEL names no kernel to boot");
        return None;
    };
    let missing = emulators.iter().find(|emulator| Command::new(emulator).arg("--help").output().is_err());
    if let Some(emulator) = missing {
        eprintln!("not tried: there is no {emulator} here");
        return None;
    }
    Some(kernel)
}

#[test]
fn claims_hold_inside_a_kernel_of_ones_choice() {
    let Some(kernel) = kernel(&["qemu-system-x86_64"]) else { return };
    let out = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_assay"))
        .args([
            "lab",
            "--module",
            "kvm.halt_poll_ns=4711",
            "--append",
            "assay_was=here",
            "system::get_api_version",
        ])
        .arg("--kernel")
        .arg(kernel)
        .arg("--out")
        .arg(out.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let folder = fs::read_dir(out.path()).unwrap().next().unwrap().unwrap().path();
    let run = Run::load(&folder).unwrap();
    assert!(!run.claims.is_empty() && run.claims.iter().all(|entry| entry.verdict == Verdict::Pass));
    assert_eq!(run.host.module.as_deref(), Some("kvm_amd"));
    assert!(run.host.emulated && run.host.emulator.is_some_and(|emulator| emulator.starts_with("QEMU ")));
    assert!(run.host.command_line.contains("assay_was=here"));
    assert_eq!(run.host.parameters["kvm"]["halt_poll_ns"], "4711");
    assert!(folder.join("junit.xml").exists() && folder.join("journal.jsonl").exists());
}

#[test]
fn a_kernel_that_is_alone_is_tried_in_two_boots_with_one_record() {
    let Some(kernel) = kernel(&["qemu-system-x86_64"]) else { return };
    let out = tempfile::tempdir().unwrap();
    let mark = format!("ASSAY_TEST={}", out.path().display());
    let mut command = Command::new(env!("CARGO_BIN_EXE_assay"));
    command.args(["lab", "--jobs", "2", "vm/", "--kernel"]).arg(kernel).arg("--out").arg(out.path());
    command.env("ASSAY_TEST", out.path()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let most = lines.map(|_| marked(&mark).len()).max();
    assert_eq!(most, Some(3), "two machines and the program");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let folder = fs::read_dir(out.path()).unwrap().next().unwrap().unwrap().path();
    let listed = Command::new(env!("CARGO_BIN_EXE_assay")).args(["list", "vm/"]).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let names: Vec<_> = listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let run = Run::load(&folder).unwrap();
    let tried: Vec<_> = run.claims.iter().map(|entry| entry.name.as_str()).collect();
    assert!(tried.iter().all(|name| names.contains(name)), "{tried:?}");
    assert!(tried.len() > 200 && run.notes.is_empty(), "{} claims, {:?}", tried.len(), run.notes);
    // What was written as it happened says the same.
    let journal = folder.join("journal.jsonl");
    fs::remove_file(folder.join("run.json")).unwrap();
    assert_eq!(Run::load(&journal).unwrap().totals, run.totals);
}

#[test]
fn an_earlier_run_is_gone_on_with() {
    let Some(kernel) = kernel(&["qemu-system-x86_64"]) else { return };
    let out = tempfile::tempdir().unwrap();
    let lab = |query: &str, more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_assay"));
        command
            .args(["lab", query, "--resume"])
            .args(more)
            .arg("--kernel")
            .arg(&kernel)
            .arg("--out")
            .arg(out.path());
        let output = command.output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let twelve = "system::get_api_version::is_twelve";
    let (status, said, complained) = lab(twelve, &[]);
    assert_eq!(status, Some(0), "{complained}");
    assert!(said.contains(&format!("pass      {twelve}")), "{said}");
    let (status, said, complained) = lab("system::get_api_version", &[]);
    assert_eq!(status, Some(0), "{complained}");
    assert!(said.contains("goes on   1 of ") && !said.contains(&format!("pass      {twelve}")), "{said}");
    let folder = fs::read_dir(out.path()).unwrap().next().unwrap().unwrap().path();
    let (record, journal) = (Run::load(&folder).unwrap(), Run::load(folder.join("journal.jsonl")).unwrap());
    assert!(record.claims.len() > 1 && record.claims.iter().any(|entry| entry.name == twelve));
    assert_eq!(journal.claims, record.claims);
    // Nothing is left: nothing is booted, and the record is told.
    let (status, said, _) = lab("system::get_api_version", &[]);
    assert_eq!((status, said.contains("booted")), (Some(0), false), "{said}");
    // The same kernel told otherwise is another machine, whose record stays.
    let (status, _, complained) = lab("system::", &["--append", "assay_was=here"]);
    assert_ne!(status, Some(0));
    assert!(complained.contains("it is another machine's (command line: "), "{complained}");
    assert_eq!(Run::load(&folder).unwrap(), record);
}

/// Every process that has this in its environment.
fn marked(mark: &str) -> Vec<String> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let has_mark = |name: &String| {
        let environment = fs::read(format!("/proc/{name}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
    };
    processes.filter_map(|entry| entry.file_name().into_string().ok()).filter(has_mark).collect()
}

#[test]
fn an_interrupt_ends_four_machines_and_keeps_what_they_told() {
    let Some(kernel) = kernel(&["qemu-system-x86_64", "bochs"]) else { return };
    let out = tempfile::tempdir().unwrap();
    let mark = format!("ASSAY_TEST={}", out.path().display());
    let mut command = Command::new(env!("CARGO_BIN_EXE_assay"));
    command.args(["lab", "--jobs", "4", "--kernel"]).arg(kernel).arg("--out").arg(out.path());
    let page = out.path().join("page.md");
    fs::write(&page, "an earlier run's").unwrap();
    command.arg("--page").arg(&page);
    for cpu in ["amd", "core2_penryn_t9600", "corei7_haswell_4770", "zambezi"] {
        command.args(["--cpu", cpu]);
    }
    command.env("ASSAY_TEST", out.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("  pass  ")), "no claim was tried");
    assert!(marked(&mark).len() > 4, "four machines and this program: {:?}", marked(&mark));
    kill_process(Pid::from_raw(child.id().cast_signed()).unwrap(), Signal::INT).unwrap();
    lines.for_each(drop);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(marked(&mark), Vec::<String>::new(), "processes were left behind");
    assert_eq!(fs::read_to_string(&page).unwrap(), "an earlier run's");
    let folders = fs::read_dir(out.path()).unwrap().flatten().map(|entry| entry.path());
    let runs: Vec<_> = folders.filter(|path| path.is_dir()).map(|path| Run::load(path).unwrap()).collect();
    assert!(
        runs.iter()
            .any(|run| !run.claims.is_empty() && run.notes.iter().any(|note| note.starts_with("left out: ")))
    );
}
