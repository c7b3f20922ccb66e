//! Descriptors that travel over a socket, as SCM_RIGHTS: api.rst 1 and 2.

use std::os::fd::{AsFd, OwnedFd};

use harness::kvm::{
    Descriptor, EEXIST, KVM_CAP_BINARY_STATS_FD, KVM_CAP_USER_MEMORY, Kvm, Uevents, Vcpu, Vm,
    VmEvent::{Create, Destroy},
};
use harness::process::{await_go, receive_descriptor, say_go, send_descriptor, sockets, start};
use harness::{Outcome, Stop, claim, equal, fails, succeeds};

use super::fork::is_foreign;
use crate::descriptors::lesser::VmStats;
use crate::descriptors::mmap::{READ_WRITE, SHARED};

/// Sends a descriptor round to this very process.
fn round_trip(descriptor: impl AsFd) -> Result<OwnedFd, Stop> {
    let (ours, theirs) = sockets()?;
    send_descriptor(&ours, descriptor)?;
    receive_descriptor(&theirs)
}

/// Makes something after another process was forked, sends it there, and has it tried there.
fn elsewhere<T: Descriptor>(
    make: impl FnOnce() -> Result<T, Stop>,
    there: impl FnOnce(OwnedFd) -> Outcome,
) -> Outcome {
    let (ours, theirs) = sockets()?;
    let child = start(|| there(receive_descriptor(&theirs)?))?;
    let made = make()?;
    send_descriptor(&ours, &made)?;
    child.holds()
}

fn vm_comes_back(vm: Vm) -> Outcome {
    succeeds(vm.create_vcpu(0))?;
    let back = Vm::from_fd(round_trip(&vm)?);
    drop(vm);
    fails(EEXIST, back.create_vcpu(0))?;
    succeeds(back.create_vcpu(1)).map(drop)
}
claim!(
    vm_comes_back,
    "A VM's descriptor that was sent over a socket and comes back to its process is the same VM",
    [Api("1. General description"), Api("2. File descriptors")]
);

fn vcpu_comes_back(vcpu: Vcpu, value: u64) -> Outcome {
    let mut regs = vcpu.get_regs()?;
    regs.rbx = value;
    vcpu.set_regs(&regs)?;
    let back = Vcpu::from_fd(round_trip(&vcpu)?);
    drop(vcpu);
    equal(succeeds(back.get_regs())?, regs)
}
claim!(
    vcpu_comes_back,
    "A vCPU's descriptor that was sent over a socket and comes back to its process is the same vCPU",
    [Api("1. General description"), Api("2. File descriptors")]
);

fn vm_in_another_process(kvm: Kvm) -> Outcome {
    elsewhere(|| Ok(kvm.create_vm(0)?), |fd| is_foreign(&Vm::from_fd(fd)))
}
claim!(
    vm_in_another_process,
    "A VM that was sent to another process answers every command there with EIO",
    [Api("1. General description"), Code("kvm_vm_ioctl, virt/kvm/kvm_main.c")]
);

fn vcpu_in_another_process(kvm: Kvm) -> Outcome {
    elsewhere(|| Ok(kvm.create_vm(0)?.create_vcpu(0)?), |fd| is_foreign(&Vcpu::from_fd(fd)))
}
claim!(
    vcpu_in_another_process,
    "A vCPU that was sent to another process answers every command there with EIO",
    [Api("1. General description"), Code("kvm_vcpu_ioctl, virt/kvm/kvm_main.c")]
);

fn system_in_another_process() -> Outcome {
    elsewhere(Kvm::open, |fd| {
        let kvm = Kvm::from_fd(fd);
        equal(succeeds(kvm.get_api_version())?, 12)?;
        succeeds(kvm.create_vm(0)?.create_vcpu(0)).map(drop)
    })
}
claim!(
    system_in_another_process,
    "A system descriptor that was sent to another process makes VMs for that process",
    [Code("kvm_dev_ioctl, virt/kvm/kvm_main.c")]
);

