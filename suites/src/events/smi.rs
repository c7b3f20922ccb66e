//! KVM_SMI and system management mode: api.rst 4.96; AMD APM volume 2, 10 "System-Management Mode". KVM lays the state that SMM saves as
//! AMD's processors do.

use std::ops::Range;

use guests::Mode;
use harness::kvm::{
    Descriptor, ENOTTY, Exit, KVM_CAP_SPLIT_IRQCHIP, KVM_CAP_X86_SMM, KVM_GET_DEBUGREGS, KVM_NMI,
    KVM_SET_MP_STATE, KVM_SMI, Memory, Vcpu, abi,
};
use harness::{Controllers, Outcome, Stop, claim, equal, fails, unchanged};

use super::handled::{Before, Handled, IF, Step, idle};
use crate::exits::generated::{InMode, RealOrLong};
use crate::exits::msr;
use crate::exits::stage::{Interruption, out};

/// The headings that most of this rests on.
const SMI: &str = "4.96 KVM_SMI";
const SMM: &str = "AMD APM volume 2, 10.2.3 SMRAM State-Save Area";
/// IA32_SMBASE, and how many SMIs a vCPU took.
const SMBASE: u32 = 0x9e;
const SMI_COUNT: u32 = 0x34;
/// Where SMM begins, and where the state that it saves lies, both behind SMBASE.
const BEGIN: u64 = 0x8000;
const SAVED: Range<u64> = 0xfe00..0x1_0000;
/// Where some of that state lies.
const SAVED_RAX: u64 = 0xfff8;
const SAVED_RIP: u64 = 0xff78;
const SAVED_RFLAGS: u64 = 0xff70;
const SAVED_CR0: u64 = 0xff58;
const SAVED_CR3: u64 = 0xff50;
const SAVED_BASE: u64 = 0xff00;
const SAVED_REVISION: u64 = 0xfefc;
/// Where it can be moved to: the state lies behind the tables.
const MOVED: u64 = 0x2000;
/// The ports by which the code there tells that it runs.
const INSIDE: u16 = 0x80;
const MOVED_INSIDE: u16 = 0x82;
/// NMI's vector.
const NMI: u8 = 2;

/// A guest with code in SMM, which tells that it runs, spoils a register, and leaves.
fn guest(controllers: Controllers, mode: Mode) -> Result<Handled, Stop> {
    let guest = Handled::within(controllers.vm()?, mode, idle(3))?;
    let mut guest = guest.writing_to(SAVED).writing_to(SAVED.start + MOVED..SAVED.end + MOVED);
    // out INSIDE, al; mov bx, 0x1234; rsm
    guest.stage.lay(BEGIN, &[0xe6, 0x80, 0xbb, 0x34, 0x12, 0x0f, 0xaa])?;
    guest.stage.lay(MOVED + BEGIN, &[0xe6, 0x82, 0xbb, 0x34, 0x12, 0x0f, 0xaa])?;
    guest.stage.show_in_smm()?;
    msr::set(&guest.stage.vcpu, SMBASE, 0)?;
    Ok(guest)
}

fn smi(vcpu: &Vcpu) -> Outcome {
    Ok(vcpu.value(KVM_SMI, 0).map(drop)?)
}

/// The guest tells that it is in SMM, by this port.
#[track_caller]
fn tells(guest: &Handled, port: u16) -> Outcome {
    let low = guest.stage.image.entry.registers.rax.to_le_bytes()[0];
    equal(guest.step()?, Step::Leaves(out(port, &[low])))
}

fn smm_has_a_state_of_its_own(mode: InMode) -> Outcome {
    let guest = guest(Controllers::User, mode.0)?.entered_with(|regs| regs.rflags |= IF)?;
    let outside = guest.stage.vcpu.get_sregs()?;
    smi(&guest.stage.vcpu)?;
    tells(&guest, INSIDE)?;
    // Where RIP stands at the exit depends on whether KVM emulates the OUT; once that is complete, it is behind it.
    guest.stage.interrupt(Interruption::ImmediateExit)?;
    let (regs, sregs) = (guest.stage.registers()?, guest.stage.vcpu.get_sregs()?);
    equal((regs.rip, regs.rflags), (BEGIN + 2, 2))?;
    // PE, EM, TS and PG are clear.
    const CLEARED: u64 = 1 | 1 << 2 | 1 << 3 | 1 << 31;
    equal((sregs.cr0, sregs.cr4, sregs.efer), (outside.cr0 & !CLEARED, 0, 0))?;
    equal((sregs.cs.base, sregs.cs.selector, sregs.cs.limit), (0, 0, u32::MAX))?;
    equal((sregs.ds.base, sregs.ds.selector, sregs.ds.limit), (0, 0, u32::MAX))?;
    equal((sregs.idt.base, sregs.idt.limit), (0, 0))?;
    let debug: abi::kvm_debugregs = guest.stage.vcpu.read(KVM_GET_DEBUGREGS)?;
    equal(debug.dr7, 0x400)
}
claim!(
    smm_has_a_state_of_its_own,
    "SMM begins at SMBASE + 0x8000 in segments of 4 GiB, without protection, paging, interrupts and breakpoints",
    [Api(SMI), Manual("AMD APM volume 2, 10.3.2 SMM Operating-Environment")],
    Has(KVM_CAP_X86_SMM),
);

