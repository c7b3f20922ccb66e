//! What holds at every exit, whatever provoked it: properties over provocations.

use guests::Registers;
use harness::kvm::{Descriptor, EINTR, Errno, Exit, KVM_GET_VCPU_EVENTS, abi};
use harness::{Outcome, Stop, equal};

use super::stage::{Ending, Interruption, Stage};

/// A guest about to exit, and what should be seen of it.
pub(crate) struct Provoked {
    /// The guest.
    pub(crate) stage: Stage,
    /// What KVM_RUN fails with; most exits have it succeed.
    pub(crate) errno: Option<Errno>,
    /// The exit.
    pub(crate) exit: Exit,
    /// The registers at the exit.
    pub(crate) at: Registers,
    /// What the host answers.
    pub(crate) reply: Reply,
    /// The registers once the next KVM_RUN has completed the exit, before any further instruction.
    pub(crate) completed: Registers,
    /// Whether a signal waits while KVM_RUN comes to the exit.
    pub(crate) under_signal: bool,
    /// Whether the next KVM_RUN gives the exit again, before it looks at signals.
    pub(crate) insists: bool,
    /// How the guest goes on after that; none where it cannot.
    pub(crate) end: Option<(Exit, Ending)>,
}

/// What a host answers to an exit.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Nothing.
    Nothing,
    /// What the guest reads.
    Bytes(Vec<u8>),
    /// What a hypercall returns, or an MSR holds.
    Answer(u64),
    /// Something of its own.
    Act(fn(&Stage) -> Outcome),
}

impl Provoked {
    /// A guest that stands behind its first instruction at the exit and needs nothing to go on to HLT, its last.
    pub(crate) fn of(stage: Stage, exit: Exit) -> Self {
        let (at, end) = (stage.before(1), stage.untouched(usize::MAX));
        Self {
            stage,
            errno: None,
            exit,
            at,
            reply: Reply::Nothing,
            completed: at,
            under_signal: false,
            insists: false,
            end: Some((Exit::Hlt, end)),
        }
    }

    /// Runs to the exit, which is as it should be.
    #[track_caller]
    fn exits(&self) -> Outcome {
        equal(self.attempt()?, (self.errno, self.exit.clone()))
    }

    fn attempt(&self) -> Result<(Option<Errno>, Exit), Stop> {
        let (errno, exit) = if self.under_signal {
            self.stage.during(Interruption::Signal, || self.stage.attempt())?
        } else {
            self.stage.attempt()?
        };
        Ok((errno, settled(exit)))
    }

    #[track_caller]
    fn answers(&self) -> Outcome {
        match &self.reply {
            Reply::Nothing => Ok(()),
            Reply::Bytes(bytes) => self.stage.reply(&self.exit, bytes),
            Reply::Answer(value) => self.stage.answer(&self.exit, *value),
            Reply::Act(act) => act(&self.stage),
        }
    }

    #[track_caller]
    fn goes_on(&self) -> Outcome {
        let Some((exit, end)) = &self.end else { return Ok(()) };
        let errno = self.errno.filter(|_| *exit == self.exit);
        equal(self.stage.attempt()?, (errno, exit.clone()))?;
        self.stage.left(end)
    }
}

/// The exit without what a processor may set in DR6 at a step: whether a breakpoint that is not enabled would have matched.
fn settled(exit: Exit) -> Exit {
    const STEP: u64 = 1 << 14;
    match exit {
        Exit::Debug { exception, pc, dr6, dr7 } if dr6 & STEP != 0 => {
            Exit::Debug { exception, pc, dr6: dr6 & !0xf, dr7 }
        }
        other => other,
    }
}

/// The registers without RF, which says of the instruction at RIP that it raises no breakpoint when it is begun anew. KVM sets it
/// when it prepares a fault to be delivered, and leaves it set where a signal comes in between.
fn without_rf(registers: Registers) -> Registers {
    Registers { rflags: registers.rflags & !(1 << 16), ..registers }
}

