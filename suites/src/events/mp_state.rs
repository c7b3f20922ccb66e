//! KVM_SET_MP_STATE and KVM_GET_MP_STATE: api.rst 4.39 and 4.38. What a fresh vCPU's state is, are claims of `vcpu::get_mp_state`.

use std::time::Duration;

use guests::Mode;
use guests::iced_x86::code_asm::al;
use harness::kvm::{
    Descriptor, EINTR, EINVAL, Exit, KVM_CAP_IRQCHIP, KVM_CAP_MP_STATE, KVM_CAP_SET_GUEST_DEBUG,
    KVM_CAP_SPLIT_IRQCHIP, KVM_CAP_X86_SMM, KVM_GET_MP_STATE, KVM_RUN, KVM_SET_GUEST_DEBUG, KVM_SET_MP_STATE,
    Refused, Vcpu, abi,
};
use harness::signal::Alarm;
use harness::{Controllers, Outcome, Stop, claim, each, equal, fails, succeeds, unchanged};

use super::handled::{Handled, IF, Step, idle};
use crate::exits::stage::{END, Interruption};

/// The headings that most of this rests on.
const GET: &str = "4.38 KVM_GET_MP_STATE";
const SET: &str = "4.39 KVM_SET_MP_STATE";
/// Where the kernel looks at what it is told.
const SETS: &str = "kvm_arch_vcpu_ioctl_set_mpstate, arch/x86/kvm/x86.c";
/// The states that keep a vCPU from running, and the one that does not.
const WAITING: [u32; 3] =
    [abi::KVM_MP_STATE_UNINITIALIZED, abi::KVM_MP_STATE_INIT_RECEIVED, abi::KVM_MP_STATE_HALTED];
const RUNNABLE: u32 = abi::KVM_MP_STATE_RUNNABLE;
/// How long a vCPU is waited for that should not run.
const WHILE: Duration = Duration::from_millis(5);

/// KVM_SET_MP_STATE.
#[track_caller]
pub(super) fn set(vcpu: &Vcpu, state: u32) -> Result<(), Refused> {
    vcpu.write(KVM_SET_MP_STATE, &abi::kvm_mp_state { mp_state: state }).map(drop)
}

/// KVM_GET_MP_STATE.
#[track_caller]
pub(super) fn get(vcpu: &Vcpu) -> Result<u32, Stop> {
    Ok(vcpu.read::<abi::kvm_mp_state>(KVM_GET_MP_STATE)?.mp_state)
}

/// The halted vCPU was not woken: a signal ends its wait, in which it stays what it was. A wake would show in the state alone, since
/// a signal that waits keeps from running also what could.
#[track_caller]
pub(super) fn still_waits(guest: &Handled) -> Outcome {
    guest.stage.interrupt(Interruption::Signal)?;
    guest.stage.stands(0, |_| ())?;
    equal(get(&guest.stage.vcpu)?, abi::KVM_MP_STATE_HALTED)
}

/// An idle guest with a local APIC, which lets interrupts in.
fn guest() -> Result<Handled, Stop> {
    Handled::within(Controllers::Split.vm()?, Mode::Long, idle(3))?.entered_with(|regs| regs.rflags |= IF)
}

fn each_is_given_back() -> Outcome {
    each(Controllers::WITH_LAPIC, |controllers| {
        let vm = controllers.vm()?;
        each([0, 1], |id| {
            let vcpu = vm.create_vcpu(*id)?;
            each(WAITING.into_iter().chain([RUNNABLE]), |&state| {
                succeeds(set(&vcpu, state))?;
                equal(get(&vcpu)?, state)
            })
        })
    })
}
claim!(
    each_is_given_back,
    "With a local APIC, KVM_GET_MP_STATE gives back each state that a vCPU can wait in, and KVM_MP_STATE_RUNNABLE",
    [Api(GET), Api(SET)],
    Has(KVM_CAP_MP_STATE),
    Has(KVM_CAP_IRQCHIP),
    Has(KVM_CAP_SPLIT_IRQCHIP),
);

