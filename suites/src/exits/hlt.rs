//! KVM_EXIT_HLT: without an in-kernel local APIC, HLT leaves to the host.

use guests::Mode;
use guests::iced_x86::code_asm::{al, dword_ptr, eax};
use harness::kvm::{
    Descriptor, EINTR, Exit, KVM_CAP_IRQCHIP, KVM_CAP_SIGNAL_MSI, KVM_CAP_SPLIT_IRQCHIP,
    KVM_CAP_X86_DISABLE_EXITS, KVM_GET_MP_STATE, KVM_INTERRUPT, KVM_SET_MP_STATE, KVM_SIGNAL_MSI, Kvm, abi,
};
use harness::{Controllers, Outcome, Stop, claim, each, equal, holds};

use super::generated::InMode;
use super::provoked::Provoked;
use super::stage::{Interruption, Stage, handler, out};

/// Where a local APIC has its spurious-interrupt vector register.
const SPURIOUS: u64 = 0xfee0_00f0;

told! {
    "5 The kvm_run structure, KVM_EXIT_HLT",
    in_real_mode, "halt::at_once::real", "In real mode, HLT leaves KVM_EXIT_HLT with RIP behind it and nothing else changed";
    in_protected_mode, "halt::at_once::protected", "In protected mode, HLT leaves KVM_EXIT_HLT with RIP behind it and nothing else changed";
    in_long_mode, "halt::at_once::long", "In long mode, HLT leaves KVM_EXIT_HLT with RIP behind it and nothing else changed";
    after_moves_in_real_mode, "halt::after_moves::real", "In real mode, the registers that a guest set stand at KVM_EXIT_HLT as it set them";
    after_moves_in_protected_mode, "halt::after_moves::protected", "In protected mode, the registers that a guest set stand at KVM_EXIT_HLT as it set them";
    after_moves_in_long_mode, "halt::after_moves::long", "In long mode, the registers that a guest set stand at KVM_EXIT_HLT as it set them";
}

fn needs_no_answer(mode: InMode, count: u8) -> Outcome {
    let halts = usize::from(count % 16) + 1;
    let stage = Stage::of(mode.0, |a| (0..halts).try_for_each(|_| a.hlt()))?;
    for index in 1..=halts {
        equal(stage.run()?, Exit::Hlt)?;
        stage.stands(index, |_| ())?;
    }
    stage.ended(|_| ())
}
claim!(
    needs_no_answer,
    "The KVM_RUN after KVM_EXIT_HLT goes on behind the HLT, without anything to wake it",
    [Api("5. The kvm_run structure, KVM_EXIT_HLT"), Code("__kvm_emulate_halt, arch/x86/kvm/x86.c")],
);

fn leaves_whatever_if_is(mode: InMode, interrupts: bool) -> Outcome {
    let mut stage = Stage::of(mode.0, |a| a.hlt())?;
    stage.enter_with(|regs| regs.rflags |= u64::from(interrupts) << 9)?;
    equal(stage.run()?, Exit::Hlt)?;
    equal(stage.page()?.if_flag(), interrupts.into())?;
    equal(stage.page()?.ready_for_interrupt_injection(), interrupts.into())?;
    stage.ended(|_| ())
}
claim!(
    leaves_whatever_if_is,
    "HLT leaves KVM_EXIT_HLT with IF set and clear, and the run page says whether an interrupt can be injected",
    [Api("5. The kvm_run structure, KVM_EXIT_HLT")],
);

fn an_interrupt_is_taken_behind_it(mode: InMode, vector: u8) -> Outcome {
    let vector = vector.max(32);
    let mut stage = Stage::of(mode.0, |a| a.hlt())?;
    stage.catch_exceptions()?;
    stage.enter_with(|regs| regs.rflags |= 1 << 9)?;
    equal(stage.run()?, Exit::Hlt)?;
    let halted = stage.registers()?;
    stage.vcpu.write(KVM_INTERRUPT, &abi::kvm_interrupt { irq: vector.into() })?;
    equal(stage.run()?, Exit::Hlt)?;
    let seen = stage.registers()?;
    equal((seen.rip, seen.rflags), (handler(vector.into()), halted.rflags & !(1 << 9)))?;
    holds(seen.rsp < halted.rsp, "the interrupt's frame lies on the stack")
}
claim!(
    an_interrupt_is_taken_behind_it,
    "An interrupt that KVM_INTERRUPT queues at KVM_EXIT_HLT is taken by the next KVM_RUN",
    [Api("4.16 KVM_INTERRUPT")],
);