/// The exit has every field as it should, the registers stand as they should, and the guest goes on as it should.
pub(crate) fn leaves(provoked: Provoked) -> Outcome {
    let page = provoked.stage.page()?;
    page.put_flags(0xffff);
    provoked.exits()?;
    equal(page.flags(), 0)?;
    provoked.stage.holds_registers(provoked.at)?;
    provoked.answers()?;
    provoked.goes_on()
}

/// What interrupts the next KVM_RUN lets it complete the exit, and nothing more.
pub(crate) fn is_completed(provoked: Provoked, how: Interruption) -> Outcome {
    let stage = &provoked.stage;
    provoked.exits()?;
    provoked.answers()?;
    for _ in 0..2 {
        if provoked.insists && how == Interruption::Signal {
            stage.during(how, || provoked.exits())?;
        } else {
            stage.interrupt(how)?;
        }
        equal(without_rf(stage.registers()?), without_rf(provoked.completed))?;
    }
    provoked.goes_on()
}

/// A signal is an exit of its own, and `immediate_exit` is none.
pub(crate) fn is_told_apart(provoked: Provoked) -> Outcome {
    provoked.exits()?;
    provoked.answers()?;
    let reason = provoked.stage.page()?.reason();
    provoked.stage.interrupt(Interruption::ImmediateExit)?;
    equal(provoked.stage.page()?.reason(), reason)?;
    if !provoked.insists {
        let left = provoked.stage.during(Interruption::Signal, || provoked.stage.attempt())?;
        equal(left, (Some(EINTR), Exit::Intr))?;
    }
    provoked.goes_on()
}

/// The padding of segments, which the two ways of asking fill differently, and what is no register.
fn bare(mut sregs: abi::kvm_sregs) -> abi::kvm_sregs {
    for segment in [
        &mut sregs.cs,
        &mut sregs.ds,
        &mut sregs.es,
        &mut sregs.fs,
        &mut sregs.gs,
        &mut sregs.ss,
        &mut sregs.tr,
        &mut sregs.ldt,
    ] {
        segment.padding = 0;
    }
    (sregs.gdt.padding, sregs.idt.padding) = ([0; 3], [0; 3]);
    sregs.interrupt_bitmap = [0; 4];
    sregs
}

/// What KVM_CAP_SYNC_REGS shows is what the ioctls say.
pub(crate) fn shows_registers(provoked: Provoked) -> Outcome {
    let page = provoked.stage.page()?;
    page.put_valid_regs(abi::KVM_SYNC_X86_VALID_FIELDS.into());
    provoked.exits()?;
    let vcpu = &provoked.stage.vcpu;
    equal(page.regs(), vcpu.get_regs()?)?;
    equal(bare(page.sregs()), bare(vcpu.get_sregs()?))?;
    let said: abi::kvm_vcpu_events = vcpu.read(KVM_GET_VCPU_EVENTS)?;
    let mut shown = page.events();
    // Valid with a flag alone, without which kernels leave it as it was.
    shown.triple_fault = said.triple_fault;
    equal(shown, said)
}

/// The fields that every exit has are what the registers say.
pub(crate) fn has_a_true_page(provoked: Provoked) -> Outcome {
    let page = provoked.stage.page()?;
    page.put_if_flag(0xff);
    page.put_apic_base(u64::MAX);
    provoked.exits()?;
    let (regs, sregs) = (provoked.stage.registers()?, provoked.stage.vcpu.get_sregs()?);
    equal(u64::from(page.if_flag()), regs.rflags >> 9 & 1)?;
    equal((page.cr8(), page.apic_base()), (sregs.cr8, sregs.apic_base))
}

/// Everything that a guest and its exit show.
#[derive(Clone, PartialEq, Debug)]
struct Shown {
    exit: (Option<Errno>, Exit),
    registers: Registers,
    sregs: abi::kvm_sregs,
    events: abi::kvm_vcpu_events,
}

