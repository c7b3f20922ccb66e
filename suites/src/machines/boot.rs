//! `assay boot`: our machine as a program.

use std::ffi::OsString;
use std::process::ExitCode;

use harness::command;

command!("boot", "Boot a kernel in our PC on this terminal, in QEMU's spelling of the options", boot);

fn boot(typed: Vec<OsString>) -> ExitCode {
    vmm::boot_command(typed)
}
