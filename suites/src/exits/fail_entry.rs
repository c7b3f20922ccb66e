//! KVM_EXIT_FAIL_ENTRY: the processor refused the state that the host gave the vCPU.

use guests::Mode;
use harness::kvm::{Exit, KVM_CAP_LAST_CPU};
use harness::{Broken, HostFault, Outcome, Stop, claim, each, equal, holds};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::provoked::Provoked;
use super::stage::{Ending, Stage};

/// The heading that all of this rests on.
const FAIL_ENTRY: &str = "5. The kvm_run structure, KVM_EXIT_FAIL_ENTRY";
/// VMEXIT_INVALID, in as many bits as every kernel shows.
const VMEXIT_INVALID: u64 = 0xffff_ffff;

/// A guest in long mode whose code segment is both 64 and 32 bits wide, which KVM_SET_SREGS takes and no processor does.
fn invalid() -> Result<Stage, Stop> {
    let stage = Stage::of(Mode::Long, |a| {
        a.nop()?;
        a.hlt()
    })?;
    stage.enter_under(|sregs| sregs.cs.db = 1)?;
    Ok(stage)
}

/// The processor's reason and the processor, of an exit that is KVM_EXIT_FAIL_ENTRY.
#[track_caller]
fn failed(exit: &Exit) -> Result<(u64, u32), Stop> {
    match exit {
        Exit::FailEntry { reason, cpu } => Ok((*reason, *cpu)),
        other => Err(Broken::new(format!("expected KVM_EXIT_FAIL_ENTRY, saw {other:x?}"))
            .comparing("KVM_EXIT_FAIL_ENTRY", format!("{other:?}"))
            .into()),
    }
}

fn tells_the_processors_reason() -> Outcome {
    let stage = invalid()?;
    let (reason, _) = failed(&stage.run()?)?;
    equal(reason & VMEXIT_INVALID, VMEXIT_INVALID)
}
claim!(
    tells_the_processors_reason,
    "AMD's KVM_EXIT_FAIL_ENTRY has VMEXIT_INVALID as its reason",
    [
        Api(FAIL_ENTRY),
        Manual("AMD APM volume 2, 15.5.1 Basic Operation, Canonicalization and Consistency Checks")
    ],
    Amd,
);

fn tells_the_processor() -> Outcome {
    let allowed = sched_getaffinity(None).map_err(|errno| fault(&errno))?;
    let processors: Vec<_> = (0..CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu)).collect();
    let outcome = each(&processors, |&&processor| {
        let mut only = CpuSet::new();
        only.set(processor);
        sched_setaffinity(None, &only).map_err(|errno| fault(&errno))?;
        let (_, cpu) = failed(&invalid()?.run()?)?;
        equal(usize::try_from(cpu), Ok(processor))
    });
    sched_setaffinity(None, &allowed).map_err(|errno| fault(&errno))?;
    outcome
}
claim!(
    tells_the_processor,
    "KVM_EXIT_FAIL_ENTRY names the processor that the vCPU should have run on",
    [Api(FAIL_ENTRY)],
    Amd,
    Has(KVM_CAP_LAST_CPU),
);

fn runs_nothing() -> Outcome {
    let stage = invalid()?;
    failed(&stage.run()?)?;
    let seen = stage.registers()?;
    holds(seen == stage.before(0), "the general registers are those that the vCPU should have run with")
}
claim!(
    runs_nothing,
    "At KVM_EXIT_FAIL_ENTRY the general registers, RIP and RFLAGS are those that the host had set",
    [
        Api(FAIL_ENTRY),
        Manual("AMD APM volume 2, 15.5.1 Basic Operation, Canonicalization and Consistency Checks")
    ],
    Amd,
);

fn fails_again_until_repaired(times: u8) -> Outcome {
    let mut stage = invalid()?;
    let first = stage.run()?;
    failed(&first)?;
    for _ in 0..times % 4 {
        failed(&stage.run()?)?;
    }
    stage.enter_under(|sregs| sregs.cs.db = 0)?;
    stage.enter_with(|_| ())?;
    equal(stage.run()?, Exit::Hlt)?;
    stage.ended(|_| ())
}
claim!(
    fails_again_until_repaired,
    "A vCPU that failed to enter fails again while its state is the same, and runs once the state is repaired",
    [Api(FAIL_ENTRY)],
    Amd,
);

fn keeps_its_state() -> Outcome {
    let stage = invalid()?;
    let before = stage.vcpu.get_sregs()?;
    failed(&stage.run()?)?;
    let after = stage.vcpu.get_sregs()?;
    equal(
        (after.cs.db, after.cs.l, after.cr0, after.cr3, after.cr4, after.efer),
        (1, 1, before.cr0, before.cr3, before.cr4, before.efer),
    )
}
claim!(
    keeps_its_state,
    "At KVM_EXIT_FAIL_ENTRY the special registers are those that were refused",
    [Api(FAIL_ENTRY)],
    Amd,
);

fn valid_state_is_entered(field: u8) -> Outcome {
    // Either of the two bits alone is a state that processors take.
    let stage = Stage::of(Mode::Long, |a| a.hlt())?;
    stage.enter_under(|sregs| {
        if field.is_multiple_of(2) {
            (sregs.cs.db, sregs.cs.l) = (1, 0);
        }
    })?;
    equal(stage.run()?, Exit::Hlt)?;
    stage.ended(|_| ())
}
claim!(
    valid_state_is_entered,
    "A code segment that is 64 or 32 bits wide, but not both, leaves no KVM_EXIT_FAIL_ENTRY",
    [Api(FAIL_ENTRY)],
);

fn intel_tells_the_entry_failure() -> Outcome {
    let stage = invalid()?;
    let exit = stage.run()?;
    if matches!(exit, Exit::InternalError { .. }) {
        return Err(Stop::Skip("this KVM emulates invalid guest state and does not try to enter it".into()));
    }
    let (reason, _) = failed(&exit)?;
    holds(reason == 0x8000_0021 || reason == 7, format_args!("{reason:#x} is an entry failure"))
}
claim!(
    intel_tells_the_entry_failure,
    "Intel's KVM_EXIT_FAIL_ENTRY has the exit reason of an invalid guest state, or the error of the instruction",
    [
        Api(FAIL_ENTRY),
        Manual("Intel SDM volume 3, 27.8 VM-entry Failures During or After Loading Guest State")
    ],
    Intel,
);

fn fault(errno: &rustix::io::Errno) -> Stop {
    Stop::HostFault(HostFault(format!("cannot choose a processor: {errno}")))
}

/// A state that the processor refuses, again and again, on one processor.
pub(super) fn refused() -> Result<Provoked, Stop> {
    let (stage, other) = (invalid()?, invalid()?);
    // What the registers are then is a claim of its own; here they are only the same at every exit.
    let exit = other.run()?;
    let at = other.registers()?;
    let mut only = CpuSet::new();
    only.set(failed(&exit)?.1 as usize);
    sched_setaffinity(None, &only).map_err(|errno| fault(&errno))?;
    let end = (exit.clone(), Ending { regs: at, ..stage.untouched(0) });
    Ok(Provoked { at, completed: at, end: Some(end), ..Provoked::of(stage, exit) })
}