fn without_a_local_apic_all_run(state: u32) -> Outcome {
    let guest = Handled::of(Mode::Long, idle(3))?;
    let states = WAITING.into_iter().chain([abi::KVM_MP_STATE_SIPI_RECEIVED, state.max(1)]);
    each(states, |&state| {
        unchanged(|| get(&guest.stage.vcpu), || fails(EINVAL, set(&guest.stage.vcpu, state)))
    })?;
    succeeds(set(&guest.stage.vcpu, RUNNABLE))?;
    guest.takes(&[])
}
claim!(
    without_a_local_apic_all_run,
    "Without a local APIC, KVM_SET_MP_STATE refuses all but KVM_MP_STATE_RUNNABLE with EINVAL, and the vCPU runs",
    [Api(SET), Code(SETS)],
    Has(KVM_CAP_MP_STATE),
);

fn unknown_states_are_refused(state: u32) -> Outcome {
    const LAST: u32 = abi::KVM_MP_STATE_SUSPENDED;
    let guest = guest()?;
    let elsewhere = [
        abi::KVM_MP_STATE_STOPPED,
        abi::KVM_MP_STATE_CHECK_STOP,
        abi::KVM_MP_STATE_OPERATING,
        abi::KVM_MP_STATE_LOAD,
        abi::KVM_MP_STATE_SUSPENDED,
        state.max(LAST + 1),
    ];
    each(elsewhere, |&state| {
        unchanged(|| get(&guest.stage.vcpu), || fails(EINVAL, set(&guest.stage.vcpu, state)))
    })?;
    guest.takes(&[])
}
claim!(
    unknown_states_are_refused,
    "KVM_SET_MP_STATE refuses the states of other architectures, and those that none has, with EINVAL",
    [Api(SET), Code(SETS)],
    Has(KVM_CAP_MP_STATE),
    Has(KVM_CAP_SPLIT_IRQCHIP),
);

fn who_waits_runs_nothing() -> Outcome {
    each(WAITING, |&state| {
        let guest = guest()?;
        set(&guest.stage.vcpu, state)?;
        for how in [Interruption::Signal, Interruption::ImmediateExit] {
            guest.stage.interrupt(how)?;
            equal(get(&guest.stage.vcpu)?, state)?;
        }
        // The signal comes while it waits: had it run, it would have come to its end before.
        let alarm = Alarm::every(WHILE)?;
        let left = guest.stage.attempt()?;
        drop(alarm);
        equal(left, (Some(EINTR), Exit::Intr))?;
        guest.stage.stands(0, |_| ())?;
        equal(get(&guest.stage.vcpu)?, state)?;
        set(&guest.stage.vcpu, RUNNABLE)?;
        guest.takes(&[])
    })
}
claim!(
    who_waits_runs_nothing,
    "A vCPU that waits runs nothing until KVM_SET_MP_STATE makes it runnable, and then from where it stood",
    [Api(GET), Api(SET)],
    Has(KVM_CAP_MP_STATE),
    Has(KVM_CAP_SPLIT_IRQCHIP),
);