fn a_local_apic_keeps_it_in_the_kernel() -> Outcome {
    each(Controllers::WITH_LAPIC, |controllers| {
        let mut stage = Stage::within(controllers.vm()?, Mode::Real, |a| {
            a.hlt()?;
            a.out(0x80, al)
        })?;
        stage.enter_with(|regs| regs.rflags |= 1 << 9)?;
        let left = stage.during(Interruption::Signal, || stage.attempt())?;
        equal(left, (Some(EINTR), Exit::Intr))?;
        // The signal came before the guest ran; now it halts, and only a signal ends the wait.
        stage.vcpu.write(KVM_SET_MP_STATE, &abi::kvm_mp_state { mp_state: abi::KVM_MP_STATE_HALTED })?;
        let left = stage.during(Interruption::Signal, || stage.attempt())?;
        equal(left, (Some(EINTR), Exit::Intr))?;
        stage.stands(0, |_| ())?;
        let state: abi::kvm_mp_state = stage.vcpu.read(KVM_GET_MP_STATE)?;
        equal(state.mp_state, abi::KVM_MP_STATE_HALTED)
    })
}
claim!(
    a_local_apic_keeps_it_in_the_kernel,
    "With an in-kernel local APIC a halted vCPU waits in KVM_RUN, and a signal ends the wait with KVM_EXIT_INTR",
    [Api("5. The kvm_run structure, KVM_EXIT_HLT"), Api("4.38 KVM_GET_MP_STATE")],
    Has(KVM_CAP_IRQCHIP),
    Has(KVM_CAP_SPLIT_IRQCHIP),
);

fn a_waiting_interrupt_is_no_exit(vector: u8) -> Outcome {
    let vector = vector.max(32);
    each(Controllers::WITH_LAPIC, |controllers| {
        let mut stage = Stage::within(controllers.vm()?, Mode::Long, |a| {
            a.mov(eax, 0x1ff)?;
            a.mov(dword_ptr(SPURIOUS), eax)?;
            a.out(0x80, al)?;
            a.sti()?;
            a.hlt()
        })?;
        stage.catch_exceptions()?;
        // The handler's own end, as HLT would not leave.
        stage.handle(vector, |a| a.out(0x81, al))?;
        equal(stage.run()?, out(0x80, &[0xff]))?;
        let msi = abi::kvm_msi { address_lo: 0xfee0_0000, data: vector.into(), ..Default::default() };
        equal(stage.vm.write(KVM_SIGNAL_MSI, &msi)?, 1)?;
        equal(stage.run()?, out(0x81, &[0xff]))
    })
}
claim!(
    a_waiting_interrupt_is_no_exit,
    "With an in-kernel local APIC, HLT with an interrupt waiting goes on to its handler and leaves no KVM_EXIT_HLT",
    [Api("5. The kvm_run structure, KVM_EXIT_HLT")],
    Has(KVM_CAP_IRQCHIP),
    Has(KVM_CAP_SPLIT_IRQCHIP),
    Has(KVM_CAP_SIGNAL_MSI),
);

fn disabled_exits_run_through() -> Outcome {
    let vm = Kvm::open()?.create_vm(0)?;
    let offered = vm.check_extension(KVM_CAP_X86_DISABLE_EXITS)?.cast_unsigned();
    if offered & abi::KVM_X86_DISABLE_EXITS_HLT == 0 {
        return Err(Stop::Skip("KVM_CAP_X86_DISABLE_EXITS does not offer HLT here".into()));
    }
    let stage = Stage::within(vm, Mode::Real, |a| a.hlt())?;
    equal(stage.run()?, Exit::Hlt)?;
    stage.ended(|_| ())
}
claim!(
    disabled_exits_run_through,
    "A VM that KVM_CAP_X86_DISABLE_EXITS was not enabled for leaves KVM_EXIT_HLT although HLT exits could be disabled",
    [Api("7.13 KVM_CAP_X86_DISABLE_EXITS")],
    Has(KVM_CAP_X86_DISABLE_EXITS),
);

/// HLT and, behind it, another.
pub(super) fn halt() -> Result<Provoked, Stop> {
    let stage = Stage::of(Mode::Long, |a| {
        a.hlt()?;
        a.hlt()
    })?;
    Ok(Provoked::of(stage, Exit::Hlt))
}
