//! `assay`: tries the claims of this suite.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use suites as _;

fn main() -> ExitCode {
    harness::main()
}
