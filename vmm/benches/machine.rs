//! The machine beside the bare ioctls that it needs, in one run: an exit for a port, and creating and destroying; and the bus alone.
//!
//! Each pair's ratio is printed behind criterion's figures: of the shortest of several rounds that take turns.
#![allow(unsafe_code, reason = "the bare side shows memory to a guest by itself")]
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]
#![allow(missing_docs, reason = "criterion's macros make functions without any")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group};
use kvm_bindings::{KVM_MAX_CPUID_ENTRIES, kvm_regs, kvm_userspace_memory_region};
use kvm_ioctls::{Cap, Kvm, VcpuExit, VcpuFd, VmFd};
use vm_memory::{GuestAddress, GuestMemoryBackend, GuestMemoryMmap};
use vmm::clock::Clock;
use vmm::{Builder, Bus, Limit, Machine, Ram, Space, Wires, accel, device_class, machine_class};

const RAM: usize = 0x1_0000;
const CODE: u64 = 0x1000;
/// in al, 0xe9; jmp back to it
const LOOP: &[u8] = &[0xe4, 0xe9, 0xeb, 0xfc];

/// A VM by the ioctls that a bare machine needs, and nothing else.
struct Bare {
    cpu: VcpuFd,
    _vm: VmFd,
    memory: GuestMemoryMmap,
    _kvm: Kvm,
}

fn bare() -> Bare {
    let kvm = Kvm::new().unwrap();
    assert_eq!(kvm.get_api_version(), 12);
    let needed =
        [Cap::UserMemory, Cap::ImmediateExit, Cap::ExtCpuid, Cap::SetIdentityMapAddr, Cap::SetTssAddr];
    assert!(needed.into_iter().all(|cap| kvm.check_extension(cap)));
    let vm = kvm.create_vm().unwrap();
    vm.set_identity_map_address(0xfeff_c000).unwrap();
    vm.set_tss_address(0xfeff_d000).unwrap();
    let cpuid = kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES).unwrap();
    let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), RAM)]).unwrap();
    let region = kvm_userspace_memory_region {
        memory_size: RAM as u64,
        userspace_addr: memory.get_host_address(GuestAddress(0)).unwrap() as u64,
        ..Default::default()
    };
    // SAFETY: the memory is kept as long as the VM.
    unsafe { vm.set_user_memory_region(region).unwrap() };
    let cpu = vm.create_vcpu(0).unwrap();
    cpu.set_cpuid2(&cpuid).unwrap();
    Bare { cpu, _vm: vm, memory, _kvm: kvm }
}

fn ours() -> Machine {
    let (_, hypervisor) = accel::open("kvm").unwrap();
    let class = machine_class("bare").unwrap();
    (class.furnish)(Builder::new(hypervisor, RAM as u64).unwrap()).unwrap().build().unwrap()
}

fn regs() -> kvm_regs {
    kvm_regs { rip: CODE, rflags: 2, ..Default::default() }
}

/// How long so many exits take by KVM_RUN alone.
fn bare_exits(exits: u64) -> Duration {
    let mut bare = bare();
    vm_memory::Bytes::write_slice(&bare.memory, LOOP, GuestAddress(CODE)).unwrap();
    let mut sregs = bare.cpu.get_sregs().unwrap();
    (sregs.cs.base, sregs.cs.selector) = (0, 0);
    bare.cpu.set_sregs(&sregs).unwrap();
    bare.cpu.set_regs(&regs()).unwrap();
    let start = Instant::now();
    for _ in 0..exits {
        match bare.cpu.run().unwrap() {
            VcpuExit::IoIn(_, data) => data[0] = 0xe9,
            other => panic!("{other:?}"),
        }
    }
    start.elapsed()
}

/// How long so many exits take through the machine.
fn our_exits(exits: u64) -> Duration {
    let mut machine = ours();
    machine.ram().write(CODE, LOOP).unwrap();
    let cpu = machine.cpu(0).unwrap();
    let mut sregs = cpu.sregs().unwrap();
    (sregs.cs.base, sregs.cs.selector) = (0, 0);
    cpu.set_sregs(&sregs).unwrap();
    cpu.set_regs(&regs()).unwrap();
    let start = Instant::now();
    machine.run(Limit { exits, ..Limit::default() }).unwrap();
    start.elapsed()
}

fn bus() -> Bus {
    let wires = Wires::new(Ram::new(RAM as u64).unwrap(), Clock::stepped(), 1);
    let mut bus = Bus::new(wires.ram.clone());
    for name in ["com1", "i8042", "isa-debugcon", "isa-debug-exit", "mc146818", "port80", "port92"] {
        let class = device_class(name).unwrap();
        bus.add(name, (class.make)(&wires), class.regions).unwrap();
    }
    bus
}

fn port_exit(c: &mut Criterion) {
    let mut group = c.benchmark_group("port exit");
    group.bench_function("bare", |b| b.iter_custom(bare_exits));
    group.bench_function("ours", |b| b.iter_custom(our_exits));
}

fn access(c: &mut Criterion) {
    let bus = bus();
    let mut byte = [0];
    c.bench_function("bus access", |b| b.iter(|| black_box(bus.read(Space::Ports, 0xe9, &mut byte))));
}

fn create(c: &mut Criterion) {
    let mut group = c.benchmark_group("create and destroy");
    group.bench_function("bare", |b| b.iter(bare));
    group.bench_function("ours", |b| b.iter(ours));
}

/// The shortest of several rounds of each, which take turns.
fn shortest(mut one: impl FnMut() -> Duration, mut other: impl FnMut() -> Duration) -> (Duration, Duration) {
    let mut shortest = (Duration::MAX, Duration::MAX);
    for _ in 0..15 {
        shortest = (shortest.0.min(one()), shortest.1.min(other()));
    }
    shortest
}

fn print_ratio(what: &str, most: f64, (ours, bare): (Duration, Duration)) {
    let ratio = ours.as_secs_f64() / bare.as_secs_f64();
    println!("{what}: {ours:?} to {bare:?}, {ratio:.2} times (at most {most})");
}

fn print_ratios() {
    let timed = |made: &dyn Fn()| {
        let start = Instant::now();
        made();
        start.elapsed()
    };
    print_ratio("10000 exits for a port", 1.2, shortest(|| our_exits(10_000), || bare_exits(10_000)));
    let pair = shortest(|| timed(&|| drop(ours())), || timed(&|| drop(bare())));
    print_ratio("creating and destroying", 1.5, pair);
    const ACCESSES: u32 = 100_000;
    let bus = bus();
    let round = || {
        let mut byte = [0];
        for _ in 0..ACCESSES {
            black_box(bus.read(Space::Ports, 0xe9, &mut byte));
        }
    };
    let (shortest, _) = shortest(|| timed(&round), || Duration::ZERO);
    let rate = f64::from(ACCESSES) / shortest.as_secs_f64() / 1e6;
    println!("{rate:.1} million accesses of the bus a second (at least 10)");
}

criterion_group! {
    name = pairs;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(2));
    targets = port_exit, access, create
}

fn main() {
    if accel::open("kvm").is_err() {
        println!("there is no KVM to be beside");
        return;
    }
    pairs();
    print_ratios();
}