fn hlt_halts() -> Outcome {
    let guest = Handled::within(Controllers::Split.vm()?, Mode::Long, |a| {
        a.nop()?;
        a.hlt()?;
        a.out(u32::from(END), al)
    })?;
    // A step over HLT comes back to the host, which the wait that follows it would not.
    let debug = |control| -> Outcome {
        let request = abi::kvm_guest_debug { control, ..Default::default() };
        Ok(guest.stage.vcpu.write(KVM_SET_GUEST_DEBUG, &request).map(drop)?)
    };
    debug(abi::KVM_GUESTDBG_ENABLE | abi::KVM_GUESTDBG_SINGLESTEP)?;
    for (index, state) in [(1, RUNNABLE), (2, abi::KVM_MP_STATE_HALTED)] {
        match guest.stage.run()? {
            Exit::Debug { pc, .. } => equal(pc, guest.stage.at(index))?,
            other => equal(other, Exit::Debug { exception: 1, pc: guest.stage.at(index), dr6: 0, dr7: 0 })?,
        }
        equal(get(&guest.stage.vcpu)?, state)?;
    }
    debug(0)?;
    guest.stage.interrupt(Interruption::Signal)?;
    guest.stage.stands(2, |_| ())?;
    set(&guest.stage.vcpu, RUNNABLE)?;
    guest.takes(&[])
}
claim!(
    hlt_halts,
    "With a local APIC, HLT makes a vCPU KVM_MP_STATE_HALTED, with RIP behind it, and KVM_MP_STATE_RUNNABLE has it go on there",
    [Api(GET), Code("kvm_emulate_halt, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_MP_STATE),
    Has(KVM_CAP_SPLIT_IRQCHIP),
    Has(KVM_CAP_SET_GUEST_DEBUG),
);

fn waking_makes_it_runnable() -> Outcome {
    let guest = guest()?;
    set(&guest.stage.vcpu, abi::KVM_MP_STATE_HALTED)?;
    guest.stage.vcpu.value(harness::kvm::KVM_NMI, 0)?;
    equal(guest.step()?, Step::Takes(2, super::handled::Before::Code(0)))?;
    equal(get(&guest.stage.vcpu)?, RUNNABLE)?;
    guest.takes(&[])
}
claim!(
    waking_makes_it_runnable,
    "A halted vCPU that an event woke is KVM_MP_STATE_RUNNABLE",
    [Api(GET)],
    Has(KVM_CAP_MP_STATE),
    Has(KVM_CAP_SPLIT_IRQCHIP),
);

fn a_sipi_can_be_set(page: u8) -> Outcome {
    let vm = Controllers::Split.vm()?;
    let vcpu = vm.create_vcpu(1)?;
    let events = abi::kvm_vcpu_events {
        flags: abi::KVM_VCPUEVENT_VALID_SIPI_VECTOR,
        sipi_vector: page.into(),
        ..Default::default()
    };
    vcpu.write(harness::kvm::KVM_SET_VCPU_EVENTS, &events)?;
    set(&vcpu, abi::KVM_MP_STATE_SIPI_RECEIVED)?;
    equal(get(&vcpu)?, RUNNABLE)?;
    let cs = vcpu.get_sregs()?.cs;
    equal((cs.selector, cs.base), (u16::from(page) << 8, u64::from(page) << 12))?;
    equal(vcpu.get_regs()?.rip, 0)
}
claim!(
    a_sipi_can_be_set,
    "KVM_MP_STATE_SIPI_RECEIVED starts a vCPU in the page that KVM_VCPUEVENT_VALID_SIPI_VECTOR named",
    [Api(SET), Api("4.32 KVM_SET_VCPU_EVENTS"), Code("kvm_apic_accept_events, arch/x86/kvm/lapic.c")],
    Has(KVM_CAP_MP_STATE),
    Has(KVM_CAP_SPLIT_IRQCHIP),
);

fn smm_refuses_init(pending: bool) -> Outcome {
    let guest = guest()?;
    guest.change(|events| (events.smi.smm, events.smi.pending) = ((!pending).into(), pending.into()))?;
    each([abi::KVM_MP_STATE_INIT_RECEIVED, abi::KVM_MP_STATE_SIPI_RECEIVED], |&state| {
        unchanged(|| get(&guest.stage.vcpu), || fails(EINVAL, set(&guest.stage.vcpu, state)))
    })
}
claim!(
    smm_refuses_init,
    "KVM_SET_MP_STATE refused INIT and SIPI with EINVAL for a vCPU that is in SMM or has an SMI pending",
    [Api(SET), Code(SETS)],
    Has(KVM_CAP_MP_STATE),
    Has(KVM_CAP_SPLIT_IRQCHIP),
    Has(KVM_CAP_X86_SMM),
    Kernel("<6.17"),
);

fn init_refuses_smm(pending: bool) -> Outcome {
    let guest = guest()?;
    set(&guest.stage.vcpu, abi::KVM_MP_STATE_INIT_RECEIVED)?;
    let mut events = guest.events()?;
    (events.smi.smm, events.smi.pending) = ((!pending).into(), pending.into());
    unchanged(
        || guest.events(),
        || fails(EINVAL, guest.stage.vcpu.write(harness::kvm::KVM_SET_VCPU_EVENTS, &events)),
    )
}
claim!(
    init_refuses_smm,
    "KVM_SET_VCPU_EVENTS refused SMM and a pending SMI with EINVAL for a vCPU that waits for SIPI",
    [Api("4.32 KVM_SET_VCPU_EVENTS"), Code("kvm_vcpu_ioctl_x86_set_vcpu_events, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_MP_STATE),
    Has(KVM_CAP_SPLIT_IRQCHIP),
    Has(KVM_CAP_X86_SMM),
    Kernel("<6.17"),
);

fn who_waits_in_smm_cannot_run(smm_first: bool) -> Outcome {
    let guest = guest()?;
    let steps: [&dyn Fn() -> Outcome; 2] = [&|| guest.change(|events| events.smi.smm = 1), &|| {
        Ok(set(&guest.stage.vcpu, abi::KVM_MP_STATE_INIT_RECEIVED)?)
    }];
    let (first, second) = if smm_first { (0, 1) } else { (1, 0) };
    steps[first]()?;
    steps[second]()?;
    let all = || Ok::<_, Stop>((get(&guest.stage.vcpu)?, guest.events()?, guest.stage.registers()?));
    let (state, events, _) = all()?;
    equal((state, events.smi.smm), (abi::KVM_MP_STATE_INIT_RECEIVED, 1))?;
    unchanged(all, || fails(EINVAL, guest.stage.vcpu.value(KVM_RUN, 0)))
}
claim!(
    who_waits_in_smm_cannot_run,
    "A vCPU may be set to wait for SIPI in SMM, which blocks SIPI; KVM_RUN refuses it with EINVAL",
    [
        Code("kvm_arch_vcpu_ioctl_run, arch/x86/kvm/x86.c"),
        FixedBy("0fe3e8d804fd KVM: x86: Move INIT_RECEIVED vs. INIT/SIPI blocked check to KVM_RUN")
    ],
    Has(KVM_CAP_MP_STATE),
    Has(KVM_CAP_SPLIT_IRQCHIP),
    Has(KVM_CAP_X86_SMM),
    Kernel(">=6.17"),
);

fn an_smi_may_wait_beside_init(smi_first: bool) -> Outcome {
    let guest = guest()?;
    let steps: [&dyn Fn() -> Outcome; 2] = [&|| guest.change(|events| events.smi.pending = 1), &|| {
        Ok(set(&guest.stage.vcpu, abi::KVM_MP_STATE_INIT_RECEIVED)?)
    }];
    let (first, second) = if smi_first { (0, 1) } else { (1, 0) };
    steps[first]()?;
    steps[second]()?;
    equal((get(&guest.stage.vcpu)?, guest.events()?.smi.pending), (abi::KVM_MP_STATE_INIT_RECEIVED, 1))
}
claim!(
    an_smi_may_wait_beside_init,
    "An SMI may be pending for a vCPU that waits for SIPI, whichever was set first",
    [
        Api("4.32 KVM_SET_VCPU_EVENTS"),
        FixedBy("c4a37acc5193 KVM: x86: Drop pending_smi vs. INIT_RECEIVED check when setting MP_STATE")
    ],
    Has(KVM_CAP_MP_STATE),
    Has(KVM_CAP_SPLIT_IRQCHIP),
    Has(KVM_CAP_X86_SMM),
    Kernel(">=6.17"),
);
