//! The uevents by which `/dev/kvm` announces VMs: `kvm_uevent_notify_change`.

use harness::kvm::{
    EINVAL, Kvm, Uevent, Uevents,
    VmEvent::{Create, Destroy},
};
use harness::process::{Ended, in_child};
use harness::{Broken, HostFault, Outcome, Stop, claim, equal, fails, holds, within};

fn made_and_freed(kvm: Kvm) -> Outcome {
    let uevents = Uevents::listen()?;
    let vm = kvm.create_vm(0)?;
    equal(uevents.heard()?, vec![Create])?;
    drop(vm);
    equal(uevents.heard()?, vec![Destroy])
}
claim!(
    made_and_freed,
    "KVM_CREATE_VM is announced by a uevent with EVENT=create before it returns, and the VM's end by one with EVENT=destroy",
    [Code("kvm_uevent_notify_change, virt/kvm/kvm_main.c")]
);

fn refused(kvm: Kvm) -> Outcome {
    let uevents = Uevents::listen()?;
    fails(EINVAL, kvm.create_vm(u64::MAX))?;
    equal(uevents.heard()?, vec![])
}
claim!(
    refused,
    "A KVM_CREATE_VM that is refused for its type is not announced",
    [Code("kvm_dev_ioctl_create_vm, virt/kvm/kvm_main.c")]
);

fn counts(kvm: Kvm) -> Outcome {
    let uevents = Uevents::listen()?;
    drop(kvm.create_vm(0)?);
    drop(kvm.create_vm(0)?);
    let heard = uevents.take()?;
    let own: Vec<&Uevent> = heard.iter().filter(|uevent| uevent.pid == uevents.own()).collect();
    let [first, freed, second, _] = own[..] else {
        return Err(
            Broken::new(format!("two VMs should be announced by four uevents, not by {own:?}")).into()
        );
    };
    // Other processes make and free VMs too: the numbers are exact where none was heard to, and else within bounds.
    let of_others = |event| {
        let heard =
            heard.iter().filter(|uevent| uevent.event == event && uevent.pid != uevents.own()).count();
        u64::try_from(heard).unwrap_or(u64::MAX)
    };
    let (made, gone) = (of_others(Create), of_others(Destroy));
    within(freed.created, first.created, first.created + made)?;
    within(second.created, first.created + 1, first.created + 1 + made)?;
    within(freed.count + 1, first.count.saturating_sub(gone), first.count + made)?;
    within(second.count, first.count.saturating_sub(gone), first.count + made)
}
claim!(
    counts,
    "The uevents' CREATED grows by one with each VM and their COUNT counts the VMs that there are",
    [Code("kvm_uevent_notify_change, virt/kvm/kvm_main.c")]
);

fn end_of_a_process() -> Outcome {
    let uevents = Uevents::listen()?;
    let ended = in_child(|| {
        let uevents = Uevents::listen()?;
        let vm = Kvm::open()?.create_vm(0)?;
        let vcpu = vm.create_vcpu(0)?;
        // They are still open when the child ends.
        std::mem::forget((vm, vcpu));
        Ok::<_, Stop>(uevents.own())
    })?;
    let Ended::Returned(pid) = ended else {
        return Err(Stop::HostFault(HostFault(format!("the child did not return: {ended:?}"))));
    };
    let heard = uevents.heard_of(pid?)?;
    let made = heard.iter().filter(|event| **event == Create).count();
    holds(made >= 2, "the VMs of the child were announced")?;
    equal(heard.iter().filter(|event| **event == Destroy).count(), made)?;
    equal(heard.last(), Some(&Destroy))
}
claim!(
    end_of_a_process,
    "A VM that a process leaves open is freed by the time that the process's parent has waited for its end",
    [Api("2. File descriptors"), Code("kvm_vm_release, virt/kvm/kvm_main.c")]
);