fn run_page_in_another_process(vcpu: Vcpu) -> Outcome {
    vcpu.run_page()?.put(0xfff, 1_u8);
    let (ours, theirs) = sockets()?;
    let child = start(|| {
        let page = succeeds(Vcpu::from_fd(receive_descriptor(&theirs)?).map(0x1000, READ_WRITE, SHARED, 0))?;
        equal(page.get::<u8>(0xfff), 1)?;
        page.put(0xfff, 2_u8);
        Ok(())
    })?;
    send_descriptor(&ours, &vcpu)?;
    child.holds()?;
    equal(vcpu.run_page()?.get::<u8>(0xfff), 2)
}
claim!(
    run_page_in_another_process,
    "A vCPU that was sent to another process can be mapped there, and the page is shared",
    [Code("kvm_vcpu_mmap, virt/kvm/kvm_main.c")]
);

fn statistics_in_another_process(of: VmStats) -> Outcome {
    let mut here = [0_u8; 24];
    succeeds(rustix::io::pread(&of.stats, &mut here, 0))?;
    let (ours, theirs) = sockets()?;
    let child = start(|| {
        let mut there = [0_u8; 24];
        let received = receive_descriptor(&theirs)?;
        equal(succeeds(rustix::io::pread(&received, &mut there, 0))?, there.len())?;
        equal(there, here)
    })?;
    send_descriptor(&ours, &of.stats)?;
    child.holds()
}
claim!(
    statistics_in_another_process,
    "Statistics that were sent to another process can be read there",
    [Code("kvm_vm_stats_read, virt/kvm/kvm_main.c")],
    Has(KVM_CAP_BINARY_STATS_FD)
);

fn from_another_process() -> Outcome {
    let (ours, theirs) = sockets()?;
    let child = start(|| {
        let vm = Kvm::open()?.create_vm(0)?;
        send_descriptor(&theirs, &vm)?;
        await_go(&theirs)?;
        equal(succeeds(vm.check_extension(KVM_CAP_USER_MEMORY))?, 1)?;
        succeeds(vm.create_vcpu(0)).map(drop)
    })?;
    let vm = Vm::from_fd(receive_descriptor(&ours)?);
    is_foreign(&vm)?;
    say_go(&ours)?;
    child.holds()?;
    is_foreign(&vm)
}
claim!(
    from_another_process,
    "A VM that another process made and sent answers every command with EIO, also after that process has ended",
    [Api("1. General description"), Code("kvm_vm_ioctl, virt/kvm/kvm_main.c")]
);

fn in_flight(kvm: Kvm) -> Outcome {
    let uevents = Uevents::listen()?;
    let vm = kvm.create_vm(0)?;
    succeeds(vm.create_vcpu(0))?;
    let (ours, theirs) = sockets()?;
    send_descriptor(&ours, &vm)?;
    drop(vm);
    equal(uevents.heard()?, vec![Create])?;
    let received = Vm::from_fd(receive_descriptor(&theirs)?);
    fails(EEXIST, received.create_vcpu(0))?;
    drop(received);
    equal(uevents.heard()?, vec![Destroy])
}
claim!(
    in_flight,
    "A VM whose only descriptor is on its way over a socket is kept, and whole when it arrives",
    [Api("2. File descriptors")]
);

fn never_received(kvm: Kvm) -> Outcome {
    let uevents = Uevents::listen()?;
    let vm = kvm.create_vm(0)?;
    let (ours, theirs) = sockets()?;
    send_descriptor(&ours, &vm)?;
    drop((vm, ours));
    equal(uevents.heard()?, vec![Create])?;
    drop(theirs);
    equal(uevents.heard()?, vec![Destroy])
}
claim!(
    never_received,
    "A VM whose only descriptor is on its way over a socket is freed when that socket is closed",
    [Api("2. File descriptors")]
);
