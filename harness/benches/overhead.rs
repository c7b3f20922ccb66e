//! What it costs to keep claims apart: a trivial claim in a child of its own beside the same claim called directly, with the least
//! that any process costs next to both; the probe of the host; and the list of claims.
#![expect(unsafe_code, reason = "forks, to show what that alone costs")]

use std::hint::black_box;
use std::process::Command;
use std::time::Duration;

use criterion::Criterion;
use harness::isolate::{Ending, Keeper, Limits, Task, What};
use harness::{Facts, Outcome, claim, claims, equal};
use rustix::process::{Pid, WaitOptions, waitpid};

fn trivial() -> Outcome {
    equal(black_box(1) + 1, 2)
}
claim!(trivial, "one and one are two", [Observed("everywhere")]);

fn trivial_of_all(number: u64) -> Outcome {
    equal(black_box(number), number)
}
claim!(trivial_of_all, "every number is itself", [Observed("everywhere")]);

fn main() {
    // The keepers are this program again.
    harness::isolate::intercept();
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1200))
        .configure_from_args();
    one_claim(&mut criterion);
    the_rest(&mut criterion);
    criterion.final_summary();
}

/// The goal is 3 ms between the first two.
fn one_claim(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("one claim");
    group.bench_function("called directly", |bencher| bencher.iter(|| black_box(trivial())));
    for (name, memory) in
        [("in a child", Some(Limits::default().memory)), ("in a child, without a control group", None)]
    {
        let mut keeper = Keeper::start(memory).expect("a keeper");
        group.bench_function(name, |bencher| bencher.iter(|| work(&mut keeper, "trivial", 1)));
    }
    let mut keeper = Keeper::start(None).expect("a keeper");
    group.bench_function("in a child, with 256 inputs", |bencher| {
        bencher.iter(|| work(&mut keeper, "trivial_of_all", 256));
    });
    group.bench_function("least: fork and wait", |bencher| bencher.iter(fork_and_wait));
    group.bench_function("least: spawn /bin/true and wait", |bencher| {
        bencher.iter(|| Command::new("/bin/true").status().expect("/bin/true"));
    });
    group.finish();
}

fn work(keeper: &mut Keeper, claim: &str, cases: u64) {
    let limits =
        Limits { budget: Duration::ZERO, least_cases: cases, most_cases: cases, ..Limits::default() };
    let what = What::Cases { seed: 0, regressions: Vec::new() };
    let report = keeper.work(&Task { serial: 0, claim: claim.to_owned(), what, limits }).expect("a report");
    assert_eq!(report.said.map(|said| said.ending), Some(Ending::Held));
}

fn fork_and_wait() {
    // SAFETY: the child leaves at once, and touches nothing that another thread may have locked.
    let pid = match unsafe { libc::fork() } {
        // SAFETY: as above.
        0 => unsafe { libc::_exit(0) },
        pid => Pid::from_raw(pid).expect("a child"),
    };
    waitpid(Some(pid), WaitOptions::empty()).expect("its end");
}

fn the_rest(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("once");
    let start_and_stop = || drop(Keeper::start(Some(Limits::default().memory)).expect("a keeper"));
    group.bench_function("a keeper's start and end", |bencher| bencher.iter(start_and_stop));
    group.bench_function("the host's facts", |bencher| bencher.iter(|| black_box(Facts::probe())));
    group.bench_function("the list of claims", |bencher| bencher.iter(|| black_box(claims())));
    group.finish();
}
