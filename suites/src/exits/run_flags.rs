//! The flags that any exit may come with: whether the vCPU is in SMM, or runs a guest of its own guest.

use guests::iced_x86::code_asm::al;
use guests::{Mode, SCRATCH};
use harness::kvm::{
    Descriptor, Exit, KVM_CAP_NESTED_STATE, KVM_CAP_X86_GUEST_MODE, KVM_CAP_X86_SMM, KVM_SMI, abi,
};
use harness::{Outcome, Stop, claim, equal};

use super::generated::InMode;
use super::msr;
use super::stage::{END, Stage, out};

/// The heading that all of this rests on.
const FLAGS: &str = "5. The kvm_run structure, flags";
/// IA32_SMBASE.
const SMBASE: u32 = 0x9e;
/// Where SMM begins, behind its base.
const SMM_ENTRY: u64 = 0x8000;
/// Where the first guest lays its guest's state, and where that one begins.
const VMCB: u64 = 0xa000;
const INNER: u64 = SCRATCH;

fn smm_is_told(mode: InMode) -> Outcome {
    let mut stage = Stage::of(mode.0, |a| {
        a.nop()?;
        a.hlt()
    })?;
    // hlt; rsm
    stage.lay(SMM_ENTRY, &[0xf4, 0x0f, 0xaa])?;
    stage.show_in_smm()?;
    msr::set(&stage.vcpu, SMBASE, 0)?;
    stage.vcpu.value(KVM_SMI, 0)?;
    equal(stage.run()?, Exit::Hlt)?;
    equal(u32::from(stage.page()?.flags()), abi::KVM_RUN_X86_SMM)?;
    equal(stage.registers()?.rip, SMM_ENTRY + 1)?;
    equal(stage.run()?, Exit::Hlt)?;
    equal(stage.page()?.flags(), 0)?;
    equal(stage.registers()?, stage.before(usize::MAX))
}
claim!(
    smm_is_told,
    "An exit in SMM has KVM_RUN_X86_SMM in the run page's flags, and the next one after RSM has not",
    [Api(FLAGS), Api("4.96 KVM_SMI")],
    Has(KVM_CAP_X86_SMM),
);

/// What a processor of AMD's keeps of a guest, with this guest's state and the code at [`INNER`].
fn vmcb(stage: &Stage) -> Result<Vec<u8>, Stop> {
    let sregs = stage.vcpu.get_sregs()?;
    let mut block = vec![0; 0x1000];
    let mut lay = |at: usize, value: u64, length: usize| {
        block[at..at + length].copy_from_slice(&value.to_le_bytes()[..length]);
    };
    // Intercept VMRUN, as every guest must, and VMMCALL and HLT; address space 1.
    lay(0x0c, 1 << 24, 4);
    lay(0x10, 0b11, 4);
    lay(0x58, 1, 4);
    let segments = [&sregs.es, &sregs.cs, &sregs.ss, &sregs.ds, &sregs.fs, &sregs.gs];
    for (at, segment) in (0x400..).step_by(16).zip(segments) {
        let attributes = u64::from(segment.type_)
            | u64::from(segment.s) << 4
            | u64::from(segment.dpl) << 5
            | u64::from(segment.present) << 7
            | u64::from(segment.l) << 9
            | u64::from(segment.db) << 10
            | u64::from(segment.g) << 11;
        lay(at, segment.selector.into(), 2);
        lay(at + 2, attributes, 2);
        lay(at + 4, segment.limit.into(), 4);
        lay(at + 8, segment.base, 8);
    }
    for (at, table) in [(0x460, sregs.gdt), (0x480, sregs.idt)] {
        lay(at + 4, table.limit.into(), 4);
        lay(at + 8, table.base, 8);
    }
    lay(0x490, sregs.tr.selector.into(), 2);
    lay(0x492, 0x8b, 2);
    lay(0x494, sregs.tr.limit.into(), 4);
    lay(0x498, sregs.tr.base, 8);
    let registers = [
        (0x4d0, sregs.efer),
        (0x548, sregs.cr4),
        (0x550, sregs.cr3),
        (0x558, sregs.cr0),
        (0x560, 0x400),
        (0x568, 0xffff_0ff0),
        (0x570, 2),
        (0x578, INNER),
        (0x5d8, guests::STACK),
        (0x668, 0x0007_0406_0007_0406),
    ];
    for (at, value) in registers {
        lay(at, value, 8);
    }
    Ok(block)
}

fn guest_mode_is_told() -> Outcome {
    const EFER_SVME: u64 = 1 << 12;
    let mut stage = Stage::of(Mode::Long, |a| {
        a.vmrun()?;
        a.out(u32::from(END), al)
    })?;
    stage.enter_under(|sregs| sregs.efer |= EFER_SVME)?;
    // out 0x80, al; hlt
    stage.lay(INNER, &[0xe6, 0x80, 0xf4])?;
    let block = vmcb(&stage)?;
    stage.lay(VMCB, &block)?;
    // VM_HSAVE_PA: a page for the processor.
    msr::set(&stage.vcpu, 0xc001_0117, VMCB + 0x1000)?;
    stage.enter_with(|regs| regs.rax = VMCB)?;
    equal(stage.run()?, out(0x80, &[0]))?;
    equal(u32::from(stage.page()?.flags()), abi::KVM_RUN_X86_GUEST_MODE)?;
    let exit = stage.run()?;
    equal(exit, out(END, &VMCB.to_le_bytes()[..1]))?;
    equal(stage.page()?.flags(), 0)
}
claim!(
    guest_mode_is_told,
    "An exit from a guest's guest has KVM_RUN_X86_GUEST_MODE in the run page's flags, and the next one from the guest has not",
    [Api(FLAGS), Api("7.36 KVM_CAP_X86_GUEST_MODE")],
    Amd,
    Has(KVM_CAP_X86_GUEST_MODE),
    Has(KVM_CAP_NESTED_STATE),
    Param("kvm_amd", "nested", "1"),
);
