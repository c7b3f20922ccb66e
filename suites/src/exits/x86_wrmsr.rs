//! KVM_EXIT_X86_WRMSR: the host takes what KVM would not.

use guests::Mode;
use harness::kvm::{Exit, KVM_CAP_X86_MSR_FILTER, KVM_CAP_X86_USER_SPACE_MSR, Kvm, MsrExit};
use harness::{Outcome, Stop, claim, equal};

use super::generated::InMode;
use super::msr::{EFER, FILTER, INVAL, MISC_ENABLE, UNKNOWN, deny, telling, unknown, writing};
use super::provoked::{Provoked, Reply};
use super::stage::{Stage, handler};

/// The headings that all of this rests on.
const WRMSR: &str = "5. The kvm_run structure, KVM_EXIT_X86_WRMSR";
const USER_SPACE_MSR: &str = "7.21 KVM_CAP_X86_USER_SPACE_MSR";

/// The exit of a write.
fn told(index: u32, reason: u32, data: u64) -> Exit {
    Exit::Wrmsr(MsrExit { error: 0, reason, index, data })
}

/// The host takes the write, and the guest goes on behind it.
fn goes_on(stage: &Stage) -> Outcome {
    stage.stands(0, |_| ())?;
    equal(stage.run()?, Exit::Hlt)?;
    stage.ended(|_| ())
}

fn unknown_msrs_are_told(mode: InMode, choice: u16, value: u64) -> Outcome {
    let stage = writing(telling(UNKNOWN)?, mode.0, unknown(choice), value)?;
    equal(stage.run()?, told(unknown(choice), UNKNOWN, value))?;
    goes_on(&stage)
}
claim!(
    unknown_msrs_are_told,
    "WRMSR of an MSR that KVM does not know leaves KVM_EXIT_X86_WRMSR with EDX:EAX, and goes on where the host lays no error",
    [Api(WRMSR), Api(USER_SPACE_MSR)],
    Has(KVM_CAP_X86_USER_SPACE_MSR),
);

fn refused_writes_are_faults(mode: InMode, choice: u16, error: u8) -> Outcome {
    let stage = writing(telling(UNKNOWN)?, mode.0, unknown(choice), 0)?;
    let exit = stage.run()?;
    equal(&exit, &told(unknown(choice), UNKNOWN, 0))?;
    stage.page()?.put_msr_error(&exit, error.max(1));
    equal(stage.run()?, Exit::Hlt)?;
    equal(stage.registers()?.rip, handler(13))
}
claim!(
    refused_writes_are_faults,
    "Any error but zero that the host lays at KVM_EXIT_X86_WRMSR gives the guest #GP",
    [Api(WRMSR)],
    Has(KVM_CAP_X86_USER_SPACE_MSR),
);

fn invalid_values_are_told(mode: InMode, bit: u8) -> Outcome {
    // Bits of EFER that no processor has.
    let value = 1 << (24 + bit % 40);
    let stage = writing(telling(INVAL)?, mode.0, EFER, value)?;
    let before = stage.vcpu.get_sregs()?.efer;
    equal(stage.run()?, told(EFER, INVAL, value))?;
    equal(stage.vcpu.get_sregs()?.efer, before)?;
    goes_on(&stage)?;
    equal(stage.vcpu.get_sregs()?.efer, before)
}
claim!(
    invalid_values_are_told,
    "WRMSR of a value that KVM refuses leaves KVM_EXIT_X86_WRMSR with KVM_MSR_EXIT_REASON_INVAL and the MSR as it was",
    [Api(WRMSR), Api(USER_SPACE_MSR)],
    Has(KVM_CAP_X86_USER_SPACE_MSR),
);

fn invalid_values_are_faults_unasked(mode: InMode, bit: u8) -> Outcome {
    let stage = writing(telling(UNKNOWN | FILTER)?, mode.0, EFER, 1 << (24 + bit % 40))?;
    equal(stage.run()?, Exit::Hlt)?;
    equal(stage.registers()?.rip, handler(13))
}
claim!(
    invalid_values_are_faults_unasked,
    "WRMSR of a value that KVM refuses gives the guest #GP and no exit where only other reasons are asked for",
    [Api(USER_SPACE_MSR)],
    Has(KVM_CAP_X86_USER_SPACE_MSR),
);

fn filtered_msrs_are_told(mode: InMode, value: u64) -> Outcome {
    let vm = telling(FILTER)?;
    deny(&vm, MISC_ENABLE)?;
    let stage = writing(vm, mode.0, MISC_ENABLE, value)?;
    equal(stage.run()?, told(MISC_ENABLE, FILTER, value))?;
    goes_on(&stage)
}
claim!(
    filtered_msrs_are_told,
    "WRMSR of an MSR that KVM_X86_SET_MSR_FILTER denies leaves KVM_EXIT_X86_WRMSR with KVM_MSR_EXIT_REASON_FILTER",
    [Api(WRMSR), Api("4.97 KVM_X86_SET_MSR_FILTER")],
    Has(KVM_CAP_X86_USER_SPACE_MSR),
    Has(KVM_CAP_X86_MSR_FILTER),
);

fn nothing_is_told_unasked(mode: InMode, choice: u16) -> Outcome {
    let stage = writing(Kvm::open()?.create_vm(0)?, mode.0, unknown(choice), 0)?;
    equal(stage.run()?, Exit::Hlt)?;
    equal(stage.registers()?.rip, handler(13))
}
claim!(
    nothing_is_told_unasked,
    "Without KVM_CAP_X86_USER_SPACE_MSR, WRMSR of an unknown MSR gives the guest #GP and no exit",
    [Api(USER_SPACE_MSR)],
);

/// A write that KVM refuses and the host takes.
pub(super) fn invalid() -> Result<Provoked, Stop> {
    let stage = writing(telling(INVAL)?, Mode::Long, EFER, 1 << 40)?;
    let at = stage.before(0);
    Ok(Provoked { at, ..Provoked::of(stage, told(EFER, INVAL, 1 << 40)) })
}

/// A write of an unknown MSR that the host refuses: the guest's next instruction is the handler's.
pub(super) fn refused() -> Result<Provoked, Stop> {
    let stage = writing(telling(UNKNOWN)?, Mode::Real, unknown(9), 0x1234)?;
    let at = stage.before(0);
    let mut end = stage.untouched(0);
    // FLAGS, CS and IP, which is that of the instruction: #GP is a fault, and real mode pushes no error code.
    end.wrote(0x7ffa, &[0x00, 0x10, 0x00, 0x00, 0x02, 0x00]);
    (end.regs.rip, end.regs.rsp) = (handler(13), 0x7ffa);
    let exit = told(unknown(9), UNKNOWN, 0x1234);
    Ok(Provoked {
        at,
        completed: at,
        reply: Reply::Act(|stage| {
            stage.page()?.put_msr_error(&told(0, 0, 0), 1);
            Ok(())
        }),
        end: Some((Exit::Hlt, end)),
        ..Provoked::of(stage, exit)
    })
}
