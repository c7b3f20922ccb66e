//! Tries claims about the kernel's KVM interface.
//!
//! A claim is a function and a sentence; its argument types are its whole set-up; it ends in an [`Outcome`]. Anybody's claims can
//! be tried: a program that links them and calls [`main`] has the whole command line.
//!
//! ```no_run
//! use harness::kvm::Kvm;
//! use harness::{Outcome, claim, equal};
//!
//! fn api_version_is_twelve(kvm: Kvm) -> Outcome {
//!     equal(kvm.get_api_version()?, 12)
//! }
//! claim!(api_version_is_twelve, "KVM_GET_API_VERSION answers 12", [Api("4.1 KVM_GET_API_VERSION")]);
//!
//! fn main() -> std::process::ExitCode {
//!     harness::main()
//! }
//! ```

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
compile_error!("Assay tests KVM on x86-64: it is built for x86_64 Linux only");

mod body;
mod check;
mod claim;
mod cli;
mod clock;
mod command;
mod conformance;
mod controllers;
pub mod entry;
mod expectations;
mod guest;
mod host;
#[doc(hidden)]
pub mod input;
pub mod isolate;
pub mod kvm;
pub mod lab;
mod need;
mod offers;
mod outcome;
pub mod process;
mod puppet;
mod recorder;
pub mod relation;
pub mod runner;
pub mod signal;
pub mod state;
mod subject;
pub mod testbed;
pub mod twins;

pub use body::{Body, Case, body};
pub use check::{differs, each, equal, fails, fails_with_one_of, holds, succeeds, tally, unchanged, within};
pub use claim::{CLAIMS, Claim, Source, claim_named, claims};
pub use cli::main;
pub use command::{COMMANDS, Command};
pub use conformance::conformance;
pub use controllers::Controllers;
pub use expectations::{
    EXPECTATIONS, REGRESSIONS, Shipped, ShippedError, shipped_expectations, shipped_regressions,
};
pub use guest::Guest;
pub use host::Facts;
pub use input::Input;
pub use need::Need;
pub use offers::{lacking, offers};
pub use outcome::{Broken, HostFault, Outcome, Stop};
pub use puppet::{Exception, Puppet, Told};
pub use recorder::ran;
#[doc(hidden)]
pub use recorder::{recorded, recording};
pub use subject::{SUBJECTS, Subject, subjects, tells};

#[doc(hidden)]
pub use {linkme, proptest};
