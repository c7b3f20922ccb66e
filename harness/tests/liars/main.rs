//! Planted liars: claims that lie, die, hang, leak, hoard and quarrel with their keeper. Each is tried by the real runner, gets the
//! verdict that it deserves, leaves nothing behind, and the run goes on after it.
//!
//! None of it needs KVM, but for the tests that say so; those are ignored where there is none.

mod answers;
mod cast;
mod checks;
mod crashes;
mod descriptors;
mod fails;
mod hangs;
mod interrupts;
mod keepers;
mod kernel_log;
mod leftovers;
mod memory;
mod program;
mod relations;
mod seeds;
mod stage;
mod stories;
mod twins;
mod verdicts;

use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Completion, Trial};

/// The tests of a module, by the names of their functions.
macro_rules! tests {
    ($($test:ident),* $(,)? $(; with_kvm: $($with_kvm:ident),* $(,)?)?) => {
        pub(crate) fn tests() -> Vec<libtest_mimic::Trial> {
            vec![
                $(crate::test(module_path!(), stringify!($test), $test),)*
                $($(crate::test_with_kvm(module_path!(), stringify!($with_kvm), $with_kvm),)*)?
            ]
        }
    };
}
use tests;

fn main() -> ExitCode {
    harness::isolate::intercept();
    if let Some(ended) = cast::play() {
        return ended;
    }
    if std::env::var_os(program::COMMAND_LINE).is_some() {
        return harness::main();
    }
    match std::env::var_os(stage::MARKS) {
        Some(_) => libtest_mimic::run(&Arguments::from_args(), all()).exit_code(),
        None => on_stage(),
    }
}

/// This program again, with a place for what its claims note: a variable can only be given to another process.
fn on_stage() -> ExitCode {
    let marks = tempfile::tempdir().expect("a directory for what claims note");
    let status = Command::new("/proc/self/exe")
        .args(std::env::args_os().skip(1))
        .env(stage::MARKS, marks.path())
        .status()
        .expect("this program again");
    ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

fn test(module: &str, name: &str, test: fn()) -> Trial {
    Trial::test(stage::name_in(module, name), move || {
        test();
        Ok(())
    })
}

fn test_with_kvm(module: &str, name: &str, test: fn()) -> Trial {
    Trial::ignorable_test(stage::name_in(module, name), move || match stage::without_kvm() {
        Some(why) => Ok(Completion::ignored_with(why)),
        None => {
            test();
            Ok(Completion::Completed)
        }
    })
}

fn all() -> Vec<Trial> {
    [
        answers::tests(),
        checks::tests(),
        crashes::tests(),
        descriptors::tests(),
        fails::tests(),
        hangs::tests(),
        interrupts::tests(),
        keepers::tests(),
        kernel_log::tests(),
        leftovers::tests(),
        memory::tests(),
        program::tests(),
        relations::tests(),
        seeds::tests(),
        stories::tests(),
        twins::tests(),
        verdicts::tests(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
