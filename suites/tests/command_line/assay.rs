//! Runs the program, and hands over what it said.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, ExitStatus, Output};
use std::sync::OnceLock;

use reports::{Entry, Run, Verdict};
use serde_json::Value;
use tempfile::TempDir;

/// The program.
pub(crate) const ASSAY: &str = env!("CARGO_BIN_EXE_assay");

/// The path of the claims about one command, which hold on every KVM: [`CLAIM`] and [`FIXED`].
pub(crate) const PATH: &str = "system/get_api_version/";
/// The path of many claims, of which some may not hold where the tests are run.
pub(crate) const AREA: &str = "system/";

/// A claim that holds on every KVM, and takes one generated number.
pub(crate) const CLAIM: &str = "system::get_api_version::refuses_an_argument";
/// A claim that holds on every KVM, and generates nothing.
pub(crate) const FIXED: &str = "system::get_api_version::is_twelve";

/// What a program said, and how it ended.
pub(crate) struct Said {
    pub(crate) status: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    pub(crate) fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_owned()).unwrap();
        Self { status: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// Asserts that it ended with this status, and hands over the one sentence that it said on standard error.
    #[track_caller]
    pub(crate) fn sentence(&self, status: i32) -> &str {
        assert_eq!(self.status, Some(status), "{}{}", self.out, self.err);
        sentence(&self.err)
    }

    /// Asserts that it ended well and said nothing on standard error; hands over what it printed.
    #[track_caller]
    pub(crate) fn printed(&self) -> &str {
        assert_eq!((self.status, self.err.as_str()), (Some(0), ""), "{}", self.out);
        &self.out
    }
}

/// What follows `assay: ` in what must be one line in that form, fit to be read.
#[track_caller]
pub(crate) fn sentence(err: &str) -> &str {
    let said = err.strip_prefix("assay: ").and_then(|said| said.strip_suffix('\n')).unwrap_or_default();
    let is_clean = !said.is_empty() && !said.contains('\n') && !said.contains("assay: assay");
    assert!(is_clean && !said.contains("os error") && !said.contains("Some("), "no sentence: {err:?}");
    said
}

/// The program with these arguments, in the directory for temporary files, so that nothing is left in the sources.
pub(crate) fn command(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = Command::new(ASSAY);
    command.args(arguments).current_dir(std::env::temp_dir()).env_remove("TERM");
    command
}

/// Runs the program.
pub(crate) fn assay(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Said {
    Said::of(&command(arguments).output().unwrap())
}

/// Runs the program with the words of a line and a directory behind them, and hands that over too.
pub(crate) fn assay_to(line: &str) -> (Said, TempDir) {
    let out = tempfile::tempdir().unwrap();
    let mut arguments: Vec<_> = line.split(' ').map(Into::into).collect();
    arguments.extend(["--out".into(), out.path().as_os_str().to_owned()]);
    (assay(arguments), out)
}

/// The record of an area, which is made once; none where this host has no KVM, which is said.
pub(crate) fn whole() -> Option<&'static (Said, TempDir)> {
    static WHOLE: OnceLock<(Said, TempDir)> = OnceLock::new();
    usable().then(|| WHOLE.get_or_init(|| assay_to(&format!("run {AREA} --budget 0"))))
}

/// Whether claims can be tried here; where not, the test says so and ends.
pub(crate) fn usable() -> bool {
    static USABLE: OnceLock<bool> = OnceLock::new();
    let usable = *USABLE.get_or_init(|| assay(["host"]).status == Some(0));
    if !usable {
        eprintln!("not tested: this host has no usable /dev/kvm");
    }
    usable
}

/// Whether the test can do with mounts and users as it needs to; where not, it says so and ends.
pub(crate) fn is_able(tool: &[&str]) -> bool {
    let tried = Command::new(tool[0]).args(&tool[1..]).args([ASSAY, "--version"]).output();
    let able = tried.is_ok_and(|output| output.status.success());
    if !able {
        eprintln!("not tested: {} does not work here, for want of the tool or of root", tool.join(" "));
    }
    able
}

/// The record in a directory.
pub(crate) fn json(directory: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(directory.join("run.json")).unwrap()).unwrap()
}

/// The run in a directory or file.
pub(crate) fn run(path: impl AsRef<Path>) -> Run {
    Run::load(path).unwrap()
}

/// The status that a run with this record ends with.
pub(crate) fn status_of(run: &Run) -> i32 {
    if run.claims.iter().any(Entry::is_failure) {
        1
    } else if run.totals[&Verdict::Fault] > 0 {
        3
    } else {
        0
    }
}

/// The number of the signal or status that a shell would show.
pub(crate) fn shown(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap()
}
