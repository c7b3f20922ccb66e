//! What the recorder below every ioctl costs: the same commands with it and without, in turns, so that whatever else the host does meets
//! both alike; and what of a claim's time that is.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::Criterion;
use guests::{Image, payload};
use harness::kvm::{Descriptor, KVM_CAP_USER_MEMORY, KVM_GET_MP_STATE, Kvm, Vcpu, abi};
use harness::{Guest, recording};

/// How many turns are taken; the fastest of each side counts, which nothing else has disturbed.
const TURNS: usize = 60;

fn main() {
    harness::isolate::intercept();
    let Ok(kvm) = Kvm::try_open() else { return println!("not measured: /dev/kvm cannot be opened") };
    let vcpu = kvm.create_vm(0).and_then(|vm| vm.create_vcpu(0)).expect("a vCPU");
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1200))
        .configure_from_args();
    let mut group = criterion.benchmark_group("an ioctl");
    for (name, is_on) in [("without the recorder", false), ("with it", true)] {
        recording(is_on).expect("a table");
        group.bench_function(format!("that one kind of descriptor knows, {name}"), |bencher| {
            bencher.iter(|| one_kind(&vcpu));
        });
        group.bench_function(format!("that several know, {name}"), |bencher| {
            bencher.iter(|| several_kinds(&kvm));
        });
    }
    group.finish();
    criterion.final_summary();
    ratio("an ioctl that one kind of descriptor knows", 2000, || one_kind(&vcpu));
    ratio("an ioctl that several know, looked up", 2000, || several_kinds(&kvm));
    let image = image();
    ratio("a KVM_RUN with its exit", 20, exits(&image));
    ratio("all that a claim does (the goal is below 1 %)", 3, || a_claim(&image));
}

fn one_kind(vcpu: &Vcpu) {
    let _ = black_box(vcpu.read::<abi::kvm_mp_state>(KVM_GET_MP_STATE));
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

/// Prints what the recorder adds.
fn ratio(what: &str, times: u32, act: impl Fn()) {
    let mut fastest = [Duration::MAX; 2];
    for turn in 0..2 * TURNS {
        recording(turn % 2 == 1).expect("a table");
        let start = Instant::now();
        (0..times).for_each(|_| act());
        fastest[turn % 2] = fastest[turn % 2].min(start.elapsed() / times);
    }
    let [without, with] = fastest.map(|time| time.as_secs_f64() * 1e9);
    println!("{what}: {without:.0} ns without, {with:.0} ns with: {:+.2} %", (with / without - 1.0) * 100.0);
}
