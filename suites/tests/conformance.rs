//! Every claim of the suite as a test of its own: `cargo test`, `cargo test --test conformance vcpu::mmap`, `cargo nextest run`.

use std::process::ExitCode;

use suites as _;

fn main() -> ExitCode {
    harness::conformance()
}
