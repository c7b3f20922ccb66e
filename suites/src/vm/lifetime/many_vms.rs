//! Many VMs, one after the other and all at once.

use harness::kvm::{Kvm, Uevents, Vcpu, Vm, VmEvent};
use harness::{Outcome, Stop, claim, each, equal, succeeds, unchanged};

use super::counting_guest::{CountingGuest, next};
use crate::descriptors::state::open_descriptors;

fn one_after_the_other(kvm: Kvm) -> Outcome {
    unchanged(open_descriptors, || {
        each(0..40, |_| {
            let vm = succeeds(kvm.create_vm(0))?;
            succeeds(vm.create_vcpu(0)).map(drop)
        })
    })
}
claim!(
    one_after_the_other,
    "Forty VMs can be made and freed one after the other, and leave no descriptor behind",
    [Api("4.2 KVM_CREATE_VM")]
);

fn all_at_once(kvm: Kvm) -> Outcome {
    let made: Vec<(Vm, Vcpu, u64)> = (0..32_u64)
        .map(|number| {
            let vm = succeeds(kvm.create_vm(0))?;
            let vcpu = succeeds(vm.create_vcpu(number))?;
            let mut regs = vcpu.get_regs()?;
            regs.rbx = number;
            succeeds(vcpu.set_regs(&regs))?;
            Ok((vm, vcpu, number))
        })
        .collect::<Result<_, Stop>>()?;
    made.iter().try_for_each(|(_, vcpu, number)| equal(succeeds(vcpu.get_regs())?.rbx, *number))
}
claim!(
    all_at_once,
    "Thirty-two VMs of one process exist at once, each with a vCPU and registers of its own",
    [Api("4.2 KVM_CREATE_VM")]
);

fn each_is_freed(kvm: Kvm) -> Outcome {
    let uevents = Uevents::listen()?;
    let vms = (0..8).map(|_| kvm.create_vm(0)).collect::<Result<Vec<_>, _>>()?;
    equal(uevents.heard()?, vec![VmEvent::Create; 8])?;
    drop(vms);
    equal(uevents.heard()?, vec![VmEvent::Destroy; 8])
}
claim!(
    each_is_freed,
    "Each of many VMs is freed when its descriptor is closed",
    [Api("2. File descriptors")]
);

fn take_turns() -> Outcome {
    let guests = (0..8).map(|_| CountingGuest::new()).collect::<Result<Vec<_>, _>>()?;
    each(0..4_u8, |turn| guests.iter().try_for_each(|guest| equal(next(&guest.vcpu)?, *turn)))
}
claim!(
    take_turns,
    "Eight guests in eight VMs of one thread take turns, and each goes on where it left off",
    [Api("4.10 KVM_RUN")]
);
