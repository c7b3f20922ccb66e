//! poll() and epoll on KVM's descriptors.

use std::os::fd::AsFd;

use harness::kvm::{EPERM, KVM_CAP_BINARY_STATS_FD, KVM_CAP_GUEST_MEMFD, Kvm, Vcpu, Vm};
use harness::{Outcome, claim, equal, fails, succeeds};
use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};

use super::lesser::{Memfd, VcpuStats, Vfio, VmStats};

/// What a file without a poll operation is always said to be ready for (DEFAULT_POLLMASK).
const READY: PollFlags =
    PollFlags::IN.union(PollFlags::OUT).union(PollFlags::RDNORM).union(PollFlags::WRNORM);

fn is_always_ready(of: &impl AsFd) -> Outcome {
    let asked = READY | PollFlags::PRI | PollFlags::RDBAND | PollFlags::RDHUP;
    let mut descriptors = [PollFd::new(of, asked)];
    equal(succeeds(poll(&mut descriptors, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })))?, 1)?;
    equal(descriptors[0].revents(), READY)
}

fn is_refused_by_epoll(of: &impl AsFd) -> Outcome {
    let set = succeeds(epoll::create(epoll::CreateFlags::CLOEXEC))?;
    fails(EPERM, epoll::add(&set, of, epoll::EventData::new_u64(0), epoll::EventFlags::IN))
}

fn kvm_vm_and_vcpu(kvm: Kvm, vm: Vm, vcpu: Vcpu) -> Outcome {
    is_always_ready(&kvm)?;
    is_always_ready(&vm)?;
    is_always_ready(&vcpu)
}
claim!(
    kvm_vm_and_vcpu,
    "poll() finds a system, VM or vCPU descriptor always ready for reading and writing",
    [
        Code("kvm_chardev_ops, kvm_vm_fops, kvm_vcpu_fops, virt/kvm/kvm_main.c"),
        Code("vfs_poll, include/linux/poll.h")
    ]
);

fn device(vfio: Vfio) -> Outcome {
    is_always_ready(&vfio.device)
}
claim!(
    device,
    "poll() finds a kvm-vfio device always ready for reading and writing",
    [Code("kvm_device_fops, virt/kvm/kvm_main.c"), Code("vfs_poll, include/linux/poll.h")]
);

fn guest_memfd(memory: Memfd) -> Outcome {
    is_always_ready(&memory.memfd)
}
claim!(
    guest_memfd,
    "poll() finds a guest_memfd always ready for reading and writing",
    [Code("kvm_gmem_fops, virt/kvm/guest_memfd.c"), Code("vfs_poll, include/linux/poll.h")],
    Has(KVM_CAP_GUEST_MEMFD)
);

fn statistics(of: VmStats, vcpu: VcpuStats) -> Outcome {
    is_always_ready(&of.stats)?;
    is_always_ready(&vcpu.stats)
}
claim!(
    statistics,
    "poll() finds statistics always ready for reading and writing",
    [
        Code("kvm_vm_stats_fops, kvm_vcpu_stats_fops, virt/kvm/kvm_main.c"),
        Code("vfs_poll, include/linux/poll.h")
    ],
    Has(KVM_CAP_BINARY_STATS_FD)
);

fn epoll_refuses(kvm: Kvm, vm: Vm, vcpu: Vcpu) -> Outcome {
    is_refused_by_epoll(&kvm)?;
    is_refused_by_epoll(&vm)?;
    is_refused_by_epoll(&vcpu)
}
claim!(
    epoll_refuses,
    "epoll takes no system, VM or vCPU descriptor: EPOLL_CTL_ADD fails with EPERM",
    [
        Code("kvm_chardev_ops, kvm_vm_fops, kvm_vcpu_fops, virt/kvm/kvm_main.c"),
        Code("do_epoll_ctl, fs/eventpoll.c")
    ]
);

fn epoll_refuses_statistics(of: VmStats, vcpu: VcpuStats) -> Outcome {
    is_refused_by_epoll(&of.stats)?;
    is_refused_by_epoll(&vcpu.stats)
}
claim!(
    epoll_refuses_statistics,
    "epoll takes no statistics descriptor: EPOLL_CTL_ADD fails with EPERM",
    [
        Code("kvm_vm_stats_fops, kvm_vcpu_stats_fops, virt/kvm/kvm_main.c"),
        Code("do_epoll_ctl, fs/eventpoll.c")
    ],
    Has(KVM_CAP_BINARY_STATS_FD)
);
