//! KVM_EXIT_TPR_ACCESS: an access to the task-priority register of an in-kernel local APIC, where KVM_TPR_ACCESS_REPORTING asked
//! for it. The documentation has it "to be documented": what is here rests on the source.

use guests::Mode;
use guests::iced_x86::IcedError;
use guests::iced_x86::code_asm::{CodeAssembler, al, dword_ptr, eax};
use harness::kvm::{
    Descriptor, Exit, KVM_CAP_IRQCHIP, KVM_CAP_VAPIC, KVM_GET_LAPIC, KVM_TPR_ACCESS_REPORTING, abi,
};
use harness::{Controllers, Outcome, Stop, claim, each, equal};

use super::provoked::Provoked;
use super::stage::{END, Stage, out};

/// What all of this rests on.
const REPORT: &str = "__report_tpr_access, arch/x86/kvm/lapic.c; vcpu_enter_guest, arch/x86/kvm/x86.c";
/// Where a local APIC has its task-priority register.
const TPR: u64 = 0xfee0_0080;
/// Where a local APIC has its identifier.
const ID: u64 = 0xfee0_0020;
/// The modes that reach it with one address.
const FLAT: [Mode; 2] = [Mode::Protected, Mode::Long];

/// A guest in a VM with this interrupt controller, whose accesses are reported or not.
fn reporting(
    controllers: Controllers,
    mode: Mode,
    enabled: u32,
    write: impl FnOnce(&mut CodeAssembler) -> Result<(), IcedError>,
) -> Result<Stage, Stop> {
    let stage = Stage::within(controllers.vm()?, mode, |a| {
        write(a)?;
        a.out(u32::from(END), al)
    })?;
    let mut control = abi::kvm_tpr_access_ctl { enabled, ..Default::default() };
    stage.vcpu.update(KVM_TPR_ACCESS_REPORTING, &mut control)?;
    Ok(stage)
}

/// The task priority as KVM_GET_LAPIC says it.
fn priority(stage: &Stage) -> Result<u32, Stop> {
    let lapic: abi::kvm_lapic_state = stage.vcpu.read(KVM_GET_LAPIC)?;
    let bytes: [u8; 4] = std::array::from_fn(|at| lapic.regs[0x80 + at].cast_unsigned());
    Ok(u32::from_le_bytes(bytes))
}

fn writes_are_told(value: u8) -> Outcome {
    each(FLAT, |&mode| {
        let mut stage = reporting(Controllers::Kernel, mode, 1, |a| a.mov(dword_ptr(TPR), eax))?;
        stage.enter_with(|regs| regs.rax = value.into())?;
        equal(stage.run()?, Exit::TprAccess { rip: stage.at(0), is_write: 1 })?;
        stage.stands(1, |_| ())?;
        equal(priority(&stage)?, value.into())?;
        equal(stage.page()?.cr8(), u64::from(value) >> 4)?;
        equal(stage.run()?, out(END, &[value]))
    })
}
claim!(
    writes_are_told,
    "A reported write to the TPR leaves KVM_EXIT_TPR_ACCESS with the instruction's RIP, done, with RIP behind it",
    [Code(REPORT)],
    Has(KVM_CAP_IRQCHIP),
    Has(KVM_CAP_VAPIC),
);

fn reads_are_told(value: u8) -> Outcome {
    each(FLAT, |&mode| {
        let stage = reporting(Controllers::Kernel, mode, 1, |a| a.mov(eax, dword_ptr(TPR)))?;
        stage.enter_under(|sregs| sregs.cr8 = u64::from(value % 16))?;
        equal(stage.run()?, Exit::TprAccess { rip: stage.at(0), is_write: 0 })?;
        stage.stands(1, |regs| regs.rax = u64::from(value % 16) << 4)?;
        equal(stage.run()?, out(END, &[(value % 16) << 4]))
    })
}
claim!(
    reads_are_told,
    "A reported read of the TPR leaves KVM_EXIT_TPR_ACCESS with is_write 0 once the register holds the priority",
    [Code(REPORT)],
    Has(KVM_CAP_IRQCHIP),
    Has(KVM_CAP_VAPIC),
);

fn a_split_irqchip_tells_too() -> Outcome {
    let stage = reporting(Controllers::Split, Mode::Long, 1, |a| a.mov(dword_ptr(TPR), eax))?;
    equal(stage.run()?, Exit::TprAccess { rip: stage.at(0), is_write: 1 })?;
    equal(stage.run()?, out(END, &[0]))
}
claim!(
    a_split_irqchip_tells_too,
    "A split irqchip's local APIC leaves KVM_EXIT_TPR_ACCESS like any other in-kernel one",
    [Code(REPORT)],
    Has(harness::kvm::KVM_CAP_SPLIT_IRQCHIP),
    Has(KVM_CAP_VAPIC),
);

fn nothing_is_told_unasked() -> Outcome {
    each(FLAT, |&mode| {
        let stage = reporting(Controllers::Kernel, mode, 0, |a| {
            a.mov(dword_ptr(TPR), eax)?;
            a.mov(eax, dword_ptr(TPR))
        })?;
        equal(stage.run()?, out(END, &[0]))
    })
}
claim!(
    nothing_is_told_unasked,
    "With KVM_TPR_ACCESS_REPORTING off, accesses to the TPR do not leave the guest",
    [Code(REPORT)],
    Has(KVM_CAP_IRQCHIP),
    Has(KVM_CAP_VAPIC),
);

fn other_registers_are_not_told() -> Outcome {
    let stage = reporting(Controllers::Kernel, Mode::Long, 1, |a| {
        a.mov(eax, dword_ptr(ID))?;
        a.mov(dword_ptr(ID + 0xc0), eax)?;
        a.mov(guests::iced_x86::code_asm::cr8, guests::iced_x86::code_asm::rax)
    })?;
    equal(stage.run()?, out(END, &[0]))
}
claim!(
    other_registers_are_not_told,
    "With KVM_TPR_ACCESS_REPORTING on, accesses to other registers of the local APIC and to CR8 do not leave the guest",
    [Code(REPORT)],
    Has(KVM_CAP_IRQCHIP),
    Has(KVM_CAP_VAPIC),
);

/// A read or a write, and behind it the end.
fn accessed(is_write: u32) -> Result<Provoked, Stop> {
    let stage = reporting(Controllers::Kernel, Mode::Long, 1, |a| match is_write {
        0 => a.mov(eax, dword_ptr(TPR)),
        _ => a.mov(dword_ptr(TPR), eax),
    })?;
    let rip = stage.at(0);
    let end = (out(END, &[0]), stage.untouched(1));
    Ok(Provoked { end: Some(end), ..Provoked::of(stage, Exit::TprAccess { rip, is_write }) })
}

/// A write of the task priority.
pub(super) fn write() -> Result<Provoked, Stop> {
    accessed(1)
}

/// A read of the task priority.
pub(super) fn read() -> Result<Provoked, Stop> {
    accessed(0)
}
