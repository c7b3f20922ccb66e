//! Where planted claims are tried: the real runner with short clocks, an honest claim to come after the liar, and a directory in
//! which claims note what the test is to know.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use harness::isolate::Limits;
use harness::runner::{Interrupt, Observer, Settings, run};
use harness::{Claim, Facts, Outcome, claim, claims, equal};
use reports::{Entry, Host, Run, Verdict};

/// The variable that names the directory in which claims note things.
pub(crate) const MARKS: &str = "LIARS_MARKS";
/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// The claim that holds.
pub(crate) const HONEST: &str = "stage::honest";

fn honest() -> Outcome {
    equal(1 + 1, 2)
}
claim!(honest, "one and one are two", [Observed("everywhere")]);

/// Settings under which a liar is found out, with a clock that runs out on no busy host.
pub(crate) fn settings() -> Settings {
    Settings {
        workers: 1,
        limits: Limits {
            clock: Duration::from_secs(20),
            budget: Duration::ZERO,
            least_cases: 64,
            most_cases: 64,
            memory: 128 << 20,
        },
        kernel_log: "/dev/null".into(),
        ..Settings::default()
    }
}

/// The same with a clock that a test can wait for.
pub(crate) fn short() -> Settings {
    let mut settings = settings();
    settings.limits.clock = Duration::from_secs(1);
    settings
}

/// The facts of a host that has nothing.
pub(crate) fn facts() -> Facts {
    Facts { host: Host::default(), root: false, compat32: false, lab: false, unusable: None }
}

/// Nobody watches.
pub(crate) struct Nobody;

impl Observer for Nobody {
    fn began(&self, _: &Claim) {}
    fn ended(&self, _: &Entry) {}
    fn noted(&self, _: &str) {}
}

/// The planted claims of these names.
pub(crate) fn planted(names: &[&str]) -> Vec<&'static Claim> {
    let all = claims();
    let find =
        |name: &&str| *all.iter().find(|claim| claim.name() == *name).unwrap_or_else(|| panic!("no {name}"));
    names.iter().map(find).collect()
}

/// The run of several claims, in this order where there is one worker.
pub(crate) fn run_of(names: &[&str], settings: &Settings) -> Run {
    run(&planted(names), &facts(), settings, &Nobody, &Interrupt::default())
}

/// What a run says of a claim.
pub(crate) fn entry(run: &Run, name: &str) -> Entry {
    run.claims
        .iter()
        .find(|entry| entry.name == name)
        .unwrap_or_else(|| panic!("{name} is not in the run"))
        .clone()
}

/// What is said of a liar; the honest claim that comes after it must not suffer.
pub(crate) fn tried_with(liar: &str, settings: &Settings) -> Entry {
    let run = run_of(&[liar, HONEST], settings);
    let after = entry(&run, HONEST);
    assert_eq!(
        (after.verdict, after.why, after.notes),
        (Verdict::Pass, None, vec![]),
        "the claim after {liar}"
    );
    entry(&run, liar)
}

/// The same with the usual settings.
pub(crate) fn tried(liar: &str) -> Entry {
    tried_with(liar, &settings())
}

/// The input of an entry's witness.
pub(crate) fn input(entry: &Entry) -> serde_json::Value {
    entry.witness.as_ref().and_then(|witness| witness.input.clone()).unwrap_or_default()
}

/// The line of `text`, the source of `file`, that ends in a comment with these words, as a witness names it.
pub(crate) fn line(file: &str, text: &str, words: &str) -> Option<String> {
    let ending = format!("// {words}");
    let index =
        text.lines().position(|line| line.ends_with(&ending)).unwrap_or_else(|| panic!("no {ending}"));
    Some(format!("{file}:{}", index + 1))
}

/// The name of a test or claim, from its module and its function.
pub(crate) fn name_in(module: &str, function: &str) -> String {
    let module = module.split_once("::").map_or("", |(_, module)| module);
    format!("{module}::{function}")
}

/// Why there is no KVM to test with; none where there is.
pub(crate) fn without_kvm() -> Option<String> {
    harness::kvm::Kvm::try_open().err().map(|error| format!("/dev/kvm cannot be opened: {error}"))
}

/// What a claim writes into, for the test to read.
#[derive(Debug)]
pub(crate) struct Marks(PathBuf);

harness::fixture!(Marks, || Ok(Marks::new()));

impl Marks {
    /// The place that this program was given.
    pub(crate) fn new() -> Self {
        Self(std::env::var_os(MARKS).expect("a directory for what claims note").into())
    }

    /// A file in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Adds a line to a file.
    pub(crate) fn note(&self, name: &str, line: impl std::fmt::Display) {
        let mut file = fs::File::options().append(true).create(true).open(self.path(name)).expect("a mark");
        file.write_all(format!("{line}\n").as_bytes()).expect("room for a mark");
    }

    /// The lines of a file so far.
    pub(crate) fn lines(&self, name: &str) -> Vec<String> {
        fs::read_to_string(self.path(name)).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// The same, and forgets them.
    pub(crate) fn take(&self, name: &str) -> Vec<String> {
        let lines = self.lines(name);
        let _ = fs::remove_file(self.path(name));
        lines
    }
}

/// Waits until something is so.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "waited for {what}, in vain");
        std::thread::sleep(Duration::from_millis(2));
    }
}