fn shown(provoked: &Provoked) -> Result<Shown, Stop> {
    Ok(Shown {
        exit: provoked.attempt()?,
        registers: provoked.stage.registers()?,
        sregs: provoked.stage.vcpu.get_sregs()?,
        events: provoked.stage.vcpu.read(KVM_GET_VCPU_EVENTS)?,
    })
}

/// A second VM shows the same.
pub(crate) fn is_repeatable(provoke: impl Fn() -> Result<Provoked, Stop>) -> Outcome {
    let first = shown(&provoke()?)?;
    let second = shown(&provoke()?)?;
    equal(second, first)
}

/// Makes a claim of each property, for each provocation that is named: the module's name, what the guest does, and the function
/// that sets it up.
macro_rules! provoked {
    ($($name:ident, $what:literal, $source:literal, $provoke:path $(, $need:expr)*;)+) => {
        $(
            mod $name {
                use harness::Outcome;

                use super::super::{provoked, stage::Interruption};

                fn leaves() -> Outcome {
                    provoked::leaves($provoke()?)
                }
                harness::claim!(
                    leaves,
                    concat!($what, " leaves an exit with its fields, the registers of the moment and no flags, and goes on"),
                    [Api($source)]
                    $(, $need)*
                );

                fn immediate_exit_completes_it() -> Outcome {
                    provoked::is_completed($provoke()?, Interruption::ImmediateExit)
                }
                harness::claim!(
                    immediate_exit_completes_it,
                    concat!("After ", $what, ", KVM_RUN with immediate_exit completes the exit and runs no instruction"),
                    [Api("5. The kvm_run structure")],
                    Has(harness::kvm::KVM_CAP_IMMEDIATE_EXIT)
                    $(, $need)*
                );

                fn a_signal_completes_it() -> Outcome {
                    provoked::is_completed($provoke()?, Interruption::Signal)
                }
                harness::claim!(
                    a_signal_completes_it,
                    concat!("After ", $what, ", KVM_RUN with a signal pending completes the exit and runs no instruction"),
                    [Api("4.10 KVM_RUN"), Api("4.21 KVM_SET_SIGNAL_MASK")]
                    $(, $need)*
                );

                fn a_signal_is_an_exit() -> Outcome {
                    provoked::is_told_apart($provoke()?)
                }
                harness::claim!(
                    a_signal_is_an_exit,
                    concat!("After ", $what, ", a signal gives KVM_EXIT_INTR, and immediate_exit leaves the reason alone"),
                    [Api("5. The kvm_run structure"), Code("kvm_arch_vcpu_ioctl_run, arch/x86/kvm/x86.c")],
                    Has(harness::kvm::KVM_CAP_IMMEDIATE_EXIT)
                    $(, $need)*
                );

                fn registers_are_shown() -> Outcome {
                    provoked::shows_registers($provoke()?)
                }
                harness::claim!(
                    registers_are_shown,
                    concat!("At the exit of ", $what, ", KVM_CAP_SYNC_REGS shows what KVM_GET_REGS, KVM_GET_SREGS and KVM_GET_VCPU_EVENTS say"),
                    [Api("6.74 KVM_CAP_SYNC_REGS")],
                    AtLeast(harness::kvm::KVM_CAP_SYNC_REGS, 7)
                    $(, $need)*
                );

                fn run_page_is_true() -> Outcome {
                    provoked::has_a_true_page($provoke()?)
                }
                harness::claim!(
                    run_page_is_true,
                    concat!("At the exit of ", $what, ", the run page's if_flag, cr8 and apic_base are what the registers say"),
                    [Api("5. The kvm_run structure")]
                    $(, $need)*
                );

                fn is_repeatable() -> Outcome {
                    provoked::is_repeatable($provoke)
                }
                harness::claim!(
                    is_repeatable,
                    concat!("In a second VM, ", $what, " leaves the same exit and the same state"),
                    [Api($source)]
                    $(, $need)*
                );
            }
        )+
    };
}
