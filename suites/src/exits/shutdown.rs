//! KVM_EXIT_SHUTDOWN: what a processor does that cannot deliver a fault. The documentation names the exit and says nothing of it.

use guests::Mode;
use harness::kvm::{
    Descriptor, Exit, KVM_CAP_MCE, KVM_CAP_X86_TRIPLE_FAULT_EVENT, KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS,
    KVM_X86_SET_MCE, KVM_X86_SETUP_MCE, Kvm, Vm, abi,
};
use harness::{Outcome, Stop, claim, equal};

use super::generated::InMode;
use super::provoked::Provoked;
use super::stage::{Stage, handler};

/// KVM_VCPUEVENT_VALID_TRIPLE_FAULT.
const VALID_TRIPLE_FAULT: u32 = 0x20;
/// CR4.MCE.
const CR4_MCE: u64 = 1 << 6;
/// MCG_CTL_P, and as many banks as every KVM has.
const MCG: u64 = 1 << 8 | 10;
/// RFLAGS.RF.
const RF: u64 = 1 << 16;
/// An error of a bank that is valid, uncorrected and enabled.
const UNCORRECTED: u64 = 1 << 63 | 1 << 61 | 1 << 60;
/// MCG_STATUS.MCIP.
const IN_PROGRESS: u64 = 1 << 2;

/// A guest that raises #UD, and has nowhere to take it to.
fn faulting(mode: Mode) -> Result<Stage, Stop> {
    let stage = Stage::of(mode, |a| {
        a.ud2()?;
        a.hlt()
    })?;
    stage.enter_under(|sregs| sregs.idt.limit = 0)?;
    Ok(stage)
}

fn triple_faults_leave(mode: InMode) -> Outcome {
    equal(faulting(mode.0)?.run()?, Exit::Shutdown)
}
claim!(
    triple_faults_leave,
    "A fault whose handlers cannot be reached leaves KVM_EXIT_SHUTDOWN, in every mode",
    [
        Manual("Intel SDM volume 3, 6.15 Exception and Interrupt Reference, Interrupt 8"),
        Code("shutdown_interception, arch/x86/kvm/svm/svm.c")
    ],
);

fn amd_resets_the_vcpu(mode: InMode) -> Outcome {
    let stage = faulting(mode.0)?;
    equal(stage.run()?, Exit::Shutdown)?;
    let (regs, sregs) = (stage.registers()?, stage.vcpu.get_sregs()?);
    let model =
        Kvm::open()?.get_supported_cpuid()?.iter().find(|entry| entry.function == 1).map_or(0, |e| e.eax);
    equal(regs, guests::Registers { rip: 0xfff0, rflags: 2, rdx: model.into(), ..Default::default() })?;
    equal((sregs.cs.selector, sregs.cs.base, sregs.cs.limit), (0xf000, 0xffff_0000, 0xffff))?;
    equal((sregs.cr0, sregs.cr3, sregs.cr4, sregs.efer), (0x10, 0, 0, 0))?;
    equal((sregs.idt.base, sregs.idt.limit, sregs.gdt.base, sregs.gdt.limit), (0, 0xffff, 0, 0xffff))
}
claim!(
    amd_resets_the_vcpu,
    "At KVM_EXIT_SHUTDOWN of a triple fault, AMD's KVM has the vCPU as INIT leaves it",
    [
        Code("shutdown_interception, arch/x86/kvm/svm/svm.c"),
        Manual("AMD APM volume 2, 15.14.3 Shutdown Intercept")
    ],
    Amd,
    Kernel(">=6.1"),
);

fn intel_leaves_the_vcpu(mode: InMode) -> Outcome {
    let stage = faulting(mode.0)?;
    for _ in 0..3 {
        equal(stage.run()?, Exit::Shutdown)?;
        // Whether RF is set then depends on how far the processor came with the fault's delivery.
        let resume = stage.registers()?.rflags & RF;
        stage.stands(0, |regs| regs.rflags |= resume)?;
    }
    Ok(())
}
claim!(
    intel_leaves_the_vcpu,
    "At KVM_EXIT_SHUTDOWN of a triple fault, Intel's KVM has the vCPU as it was but for RFLAGS.RF, and it faults again",
    [
        Code("handle_triple_fault, arch/x86/kvm/vmx/vmx.c"),
        Manual("Intel SDM volume 3, 28.3.3 Saving RIP, RSP, RFLAGS, and SSP")
    ],
    Intel,
);

fn a_handler_prevents_it(mode: InMode) -> Outcome {
    let mut stage = faulting(mode.0)?;
    stage.catch_exceptions()?;
    equal(stage.run()?, Exit::Hlt)?;
    equal(stage.registers()?.rip, handler(6))
}
claim!(
    a_handler_prevents_it,
    "The same fault with a handler leaves no KVM_EXIT_SHUTDOWN",
    [Manual("Intel SDM volume 3, 6.15 Exception and Interrupt Reference, Interrupt 6")],
);

fn double_faults_prevent_it() -> Outcome {
    let mut stage = Stage::of(Mode::Protected, |a| {
        a.ud2()?;
        a.hlt()
    })?;
    stage.catch_exceptions()?;
    // The gate of #UD is of a type that no gate has, so that delivering it raises #GP. The gate of #GP is another such.
    stage.lay(0x9000 + 6 * 8, &[0; 8])?;
    stage.lay(0x9000 + 13 * 8, &[0; 8])?;
    stage.lay(0x9000 + 11 * 8, &[0; 8])?;
    equal(stage.run()?, Exit::Hlt)?;
    equal(stage.registers()?.rip, handler(8))
}
claim!(
    double_faults_prevent_it,
    "A fault while a fault is delivered becomes #DF, and with a handler of that leaves no KVM_EXIT_SHUTDOWN",
    [Manual("Intel SDM volume 3, 6.15 Exception and Interrupt Reference, Interrupt 8")],
);

