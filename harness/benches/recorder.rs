//! What the recorder below every ioctl costs: the same commands with it and without, in turns, so that whatever else the host does meets
//! both alike; and what of a claim's time that is. Making a VM takes now more and now less, by more than the recorder takes, so that the
//! share is put together from what each command adds.

use std::hint::black_box;
use std::time::Duration;

use criterion::Criterion;
use guests::{Image, payload};
use harness::kvm::{KVM_CAP_USER_MEMORY, Kvm};
use harness::{Guest, recorded, recording};
use rustix::time::{ClockId, clock_gettime};

/// How many turns are taken; the fastest of each side counts, which nothing else has disturbed.
const TURNS: usize = 300;
/// How many commands a VM, a vCPU and a guest to its end take.
const COMMANDS: f64 = 14.0;

fn main() {
    harness::isolate::intercept();
    let Ok(kvm) = Kvm::try_open() else { return println!("not measured: /dev/kvm cannot be opened") };
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1200))
        .configure_from_args();
    let mut group = criterion.benchmark_group("an ioctl");
    for (name, is_on) in [("without the recorder", false), ("with it", true)] {
        recording(is_on).expect("a table");
        group.bench_function(format!("that one kind of descriptor knows, {name}"), |bencher| {
            bencher.iter(|| one_kind(&kvm));
        });
        group.bench_function(format!("that several know, {name}"), |bencher| {
            bencher.iter(|| several_kinds(&kvm));
        });
    }
    group.finish();
    criterion.final_summary();
    let image = image();
    let command = ratio("an ioctl that one kind of descriptor knows", 100, || one_kind(&kvm));
    ratio("an ioctl that several know, looked up", 100, || several_kinds(&kvm));
    let exits = ratio("a guest with three exits, once more", 5, exits(&image));
    let claim =
        ratio("a VM, a vCPU, and that guest, which varies by more than the recorder takes", 1, || {
            a_claim(&image)
        });
    a_claim(&image);
    let told = ratio("reading the table, once for each claim", 1, || drop(black_box(recorded())));
    let added = COMMANDS * (command[1] - command[0]) + (exits[1] - exits[0]).max(0.0) + told[1];
    let share = added / claim[0] * 100.0;
    println!(
        "a claim of {COMMANDS} commands and three exits: {added:.0} ns of {:.0} ns: {share:.2} %; the goal is below 1 %",
        claim[0]
    );
}

fn one_kind(kvm: &Kvm) {
    let _ = black_box(kvm.get_api_version());
}

fn several_kinds(kvm: &Kvm) {
    let _ = black_box(kvm.check_extension(KVM_CAP_USER_MEMORY));
}

fn image() -> Image {
    let payload = payload("hello::hello::real").expect("the payload");
    Image::of(&payload.code().expect("its code")).expect("its image")
}

/// A guest from its beginning to its end, which is three exits.
fn exits(image: &Image) -> impl Fn() + '_ {
    let guest = Guest::of(image).expect("a guest");
    move || {
        guest.reset().expect("its beginning");
        black_box(guest.tell(&mut std::iter::repeat(vec![0x7f])).expect("its story"));
    }
}

/// A VM, a vCPU, and a guest from its beginning to its end.
fn a_claim(image: &Image) {
    let guest = Guest::of(image).expect("a guest");
    black_box(guest.tell(&mut std::iter::repeat(vec![0x7f])).expect("its story"));
}

/// Prints, and hands over, what it takes without the recorder and with it, in nanoseconds of the time that this thread has of a
/// processor: what it waits for is nobody's cost, and what others take meanwhile does not count.
fn ratio(what: &str, times: u32, act: impl Fn()) -> [f64; 2] {
    let mut fastest = [Duration::MAX; 2];
    for turn in 0..2 * TURNS {
        recording(turn % 2 == 1).expect("a table");
        let start = spent();
        (0..times).for_each(|_| act());
        fastest[turn % 2] = fastest[turn % 2].min(spent().saturating_sub(start) / times);
    }
    let [without, with] = fastest.map(|time| time.as_secs_f64() * 1e9);
    println!("{what}: {without:.0} ns without, {with:.0} ns with: {:+.2} %", (with / without - 1.0) * 100.0);
    [without, with]
}

/// How long this thread has had a processor.
fn spent() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}
