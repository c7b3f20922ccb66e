//! The lab with the suite's own claims: one kernel, booted by the program that people use.
//!
//! The kernel is named by `ASSAY_LAB_KERNEL`, in any form that `assay lab --kernel` takes. Without one, or without QEMU, the test says
//! so and passes.

use std::fs;
use std::process::Command;

use reports::{Run, Verdict};

#[test]
fn claims_hold_inside_a_kernel_of_ones_choice() {
    let Some(kernel) = std::env::var_os("ASSAY_LAB_KERNEL") else {
        return eprintln!("not tried: ASSAY_LAB_KERNEL names no kernel to boot");
    };
    if Command::new("qemu-system-x86_64").arg("--version").output().is_err() {
        return eprintln!("not tried: there is no qemu-system-x86_64 here");
    }
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
    assert!(run.host.emulated);
    assert!(run.host.command_line.contains("assay_was=here"));
    assert_eq!(run.host.parameters["kvm"]["halt_poll_ns"], "4711");
    assert!(folder.join("junit.xml").exists() && folder.join("journal.jsonl").exists());
}
