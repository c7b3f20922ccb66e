//! VMs and vCPUs in the threads of one process: api.rst 1 binds a VM to an address space and leaves vCPUs free to change threads.

use std::thread;

use harness::kvm::{Kvm, Vcpu};
use harness::{HostFault, Outcome, Stop, claim, equal, succeeds};

use super::counting_guest::{CountingGuest, next};

/// Runs `function` in a thread of its own to its end.
fn in_thread<T: Send>(function: impl FnOnce() -> Result<T, Stop> + Send) -> Result<T, Stop> {
    thread::scope(|scope| scope.spawn(function).join())
        .unwrap_or_else(|_| Err(Stop::HostFault(HostFault("the thread panicked".into()))))
}

fn vm_of_another_thread(kvm: Kvm) -> Outcome {
    let vm = in_thread(|| Ok(kvm.create_vm(0)?))?;
    let vcpu = in_thread(|| succeeds(vm.create_vcpu(0)))?;
    succeeds(vcpu.get_regs()).map(drop)
}
claim!(
    vm_of_another_thread,
    "VM ioctls may come from any thread of the process that made the VM, also after the thread that made it has ended",
    [Api("1. General description")]
);

fn registers_of_another_thread(vcpu: Vcpu, value: u64) -> Outcome {
    let mut regs = vcpu.get_regs()?;
    regs.rbx = value;
    let vcpu = in_thread(move || {
        succeeds(vcpu.set_regs(&regs))?;
        Ok(vcpu)
    })?;
    equal(succeeds(vcpu.get_regs())?, regs)
}
claim!(
    registers_of_another_thread,
    "vCPU ioctls of another thread of the process work on the same registers",
    [Api("1. General description")]
);

fn guest_changes_threads(guest: CountingGuest) -> Outcome {
    let CountingGuest { kvm: _kvm, vm: _vm, vcpu, memory: _memory } = guest;
    equal(next(&vcpu)?, 0)?;
    let vcpu = in_thread(move || {
        equal(next(&vcpu)?, 1)?;
        Ok(vcpu)
    })?;
    let vcpu = in_thread(move || {
        equal(next(&vcpu)?, 2)?;
        Ok(vcpu)
    })?;
    equal(next(&vcpu)?, 3)
}
claim!(
    guest_changes_threads,
    "A guest runs on where it left off when KVM_RUN comes from another thread of the process",
    [Api("1. General description")]
);

fn ended_thread() -> Outcome {
    let guest = in_thread(|| {
        let guest = CountingGuest::new()?;
        equal(next(&guest.vcpu)?, 0)?;
        Ok(guest)
    })?;
    equal(next(&guest.vcpu)?, 1)?;
    equal(next(&guest.vcpu)?, 2)
}
claim!(
    ended_thread,
    "A guest runs on after the thread that made and ran its vCPU has ended",
    [Api("1. General description")]
);
