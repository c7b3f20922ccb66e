//! KVM_EXIT_INTR: a signal ended KVM_RUN, which fails with EINTR.

use std::hint::spin_loop;
use std::sync::Arc;

use guests::Mode;
use guests::iced_x86::code_asm::{byte_ptr, ptr};
use harness::kvm::{
    Descriptor, EINTR, Exit, KVM_CAP_IMMEDIATE_EXIT, KVM_CAP_IRQCHIP, KVM_RUN, KVM_SET_MP_STATE, Memory, abi,
};
use harness::signal::Blocked;
use harness::{Controllers, HostFault, Outcome, Stop, claim, each, equal, fails, holds};

use super::generated::InMode;
use super::provoked::Provoked;
use super::stage::{Interruption, Stage};

/// The headings that all of this rests on.
const INTR: &str = "4.10 KVM_RUN";
const MASK: &str = "4.21 KVM_SET_SIGNAL_MASK";
/// RFLAGS.IF.
const IF: u64 = 1 << 9;
/// Where a busy guest counts: a slot of its own.
const COUNTER: u64 = 0x10_0000;

fn a_waiting_signal_runs_nothing(mode: InMode) -> Outcome {
    let stage = Stage::of(mode.0, |a| {
        a.nop()?;
        a.hlt()
    })?;
    let left = stage.during(Interruption::Signal, || stage.attempt())?;
    equal(left, (Some(EINTR), Exit::Intr))?;
    stage.stands(0, |_| ())?;
    equal(stage.run()?, Exit::Hlt)?;
    stage.ended(|_| ())
}
claim!(
    a_waiting_signal_runs_nothing,
    "KVM_RUN with a signal pending that its mask lets in fails with EINTR and KVM_EXIT_INTR, and runs nothing",
    [Api(INTR), Api(MASK)],
);

fn it_is_told_as_long_as_it_waits(times: u8) -> Outcome {
    let stage = Stage::of(Mode::Real, |a| a.hlt())?;
    stage.during(Interruption::Signal, || {
        each(0..=times % 8, |_| equal(stage.attempt()?, (Some(EINTR), Exit::Intr)))
    })?;
    equal(stage.run()?, Exit::Hlt)?;
    stage.ended(|_| ())
}
claim!(
    it_is_told_as_long_as_it_waits,
    "KVM_RUN gives KVM_EXIT_INTR each time while the signal waits, and goes on once it does not",
    [Api(INTR), Api(MASK)],
);

fn a_blocked_signal_does_not_end_it() -> Outcome {
    let stage = Stage::of(Mode::Real, |a| {
        a.nop()?;
        a.hlt()
    })?;
    let _pending = harness::signal::Pending::new(libc::SIGUSR1)?;
    equal(stage.attempt()?, (None, Exit::Hlt))?;
    stage.ended(|_| ())
}
claim!(
    a_blocked_signal_does_not_end_it,
    "A signal that is pending and blocked during KVM_RUN does not end it",
    [Api(MASK)],
);

