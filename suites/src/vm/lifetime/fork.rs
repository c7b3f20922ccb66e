//! A forked child with its parent's descriptors. api.rst 2 guarantees nothing of what they do there, but that the host comes to
//! no harm; section 1 says that commands must come from the address space that made the VM, and the source answers EIO else.

use harness::kvm::{
    COMMANDS, Command, Descriptor, EIO, KVM_CAP_BINARY_STATS_FD, KVM_CAP_GUEST_MEMFD, Kvm, Stats, Vcpu, Vm,
};
use harness::process::{await_go, holds_in_child, say_go, sockets, start};
use harness::{Outcome, claim, equal, succeeds, unchanged};
use rustix::fs::{FallocateFlags, fallocate};

use super::counting_guest::{CountingGuest, next, number, set_number};
use crate::descriptors::lesser::{MEMFD_SIZE, Memfd, VcpuStats, Vfio, VmStats};
use crate::descriptors::state::state;
use crate::descriptors::stranger::refused_by;

/// Commands that no KVM descriptor knows: TCGETS, and a number of KVM's type.
const STRANGERS: [Command; 2] = [Command::unknown(0x5401), Command::unknown(0xaeff)];

/// Every command, known or not, is refused with EIO.
pub(super) fn is_foreign(of: &impl Descriptor) -> Outcome {
    refused_by(of, COMMANDS.iter().copied().chain(STRANGERS), EIO)
}

fn vm(vm: Vm) -> Outcome {
    unchanged(|| state(&vm), || holds_in_child(|| is_foreign(&vm)))
}
claim!(
    vm,
    "A VM answers every command of a forked child with EIO, even one that it does not know",
    [Api("1. General description"), Code("kvm_vm_ioctl, virt/kvm/kvm_main.c")]
);

fn vcpu(vcpu: Vcpu) -> Outcome {
    unchanged(|| state(&vcpu), || holds_in_child(|| is_foreign(&vcpu)))
}
claim!(
    vcpu,
    "A vCPU answers every command of a forked child with EIO, even one that it does not know",
    [Api("1. General description"), Code("kvm_vcpu_ioctl, virt/kvm/kvm_main.c")]
);

fn device(vfio: Vfio) -> Outcome {
    unchanged(|| state(&vfio.device), || holds_in_child(|| is_foreign(&vfio.device)))
}
claim!(
    device,
    "A device answers every command of a forked child with EIO, even one that it does not know",
    [Api("1. General description"), Code("kvm_device_ioctl, virt/kvm/kvm_main.c")]
);

fn system(kvm: Kvm) -> Outcome {
    holds_in_child(|| {
        equal(succeeds(kvm.get_api_version())?, 12)?;
        succeeds(kvm.create_vm(0)?.create_vcpu(0)).map(drop)
    })
}
claim!(
    system,
    "The system descriptor goes on working in a forked child, which can make VMs of its own with it",
    [Code("kvm_dev_ioctl, virt/kvm/kvm_main.c")]
);

fn a_guest_in_each(guest: CountingGuest) -> Outcome {
    equal(next(&guest.vcpu)?, 0)?;
    holds_in_child(|| {
        let own = CountingGuest::new()?;
        equal(next(&own.vcpu)?, 0)?;
        equal(next(&own.vcpu)?, 1)
    })?;
    equal(next(&guest.vcpu)?, 1)
}
claim!(
    a_guest_in_each,
    "A forked child can run a guest of its own beside its parent's",
    [Api("1. General description")]
);

fn runs_on_afterwards(guest: CountingGuest) -> Outcome {
    equal(next(&guest.vcpu)?, 0)?;
    holds_in_child(|| is_foreign(&guest.vcpu))?;
    equal(next(&guest.vcpu)?, 1)?;
    equal(next(&guest.vcpu)?, 2)
}
claim!(
    runs_on_afterwards,
    "A guest runs on after a forked child has tried every command on its vCPU and ended",
    [Api("2. File descriptors")]
);

fn memory_stays_the_parents(guest: CountingGuest) -> Outcome {
    equal(next(&guest.vcpu)?, 0)?;
    let (ours, theirs) = sockets()?;
    let child = start(|| {
        set_number(&guest.memory, 100)?;
        say_go(&theirs)?;
        await_go(&theirs)?;
        equal(number(&guest.memory)?, 100)
    })?;
    await_go(&ours)?;
    equal(next(&guest.vcpu)?, 1)?;
    equal(number(&guest.memory)?, 1)?;
    set_number(&guest.memory, 50)?;
    equal(next(&guest.vcpu)?, 51)?;
    say_go(&ours)?;
    child.holds()?;
    equal(next(&guest.vcpu)?, 52)
}
claim!(
    memory_stays_the_parents,
    "After a fork, guest and parent go on sharing the guest's private memory, and the child has a copy of its own",
    [
        Api("4.35 KVM_SET_USER_MEMORY_REGION"),
        Code("kvm_mmu_notifier_invalidate_range_start, virt/kvm/kvm_main.c")
    ]
);

fn run_page_is_shared(vcpu: Vcpu) -> Outcome {
    let page = vcpu.run_page()?;
    page.put(0xfff, 1_u8);
    holds_in_child(|| {
        equal(page.get::<u8>(0xfff), 1)?;
        page.put(0xfff, 2_u8);
        Ok(())
    })?;
    equal(page.get::<u8>(0xfff), 2)
}
claim!(
    run_page_is_shared,
    "A mapped run page is inherited by a forked child and shared with it",
    [Code("kvm_vcpu_mmap, kvm_vcpu_fault, virt/kvm/kvm_main.c")]
);

fn statistics(of: VmStats, vcpu: VcpuStats) -> Outcome {
    let header = |of: &Stats| {
        let mut bytes = [0_u8; 24];
        succeeds(rustix::io::pread(of, &mut bytes, 0)).map(|length| (length, bytes))
    };
    let before = (header(&of.stats)?, header(&vcpu.stats)?);
    holds_in_child(|| equal((header(&of.stats)?, header(&vcpu.stats)?), before))
}
claim!(
    statistics,
    "Statistics can be read in a forked child",
    [Code("kvm_vm_stats_read, kvm_vcpu_stats_read, virt/kvm/kvm_main.c")],
    Has(KVM_CAP_BINARY_STATS_FD)
);

fn guest_memfd(memory: Memfd) -> Outcome {
    holds_in_child(|| {
        let hole = FallocateFlags::KEEP_SIZE | FallocateFlags::PUNCH_HOLE;
        succeeds(fallocate(&memory.memfd, FallocateFlags::KEEP_SIZE, 0, MEMFD_SIZE))?;
        succeeds(fallocate(&memory.memfd, hole, 0, MEMFD_SIZE))
    })
}
claim!(
    guest_memfd,
    "Pages of a guest_memfd can be allocated and punched out in a forked child",
    [Code("kvm_gmem_fallocate, virt/kvm/guest_memfd.c")],
    Has(KVM_CAP_GUEST_MEMFD)
);

fn vfs_comes_first(vm: Vm) -> Outcome {
    let (set, clear) = (Command::unknown(0x5451), Command::unknown(0x5450));
    holds_in_child(|| {
        equal(succeeds(vm.value(clear, 0))?, 0)?;
        equal(succeeds(vm.value(set, 0))?, 0)
    })
}
claim!(
    vfs_comes_first,
    "FIOCLEX and FIONCLEX, which the VFS answers, succeed on a VM in a forked child",
    [Code("do_vfs_ioctl, fs/ioctl.c")]
);