fn it_comes_back(mode: InMode, values: [u64; 4]) -> Outcome {
    let wide = if mode.0 == Mode::Long { u64::MAX } else { 0xffff_ffff };
    let guest = guest(Controllers::User, mode.0)?.entered_with(|regs| {
        (regs.rax, regs.rbx) = (values[0] & wide, values[1] & wide);
        (regs.rsi, regs.rbp) = (values[2] & wide, values[3] & wide);
        regs.rflags |= IF;
    })?;
    let outside = guest.stage.vcpu.get_sregs()?;
    smi(&guest.stage.vcpu)?;
    tells(&guest, INSIDE)?;
    guest.takes(&[])?;
    equal(guest.stage.vcpu.get_sregs()?, outside)
}
claim!(
    it_comes_back,
    "RSM gives the guest all registers back that it had at the SMI, general and special, whatever the mode was",
    [Api(SMI), Manual("AMD APM volume 2, 10.4 Leaving SMM")],
    Has(KVM_CAP_X86_SMM),
);

fn the_state_is_laid_as_amd_does(rax: u64, mode: RealOrLong) -> Outcome {
    let guest = guest(Controllers::User, mode.0)?.entered_with(|regs| regs.rax = rax)?;
    let sregs = guest.stage.vcpu.get_sregs()?;
    smi(&guest.stage.vcpu)?;
    tells(&guest, INSIDE)?;
    let long = |at: u64| -> Result<u64, Stop> {
        Ok(guest.stage.ram(at, 8)?.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    };
    equal((long(SAVED_RAX)?, long(SAVED_RIP)?, long(SAVED_RFLAGS)?), (rax, guest.stage.at(0), 2))?;
    equal((long(SAVED_CR0)?, long(SAVED_CR3)?), (sregs.cr0, sregs.cr3))?;
    equal((long(SAVED_BASE)? & 0xffff_ffff, long(SAVED_REVISION)? & 0xffff_ffff), (0, 0x0002_0064))
}
claim!(
    the_state_is_laid_as_amd_does,
    "The state that SMM saves of a vCPU with long mode lies where AMD's processors have it, with revision 0x20064",
    [Manual(SMM), Code("enter_smm_save_state_64, arch/x86/kvm/smm.c")],
    Has(KVM_CAP_X86_SMM),
);

fn what_smm_saved_can_be_changed(rax: u64) -> Outcome {
    let mut guest = guest(Controllers::User, Mode::Long)?;
    smi(&guest.stage.vcpu)?;
    tells(&guest, INSIDE)?;
    guest.stage.lay(SAVED_RAX, &rax.to_le_bytes())?;
    let behind = guest.stage.at(3);
    guest.stage.lay(SAVED_RIP, &behind.to_le_bytes())?;
    equal(guest.step()?, Step::Ends)?;
    guest.ended(|regs| regs.rax = rax)
}
claim!(
    what_smm_saved_can_be_changed,
    "RSM takes the registers from the saved state as they stand there then",
    [Manual("AMD APM volume 2, 10.4 Leaving SMM")],
    Has(KVM_CAP_X86_SMM),
);

fn smm_can_be_moved() -> Outcome {
    let mut guest = guest(Controllers::User, Mode::Long)?;
    smi(&guest.stage.vcpu)?;
    tells(&guest, INSIDE)?;
    guest.stage.lay(SAVED_BASE, &MOVED.to_le_bytes()[..4])?;
    guest.takes(&[])?;
    equal(msr::get(&guest.stage.vcpu, SMBASE)?, MOVED)?;
    guest.again()?;
    smi(&guest.stage.vcpu)?;
    tells(&guest, MOVED_INSIDE)?;
    let cs = guest.stage.vcpu.get_sregs()?.cs;
    equal((cs.base, u64::from(cs.selector)), (MOVED, MOVED >> 4))?;
    guest.takes(&[])
}
claim!(
    smm_can_be_moved,
    "RSM takes SMBASE from the saved state, and the next SMI goes there",
    [Manual("AMD APM volume 2, 10.2.2 SMBASE Register"), Api(SMI)],
    Has(KVM_CAP_X86_SMM),
);

fn one_waits_inside(count: u8) -> Outcome {
    let count = count % 4;
    let guest = guest(Controllers::User, Mode::Long)?;
    smi(&guest.stage.vcpu)?;
    tells(&guest, INSIDE)?;
    for _ in 0..count {
        smi(&guest.stage.vcpu)?;
    }
    let seen = guest.events()?.smi;
    equal((seen.smm, seen.pending), (1, count.min(1)))?;
    if count > 0 {
        tells(&guest, INSIDE)?;
    }
    guest.takes(&[])?;
    equal(msr::get(&guest.stage.vcpu, SMI_COUNT)?, u64::from(1 + count.min(1)))
}
claim!(
    one_waits_inside,
    "Of however many SMIs that come in SMM one is taken, behind RSM, and IA32_SMI_COUNT counts those that were taken",
    [Api("4.31 KVM_GET_VCPU_EVENTS"), Manual("AMD APM volume 2, 10.3.1 System-Management Interrupt (SMI)")],
    Has(KVM_CAP_X86_SMM),
);

fn nmis_wait_inside() -> Outcome {
    let guest = guest(Controllers::User, Mode::Long)?;
    smi(&guest.stage.vcpu)?;
    tells(&guest, INSIDE)?;
    guest.stage.vcpu.value(KVM_NMI, 0)?;
    let seen = guest.events()?;
    equal((seen.nmi.pending, seen.nmi.masked, seen.smi.smm_inside_nmi), (1, 1, 0))?;
    guest.takes(&[(NMI, Before::Code(0))])?;
    equal(guest.events()?.nmi.masked, 0)
}
claim!(
    nmis_wait_inside,
    "SMM has NMIs masked, and one that comes there is taken behind RSM",
    [Manual("AMD APM volume 2, 10.3.3 Exceptions and Interrupts")],
    Has(KVM_CAP_X86_SMM),
);

fn nmis_stay_masked_where_they_were() -> Outcome {
    let guest = guest(Controllers::User, Mode::Long)?;
    guest.stage.vcpu.value(KVM_NMI, 0)?;
    equal(guest.step()?, Step::Takes(NMI, Before::Code(0)))?;
    smi(&guest.stage.vcpu)?;
    tells(&guest, INSIDE)?;
    equal(guest.events()?.smi.smm_inside_nmi, 1)?;
    guest.stage.vcpu.value(KVM_NMI, 0)?;
    guest.takes(&[(NMI, Before::Code(0))])
}
claim!(
    nmis_stay_masked_where_they_were,
    "Behind an SMM that began in an NMI's handler NMIs are masked still: the next is taken behind that handler's IRET",
    [Api("4.31 KVM_GET_VCPU_EVENTS"), Code("emulator_leave_smm, arch/x86/kvm/smm.c")],
    Has(KVM_CAP_X86_SMM),
);

fn it_comes_before_an_nmi() -> Outcome {
    let guest = guest(Controllers::User, Mode::Long)?;
    guest.stage.vcpu.value(KVM_NMI, 0)?;
    smi(&guest.stage.vcpu)?;
    tells(&guest, INSIDE)?;
    guest.takes(&[(NMI, Before::Code(0))])
}
claim!(
    it_comes_before_an_nmi,
    "Of an SMI and an NMI that both wait, the guest takes the SMI first",
    [Manual("AMD APM volume 2, 8.5 Priorities"), Code("kvm_check_and_inject_events, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_X86_SMM),
);

fn rsm_is_undefined_outside(mode: RealOrLong) -> Outcome {
    let guest = Handled::of(mode.0, |a| {
        a.nop()?;
        a.rsm()
    })?;
    equal(guest.step()?, Step::Takes(6, Before::Code(1)))
}
claim!(rsm_is_undefined_outside, "RSM outside of SMM raises #UD", [Manual("AMD APM volume 3, RSM")],);

fn smbase_is_the_hosts(write: bool) -> Outcome {
    let guest = Handled::of(Mode::Long, |a| if write { a.wrmsr() } else { a.rdmsr() })?;
    let guest = guest.entered_with(|regs| regs.rcx = SMBASE.into())?;
    let before = msr::get(&guest.stage.vcpu, SMBASE)?;
    let seen = guest.enters(13)?;
    equal((seen.error, seen.rip), (Some(0), guest.stage.at(0)))?;
    equal(msr::get(&guest.stage.vcpu, SMBASE)?, before)
}
claim!(
    smbase_is_the_hosts,
    "IA32_SMBASE is there for the host alone: a guest that reads or writes it outside of SMM gets #GP",
    [Code("kvm_get_msr_common, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_X86_SMM),
);

fn smm_has_memory_of_its_own(byte: u8) -> Outcome {
    let guest = Handled::of(Mode::Long, idle(3))?;
    let memory = std::sync::Arc::new(Memory::new(0x2_0000)?);
    // mov al, byte; out INSIDE, al; rsm
    memory.write(0x8000, &[0xb0, byte, 0xe6, 0x80, 0x0f, 0xaa])?;
    guest.stage.vm.set_memory(1 << 16, 0, 0, &memory)?;
    msr::set(&guest.stage.vcpu, SMBASE, 0)?;
    smi(&guest.stage.vcpu)?;
    equal(guest.step()?, Step::Leaves(out(INSIDE, &[byte])))?;
    // What is saved lies there too: the guest's own memory is as it was.
    guest.takes(&[])
}
claim!(
    smm_has_memory_of_its_own,
    "In SMM the guest sees the slots of address space 1, where its state is saved too, and outside of it those of 0",
    [Api("4.35 KVM_SET_USER_MEMORY_REGION")],
    Has(KVM_CAP_X86_SMM),
);

fn events_make_one() -> Outcome {
    let guest = guest(Controllers::User, Mode::Long)?;
    guest.change(|events| events.smi.pending = 1)?;
    tells(&guest, INSIDE)?;
    guest.takes(&[])
}
claim!(
    events_make_one,
    "An SMI that KVM_SET_VCPU_EVENTS has as pending is taken as one of KVM_SMI is",
    [Api("4.32 KVM_SET_VCPU_EVENTS")],
    Has(KVM_CAP_X86_SMM),
);

fn events_take_one_back() -> Outcome {
    let guest = guest(Controllers::User, Mode::Long)?;
    smi(&guest.stage.vcpu)?;
    guest.change(|events| events.smi.pending = 0)?;
    guest.takes(&[])
}
claim!(
    events_take_one_back,
    "KVM_SET_VCPU_EVENTS without a pending SMI takes back what KVM_SMI queued",
    [Api("4.32 KVM_SET_VCPU_EVENTS")],
    Has(KVM_CAP_X86_SMM),
);

fn events_enter_and_leave_smm() -> Outcome {
    let guest = guest(Controllers::User, Mode::Long)?;
    guest.change(|events| events.smi.smm = 1)?;
    equal(guest.step()?, Step::Ends)?;
    equal(u32::from(guest.stage.page()?.flags()), abi::KVM_RUN_X86_SMM)?;
    guest.change(|events| events.smi.smm = 0)?;
    guest.again()?;
    guest.takes(&[])?;
    equal(guest.stage.page()?.flags(), 0)
}
claim!(
    events_enter_and_leave_smm,
    "KVM_SET_VCPU_EVENTS puts a vCPU into SMM and out of it with its registers as they are",
    [Api("4.32 KVM_SET_VCPU_EVENTS")],
    Has(KVM_CAP_X86_SMM),
);

fn it_wakes_a_halted_vcpu() -> Outcome {
    let guest = guest(Controllers::Split, Mode::Long)?;
    let halted = abi::kvm_mp_state { mp_state: abi::KVM_MP_STATE_HALTED };
    guest.stage.vcpu.write(KVM_SET_MP_STATE, &halted)?;
    guest.stage.interrupt(Interruption::Signal)?;
    smi(&guest.stage.vcpu)?;
    tells(&guest, INSIDE)?;
    guest.takes(&[])
}
claim!(
    it_wakes_a_halted_vcpu,
    "KVM_SMI wakes a halted vCPU, which goes on behind RSM",
    [Api(SMI), Code("kvm_vcpu_has_events, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_X86_SMM),
    Has(KVM_CAP_SPLIT_IRQCHIP),
);

fn without_smm_there_is_none() -> Outcome {
    let guest = Handled::of(Mode::Long, idle(3))?;
    unchanged(|| guest.events(), || fails(ENOTTY, guest.stage.vcpu.value(KVM_SMI, 0)))?;
    equal(
        guest.stage.run()?,
        Exit::Io {
            out: true,
            size: 1,
            port: crate::exits::stage::END,
            count: 1,
            data_offset: crate::exits::stage::DATA,
            data: vec![0],
        },
    )
}
claim!(
    without_smm_there_is_none,
    "KVM_SMI is refused with ENOTTY where KVM_CAP_X86_SMM is not offered, and nothing comes of it",
    [Code("kvm_inject_smi, arch/x86/kvm/smm.h")],
    Not(&Has(KVM_CAP_X86_SMM)),
);