/// Makes a triple fault pending, as a host does that restores a vCPU that had one.
fn make_pending(stage: &Stage) -> Outcome {
    let mut events: abi::kvm_vcpu_events = stage.vcpu.read(KVM_GET_VCPU_EVENTS)?;
    events.flags |= VALID_TRIPLE_FAULT;
    events.triple_fault.pending = 1;
    stage.vcpu.write(KVM_SET_VCPU_EVENTS, &events)?;
    Ok(())
}

/// A VM whose vCPUs show a pending triple fault.
fn vm_with_triple_faults() -> Result<Vm, Stop> {
    let vm = Kvm::open()?.create_vm(0)?;
    vm.enable_cap(KVM_CAP_X86_TRIPLE_FAULT_EVENT, [1, 0, 0, 0])?;
    Ok(vm)
}

fn a_pending_event_leaves_once(mode: InMode) -> Outcome {
    let stage = Stage::within(vm_with_triple_faults()?, mode.0, |a| a.hlt())?;
    make_pending(&stage)?;
    let pending = || -> Result<u8, Stop> {
        let events: abi::kvm_vcpu_events = stage.vcpu.read(KVM_GET_VCPU_EVENTS)?;
        Ok(events.triple_fault.pending)
    };
    equal(pending()?, 1)?;
    equal(stage.run()?, Exit::Shutdown)?;
    equal(pending()?, 0)?;
    stage.stands(0, |_| ())?;
    equal(stage.run()?, Exit::Hlt)?;
    stage.ended(|_| ())
}
claim!(
    a_pending_event_leaves_once,
    "A triple fault that KVM_SET_VCPU_EVENTS made pending leaves KVM_EXIT_SHUTDOWN once, and the vCPU as it was",
    [Api("4.31 KVM_GET_VCPU_EVENTS"), Api("4.32 KVM_SET_VCPU_EVENTS")],
    Has(KVM_CAP_X86_TRIPLE_FAULT_EVENT),
);

/// A guest with machine-check banks, and an error for its first one.
fn machine_check(mcg_status: u64, cr4: u64) -> Result<Stage, Stop> {
    let mut stage = Stage::of(Mode::Protected, |a| a.hlt())?;
    stage.catch_exceptions()?;
    stage.enter_under(|sregs| sregs.cr4 |= cr4)?;
    stage.vcpu.write(KVM_X86_SETUP_MCE, &MCG)?;
    // struct kvm_x86_mce: status, addr, misc, mcg_status, bank.
    let mut mce = [0u64; 8];
    (mce[0], mce[3]) = (UNCORRECTED, mcg_status);
    stage.vcpu.write(KVM_X86_SET_MCE, &mce)?;
    Ok(stage)
}

fn machine_checks_without_mce_leave() -> Outcome {
    let stage = machine_check(IN_PROGRESS, 0)?;
    equal(stage.run()?, Exit::Shutdown)?;
    stage.stands(0, |_| ())?;
    equal(stage.run()?, Exit::Hlt)?;
    stage.ended(|_| ())
}
claim!(
    machine_checks_without_mce_leave,
    "An uncorrected machine check with CR4.MCE clear leaves KVM_EXIT_SHUTDOWN, and the vCPU as it was",
    [Api("4.106 KVM_X86_SET_MCE"), Code("kvm_vcpu_ioctl_x86_set_mce, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_MCE),
);

fn machine_checks_with_mce_are_the_guests() -> Outcome {
    let stage = machine_check(IN_PROGRESS, CR4_MCE)?;
    equal(stage.run()?, Exit::Hlt)?;
    equal(stage.registers()?.rip, handler(18))
}
claim!(
    machine_checks_with_mce_are_the_guests,
    "An uncorrected machine check with CR4.MCE set gives the guest #MC and leaves no KVM_EXIT_SHUTDOWN",
    [Api("4.106 KVM_X86_SET_MCE")],
    Has(KVM_CAP_MCE),
);

fn a_second_machine_check_leaves() -> Outcome {
    let stage = machine_check(IN_PROGRESS, CR4_MCE)?;
    equal(stage.run()?, Exit::Hlt)?;
    let mut mce = [0u64; 8];
    (mce[0], mce[3]) = (UNCORRECTED, IN_PROGRESS);
    stage.vcpu.write(KVM_X86_SET_MCE, &mce)?;
    equal(stage.run()?, Exit::Shutdown)
}
claim!(
    a_second_machine_check_leaves,
    "An uncorrected machine check while another is in progress leaves KVM_EXIT_SHUTDOWN",
    [Code("kvm_vcpu_ioctl_x86_set_mce, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_MCE),
);

/// A triple fault that the guest made: what the vCPU is then differs by vendor.
pub(super) fn triple_fault() -> Result<Provoked, Stop> {
    let stage = faulting(Mode::Long)?;
    // What it becomes is seen on a vCPU of its own, and a claim above says what that must be.
    let other = faulting(Mode::Long)?;
    equal(other.run()?, Exit::Shutdown)?;
    let at = other.registers()?;
    Ok(Provoked { at, completed: at, end: None, ..Provoked::of(stage, Exit::Shutdown) })
}

/// A triple fault that the host made pending.
pub(super) fn pending() -> Result<Provoked, Stop> {
    let stage = Stage::within(vm_with_triple_faults()?, Mode::Long, |a| a.hlt())?;
    make_pending(&stage)?;
    let at = stage.before(0);
    Ok(Provoked { at, completed: at, ..Provoked::of(stage, Exit::Shutdown) })
}
