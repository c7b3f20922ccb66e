//! KVM_EXIT_MEMORY_FAULT: KVM could not give the guest the page that it wanted. It comes with an error of KVM_RUN.

use std::sync::Arc;

use guests::Mode;
use guests::iced_x86::code_asm::{al, byte_ptr, ebx};
use harness::kvm::{
    Descriptor, EFAULT, Exit, KVM_CAP_MEMORY_ATTRIBUTES, KVM_CAP_MEMORY_FAULT_INFO, KVM_CAP_VM_TYPES,
    KVM_SET_MEMORY_ATTRIBUTES, Kvm, Memory, Vm,
};
use harness::{Outcome, Stop, claim, each, equal};

use super::provoked::{Provoked, Reply};
use super::stage::Stage;

/// The headings that all of this rests on.
const FAULT: &str = "5. The kvm_run structure, KVM_EXIT_MEMORY_FAULT";
const INFO: &str = "7.34 KVM_CAP_MEMORY_FAULT_INFO";
const ATTRIBUTES: &str = "4.141 KVM_SET_MEMORY_ATTRIBUTES";
/// KVM_X86_SW_PROTECTED_VM.
const SW_PROTECTED_VM: u64 = 1;
/// KVM_MEMORY_ATTRIBUTE_PRIVATE.
const PRIVATE: u64 = 1 << 3;
/// KVM_MEMORY_EXIT_FLAG_PRIVATE.
const PRIVATE_ACCESS: u64 = 1 << 3;
/// Where the slot begins whose pages are faulted on.
const SLOT: u64 = 0x10_0000;
/// The size of a page, in bytes.
const PAGE: u64 = 0x1000;

/// A VM that keeps private and shared memory apart.
fn protected() -> Result<Vm, Stop> {
    let kvm = Kvm::open()?;
    let types = kvm.check_extension(KVM_CAP_VM_TYPES)?;
    if types & 1 << SW_PROTECTED_VM == 0 {
        return Err(Stop::Skip("this kernel has no KVM_X86_SW_PROTECTED_VM".into()));
    }
    Ok(kvm.create_vm(SW_PROTECTED_VM)?)
}

/// Makes pages private, or shared again.
fn mark(vm: &Vm, address: u64, size: u64, attributes: u64) -> Outcome {
    vm.write(KVM_SET_MEMORY_ATTRIBUTES, &[address, size, attributes, 0])?;
    Ok(())
}

/// A guest in this VM that stores to or loads from an address in a slot of two pages.
fn accessing(vm: Vm, memory: Memory, address: u64, store: bool) -> Result<Stage, Stop> {
    let mut stage = Stage::within(vm, Mode::Protected, |a| {
        if store {
            a.mov(byte_ptr(ebx), al)?
        } else {
            a.mov(al, byte_ptr(ebx))?
        }
        a.hlt()
    })?;
    stage.vm.set_memory(1, 0, SLOT, &Arc::new(memory))?;
    stage.enter_with(|regs| (regs.rax, regs.rbx) = (0x77, address))?;
    Ok(stage)
}

/// Memory for the slot.
fn ordinary() -> Result<Memory, Stop> {
    Memory::new(2 * 0x1000)
}

/// The exit of an access to this page.
fn told(flags: u64, address: u64) -> Exit {
    Exit::MemoryFault { flags, gpa: address & !(PAGE - 1), size: PAGE }
}

fn private_pages_without_memory_are_told(offset: u16, store: bool) -> Outcome {
    let address = SLOT + u64::from(offset % 0x2000);
    let stage = accessing(protected()?, ordinary()?, address, store)?;
    mark(&stage.vm, SLOT, 2 * PAGE, PRIVATE)?;
    for _ in 0..2 {
        equal(stage.attempt()?, (Some(EFAULT), told(PRIVATE_ACCESS, address)))?;
        stage.stands(0, |_| ())?;
    }
    mark(&stage.vm, SLOT, 2 * PAGE, 0)?;
    equal(stage.run()?, Exit::Hlt)?;
    stage.ended(|end| {
        if !store {
            end.regs.rax = 0;
        }
    })
}
claim!(
    private_pages_without_memory_are_told,
    "An access to a private page of a slot without guest_memfd fails with EFAULT and KVM_EXIT_MEMORY_FAULT of that page",
    [Api(FAULT), Api(ATTRIBUTES)],
    Has(KVM_CAP_MEMORY_FAULT_INFO),
    AtLeast(KVM_CAP_VM_TYPES, 2),
);

fn only_the_marked_pages_fault(second: bool) -> Outcome {
    let (marked, other) = if second { (SLOT + PAGE, SLOT) } else { (SLOT, SLOT + PAGE) };
    each([(marked, true), (other, false)], |&(address, faults)| {
        let stage = accessing(protected()?, ordinary()?, address, true)?;
        mark(&stage.vm, marked, PAGE, PRIVATE)?;
        let expected = if faults { (Some(EFAULT), told(PRIVATE_ACCESS, address)) } else { (None, Exit::Hlt) };
        equal(stage.attempt()?, expected)
    })
}
claim!(
    only_the_marked_pages_fault,
    "Next to a private page that faults, the shared page of the same slot does not",
    [Api(FAULT), Api(ATTRIBUTES)],
    Has(KVM_CAP_MEMORY_FAULT_INFO),
    AtLeast(KVM_CAP_VM_TYPES, 2),
);

fn unresolved_faults_are_told(offset: u16) -> Outcome {
    let address = SLOT + u64::from(offset % 0x2000);
    let memory = Memory::read_only(2 * 0x1000)?;
    let stage = accessing(Kvm::open()?.create_vm(0)?, memory, address, true)?;
    equal(stage.attempt()?, (Some(EFAULT), told(0, address)))
}
claim!(
    unresolved_faults_are_told,
    "A store for which the host's memory cannot be had fails with EFAULT and KVM_EXIT_MEMORY_FAULT of its page",
    [Api(INFO)],
    Has(KVM_CAP_MEMORY_FAULT_INFO),
);

fn ordinary_vms_have_no_private_pages() -> Outcome {
    let stage = accessing(Kvm::open()?.create_vm(0)?, ordinary()?, SLOT, true)?;
    equal(stage.run()?, Exit::Hlt)?;
    stage.ended(|_| ())
}
claim!(
    ordinary_vms_have_no_private_pages,
    "The same store in an ordinary VM with ordinary memory leaves no KVM_EXIT_MEMORY_FAULT",
    [Api(FAULT)],
    Has(KVM_CAP_MEMORY_ATTRIBUTES),
);

/// A private page without memory, which the host makes shared.
pub(super) fn private() -> Result<Provoked, Stop> {
    let stage = accessing(protected()?, ordinary()?, SLOT, true)?;
    mark(&stage.vm, SLOT, PAGE, PRIVATE)?;
    let at = stage.before(0);
    Ok(Provoked {
        errno: Some(EFAULT),
        at,
        completed: at,
        reply: Reply::Act(|stage| mark(&stage.vm, SLOT, PAGE, 0)),
        ..Provoked::of(stage, told(PRIVATE_ACCESS, SLOT))
    })
}