fn immediate_exit_comes_first() -> Outcome {
    let stage = Stage::of(Mode::Real, |a| a.hlt())?;
    stage.page()?.put_reason(0xdead);
    stage.during(Interruption::Signal, || {
        stage.page()?.put_immediate_exit(1);
        fails(EINTR, stage.vcpu.value(KVM_RUN, 0))?;
        stage.page()?.put_immediate_exit(0);
        Ok(())
    })?;
    equal(stage.page()?.reason(), 0xdead)
}
claim!(
    immediate_exit_comes_first,
    "With both a signal and immediate_exit, KVM_RUN fails with EINTR and leaves the exit reason alone",
    [Code("kvm_arch_vcpu_ioctl_run, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_IMMEDIATE_EXIT),
);

/// Runs a guest that never leaves until a signal ends it, and says how far it had counted by then.
fn ends_a_busy_guest(stage: &Stage, counter: &Arc<Memory>) -> Result<u8, Stop> {
    let blocked = Blocked::new(libc::SIGUSR1)?;
    let sender = blocked.sender();
    let count = |counter: &Memory| -> Result<u8, Stop> { Ok(counter.read(0, 1)?[0]) };
    let (before, watched) = (count(counter)?, Arc::clone(counter));
    let watcher = std::thread::spawn(move || {
        // Until the guest runs; the claim's own clock ends the wait for a guest that does not.
        while count(&watched)? == before {
            spin_loop();
        }
        sender.send()
    });
    let left = stage.masked(|| stage.attempt())?;
    let sent =
        watcher.join().map_err(|_| Stop::HostFault(HostFault("the watching thread panicked".into())))?;
    sent?;
    equal(left, (Some(EINTR), Exit::Intr))?;
    count(counter)
}

fn never_leaving(mode: InMode, flags: u64) -> Outcome {
    let mut stage = Stage::of(mode.0, |a| {
        let mut again = a.create_label();
        a.set_label(&mut again)?;
        match mode.0 {
            Mode::Real => a.inc(byte_ptr(0).es())?,
            _ => a.inc(byte_ptr(ptr(COUNTER)))?,
        }
        a.jmp(again)
    })?;
    let counter = Arc::new(Memory::new(0x1000)?);
    stage.vm.set_memory(1, 0, COUNTER, &counter)?;
    stage.enter_under(|sregs| {
        if mode.0 == Mode::Real {
            (sregs.es.base, sregs.es.selector) = (COUNTER, 0);
        }
    })?;
    stage.enter_with(|regs| regs.rflags |= flags)?;
    for _ in 0..2 {
        ends_a_busy_guest(&stage, &counter)?;
        let rip = stage.registers()?.rip;
        holds(rip == stage.at(0) || rip == stage.at(1), "the guest stands at one of its two instructions")?;
    }
    Ok(())
}

fn ends_what_never_leaves(mode: InMode) -> Outcome {
    never_leaving(mode, IF)
}
claim!(
    ends_what_never_leaves,
    "A signal that comes while a guest runs ends KVM_RUN with EINTR and KVM_EXIT_INTR, and the guest can go on after it",
    [Api(INTR), Api(MASK)],
);

fn ends_what_lets_no_interrupt_in(mode: InMode) -> Outcome {
    never_leaving(mode, 0)
}
claim!(
    ends_what_lets_no_interrupt_in,
    "A signal that comes while a guest runs with IF clear ends KVM_RUN with EINTR and KVM_EXIT_INTR as well",
    [
        Api(INTR),
        Manual("Intel SDM volume 3, 27.6.1 Pin-Based VM-Execution Controls, external-interrupt exiting")
    ],
    // Bochs looks whether IF masks interrupts before it takes itself for a guest, and then no interrupt leaves one with IF clear.
    Not(&Emulator("Bochs")),
);

fn ends_the_wait_for_init() -> Outcome {
    let stage = Stage::within(Controllers::Kernel.vm()?, Mode::Real, |a| a.hlt())?;
    let state = abi::kvm_mp_state { mp_state: abi::KVM_MP_STATE_UNINITIALIZED };
    stage.vcpu.write(KVM_SET_MP_STATE, &state)?;
    let left = stage.during(Interruption::Signal, || stage.attempt())?;
    equal(left, (Some(EINTR), Exit::Intr))?;
    stage.stands(0, |_| ())
}
claim!(
    ends_the_wait_for_init,
    "A signal ends the KVM_RUN of a vCPU that waits for INIT with EINTR and KVM_EXIT_INTR",
    [Api(INTR), Code("kvm_arch_vcpu_ioctl_run, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_IRQCHIP),
);

/// A signal that is pending before the guest runs: the exit comes with it, and the guest goes on without it.
pub(super) fn signalled() -> Result<Provoked, Stop> {
    let stage = Stage::of(Mode::Long, |a| {
        a.nop()?;
        a.hlt()
    })?;
    let at = stage.before(0);
    Ok(Provoked {
        at,
        completed: at,
        under_signal: true,
        errno: Some(EINTR),
        ..Provoked::of(stage, Exit::Intr)
    })
}
