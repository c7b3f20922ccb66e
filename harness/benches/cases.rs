//! What a generated case costs beside the bare KVM_RUN round trips that it makes: a ten-instruction real-mode program, loaded, run to
//! its end and compared, and the same program that nothing sets back but RIP.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::Criterion;
use guests::strategies::{Place, Program, Start};
use guests::{Image, Mode, Width};
use harness::relation::{Seen, plainly, same};
use harness::testbed::{Setting, Testbed};

/// How many rounds each figure is taken from.
const ROUNDS: u32 = 2000;

fn main() {
    if let Some(why) = harness::kvm::Kvm::try_open().err() {
        println!("not measured: {why}");
        return;
    }
    let image = ten_instructions();
    let expected = plainly(&Setting::default(), &image).expect("a story");
    println!("{}", image.code.disassemble().join("; "));
    let bare = bare(&image);
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1200))
        .configure_from_args();
    let mut group = criterion.benchmark_group("one case");
    group.bench_function("bare KVM_RUN", |bencher| bencher.iter(&bare));
    group.bench_function("loaded, run and compared", |bencher| bencher.iter(|| case(&image, &expected)));
    group.finish();
    criterion.final_summary();
    // Side by side, so that what else the host does tells in both.
    let (mut alone, mut whole) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..ROUNDS {
        alone += timed(&bare);
        whole += timed(|| case(&image, &expected));
    }
    let ratio = whole.as_secs_f64() / alone.as_secs_f64();
    let each = f64::from(ROUNDS) / whole.as_secs_f64();
    println!("a case costs {ratio:.2} times its bare round trips; {each:.0} cases a second");
}

fn timed(act: impl FnOnce()) -> Duration {
    let start = Instant::now();
    act();
    start.elapsed()
}

/// Nine steps of one instruction each, and the HLT.
fn ten_instructions() -> Image {
    use guests::strategies::{Arithmetic, Plain, Register};
    let step =
        |number: u8| Plain::Binary(Arithmetic::Add, Width::Word, Register(number), Register(number + 1));
    let program = Program { start: Start::default(), steps: (0..9).map(step).collect() };
    program.image(Mode::Real, Place::Ram).expect("an image")
}

/// Sends the vCPU back to the beginning and runs it: one command besides KVM_RUN, without which it would not run the same again.
fn bare(image: &Image) -> impl Fn() {
    let testbed = Testbed::with(&Setting::default(), image).expect("a testbed");
    let first = harness::entry::regs(&image.entry.registers);
    move || {
        testbed.vcpu().set_regs(&first).expect("registers");
        black_box(testbed.run().expect("an exit"));
    }
}

fn case(image: &Image, expected: &Seen) {
    let seen = plainly(&Setting::default(), image).expect("a story");
    same(image, 0, expected, &seen).expect("the same story");
}
