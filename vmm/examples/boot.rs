//! The machine as a program of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    vmm::boot_command(std::env::args_os().skip(1))
}
