//! How long a case may take: a clock that is scaled with a factor measured once per host, because a KVM that emulates guest code is
//! a hundred times slower than a processor.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::Stop;
use crate::kvm::{Exit, Kvm, Memory};
use crate::process::{Ended, in_child};

/// How often the guest goes round its loop.
const ROUNDS: u16 = 5000;
/// How long a processor takes for that, with the exit and the entry, in seconds: generously.
const NOMINAL: f64 = 500e-6;
/// The factor is never larger, however slow the guest. What takes longest, 4096 vCPUs, takes Bochs four minutes.
const MOST: f64 = 40.0;

/// `clock`, scaled for this host.
pub(crate) fn for_this_host(clock: Duration) -> Duration {
    clock.mul_f64(factor())
}

/// How many times slower than a processor this host runs guest code, between 1 and [`MOST`]; 1 where it cannot be told.
fn factor() -> f64 {
    let measured = in_child(|| {
        // A guest that does not come back must not hold up the probe.
        let _ = setrlimit(Resource::Cpu, Rlimit { current: Some(2), maximum: Some(2) });
        seconds().unwrap_or(NOMINAL)
    });
    match measured {
        Ok(Ended::Returned(seconds)) => (seconds / NOMINAL).clamp(1.0, MOST),
        Ok(_) => MOST,
        Err(_) => 1.0,
    }
}

/// How long a real-mode guest takes to go round a loop and halt, in seconds.
fn seconds() -> Result<f64, Stop> {
    let vm = Kvm::open()?.create_vm(0)?;
    let memory = Arc::new(Memory::new(0x1000)?);
    let [low, high] = ROUNDS.to_le_bytes();
    // mov cx, ROUNDS; again: loop again; hlt
    memory.write(0, &[0xb9, low, high, 0xe2, 0xfe, 0xf4])?;
    vm.set_memory(0, 0, 0, &memory)?;
    vm.set_tss_addr()?;
    let vcpu = vm.create_vcpu(0)?;
    let mut sregs = vcpu.get_sregs()?;
    sregs.cs.base = 0;
    sregs.cs.selector = 0;
    vcpu.set_sregs(&sregs)?;
    let mut regs = vcpu.get_regs()?;
    regs.rip = 0;
    vcpu.set_regs(&regs)?;
    let start = Instant::now();
    while vcpu.run()? == Exit::Intr {}
    Ok(start.elapsed().as_secs_f64())
}
