//! mmap and mprotect of a vCPU's descriptor: what each protection allows.

use harness::kvm::{Descriptor, EACCES, EINTR, EPERM, Exit, KVM_CAP_IMMEDIATE_EXIT, KVM_RUN, Vcpu};
use harness::process::{Ended, in_child};
use harness::{Outcome, claim, each, equal, fails, succeeds};
use libc::{MAP_PRIVATE, MAP_SHARED, PROT_EXEC, PROT_NONE, PROT_READ, PROT_WRITE, SIGSEGV};

use super::pages::{COUNTED, MARK, MARKS, PAGE, PIO, RING, RUN, RW, map, mark, marks};
use super::real_mode::RealMode;

fn read_only_mappings_show() -> Outcome {
    let guest = RealMode::running(&[0xf4])?;
    let shown = guest.vcpu.map(PAGE, PROT_READ, MAP_SHARED, 0)?;
    equal(guest.run()?, Exit::Hlt)?;
    equal(Exit::decode(&shown), Exit::Hlt)?;
    guest.ended(|_| ())
}
claim!(
    read_only_mappings_show,
    "A read-only mapping of the run page shows the exit of KVM_RUN",
    [Manual("mmap(2): PROT_READ")],
);

fn read_only_mappings_cannot_be_written(vcpu: Vcpu) -> Outcome {
    let shown = vcpu.map(COUNTED * PAGE, PROT_READ, MAP_SHARED, 0)?;
    each([RUN, PIO, RING], |&page| {
        equal(in_child(|| shown.put(page * PAGE, 1u8))?, Ended::<()>::Killed(SIGSEGV))?;
        equal(shown.get::<u8>(page * PAGE), 0)
    })
}
claim!(
    read_only_mappings_cannot_be_written,
    "Writing through a read-only mapping of a vCPU raises SIGSEGV and changes nothing",
    [Manual("mmap(2): SIGSEGV, attempted write into a region mapped as read-only")],
);

fn write_only_mappings_reach_kvm() -> Outcome {
    let guest = RealMode::running(&[0x90, 0xf4])?; // nop; hlt
    let written = guest.vcpu.map(PAGE, PROT_WRITE, MAP_SHARED, 0)?;
    written.put(Exit::IMMEDIATE_EXIT, 1u8);
    fails(EINTR, guest.vcpu.value(KVM_RUN, 0))?;
    written.put(Exit::IMMEDIATE_EXIT, 0u8);
    equal(guest.run()?, Exit::Hlt)?;
    guest.ended(|_| ())
}
claim!(
    write_only_mappings_reach_kvm,
    "A write-only mapping of the run page is accepted, and what is written there reaches KVM_RUN",
    [Manual("mmap(2): PROT_WRITE")],
    Has(KVM_CAP_IMMEDIATE_EXIT),
);

fn closed_mappings_kill(vcpu: Vcpu) -> Outcome {
    let closed = vcpu.map(COUNTED * PAGE, PROT_NONE, MAP_SHARED, 0)?;
    each([RUN, PIO, RING], |&page| equal(in_child(|| closed.get::<u8>(page * PAGE))?, Ended::Killed(SIGSEGV)))
}
claim!(
    closed_mappings_kill,
    "A mapping of a vCPU with PROT_NONE is accepted, and reading it raises SIGSEGV",
    [Manual("mmap(2): PROT_NONE")],
);

fn any_mapping_can_be_opened(vcpu: Vcpu) -> Outcome {
    let other = map(&vcpu, RUN, COUNTED)?;
    each([PROT_NONE, PROT_READ, PROT_WRITE], |&protection| {
        let mapped = vcpu.map(COUNTED * PAGE, protection, MAP_SHARED, 0)?;
        succeeds(mapped.protect(RW))?;
        mark(&mapped);
        equal(marks(&other), MARKS)?;
        other.put(MARK, 0u8);
        equal(mapped.get::<u8>(MARK), 0)
    })
}
claim!(
    any_mapping_can_be_opened,
    "mprotect makes a mapping of a vCPU readable and writable, however it was mapped",
    [Code("create_vcpu_fd, virt/kvm/kvm_main.c: the descriptor is O_RDWR"), Manual("mprotect(2)")],
);

fn a_mapping_can_be_closed(vcpu: Vcpu) -> Outcome {
    let mapped = map(&vcpu, RUN, 1)?;
    mapped.put(MARK, 0x62u8);
    succeeds(mapped.protect(PROT_NONE))?;
    equal(in_child(|| mapped.get::<u8>(MARK))?, Ended::Killed(SIGSEGV))?;
    succeeds(mapped.protect(PROT_READ))?;
    equal(mapped.get::<u8>(MARK), 0x62)
}
claim!(
    a_mapping_can_be_closed,
    "A mapping of the run page that mprotect closes and opens again still shows the page",
    [Manual("mprotect(2)")],
);

fn executable_mappings_are_accepted(vcpu: Vcpu) -> Outcome {
    each([MAP_SHARED, MAP_PRIVATE], |&sharing| {
        let mapped = succeeds(vcpu.map(COUNTED * PAGE, PROT_READ | PROT_EXEC, sharing, 0))?;
        equal(mapped.get::<u8>(0), 0)
    })?;
    succeeds(map(&vcpu, RUN, 1)?.protect(PROT_READ | PROT_EXEC))
}
claim!(
    executable_mappings_are_accepted,
    "Before Linux 6.15, a vCPU's pages could be mapped executable",
    // Anonymous inodes were not yet on a superblock with SB_I_NOEXEC. Stable releases of 6.15 took the change over.
    [Code("anon_inodefs_init_fs_context, fs/anon_inodes.c")],
    Kernel("<6.15"),
);

fn executable_mappings_are_refused(vcpu: Vcpu) -> Outcome {
    each([MAP_SHARED, MAP_PRIVATE], |&sharing| {
        fails(EPERM, vcpu.map(COUNTED * PAGE, PROT_READ | PROT_EXEC, sharing, 0))
    })
}
claim!(
    executable_mappings_are_refused,
    "mmap of a vCPU with PROT_EXEC is refused with EPERM, as for a file on a filesystem mounted noexec",
    [Commit("1ed95281c0c7 anon_inode: raise SB_I_NODEV and SB_I_NOEXEC"), Manual("mmap(2): EPERM")],
    Kernel(">=6.16"),
);

fn mappings_cannot_become_executable(vcpu: Vcpu) -> Outcome {
    let mapped = map(&vcpu, RUN, COUNTED)?;
    fails(EACCES, mapped.protect(RW | PROT_EXEC))?;
    mapped.put(MARK, 0x63u8);
    equal(mapped.get::<u8>(MARK), 0x63)
}
claim!(
    mappings_cannot_become_executable,
    "mprotect of a vCPU's mapping to PROT_EXEC is refused with EACCES and leaves it as it was",
    [Commit("1ed95281c0c7 anon_inode: raise SB_I_NODEV and SB_I_NOEXEC"), Manual("mprotect(2): EACCES")],
    Kernel(">=6.16"),
);
