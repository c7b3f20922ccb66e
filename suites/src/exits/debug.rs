//! KVM_EXIT_DEBUG: what KVM_SET_GUEST_DEBUG asked for.

use guests::iced_x86::code_asm::{al, byte_ptr, dr0, dr6 as guests_dr6, eax, ebx, ptr};
use guests::{MMIO_HOLE, Mode, SCRATCH};
use harness::kvm::{
    Descriptor, Exit, KVM_CAP_SET_GUEST_DEBUG, KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS, KVM_SET_GUEST_DEBUG, abi,
};
use harness::{Outcome, Stop, claim, each, equal, holds};

use super::generated::InMode;
use super::provoked::{Provoked, Reply};
use super::stage::{Stage, handler, out};

/// The headings that all of this rests on.
const DEBUG: &str = "5. The kvm_run structure, KVM_EXIT_DEBUG";
const SET: &str = "4.87 KVM_SET_GUEST_DEBUG";
/// DR6 with nothing in it, and its bits: single step, debug registers accessed.
const DR6: u64 = 0xffff_0ff0;
const DR6_BS: u64 = 1 << 14;
const DR6_BD: u64 = 1 << 13;
/// DR7 with nothing in it, and its general detect bit.
const DR7: u64 = 0x400;
const DR7_GD: u64 = 1 << 13;

/// Asks for something, with these debug registers.
fn ask(stage: &Stage, control: u32, registers: [u64; 8]) -> Outcome {
    let request = abi::kvm_guest_debug {
        control: control | abi::KVM_GUESTDBG_ENABLE,
        pad: 0,
        arch: abi::kvm_guest_debug_arch { debugreg: registers },
    };
    Ok(stage.vcpu.write(KVM_SET_GUEST_DEBUG, &request).map(drop)?)
}

/// Asks for nothing any more.
fn stop(stage: &Stage) -> Outcome {
    Ok(stage.vcpu.write(KVM_SET_GUEST_DEBUG, &abi::kvm_guest_debug::default()).map(drop)?)
}

/// The debug registers of a breakpoint of this kind at an address: the kind is as in DR7's upper half.
fn breakpoint(index: usize, address: u64, kind: u64) -> [u64; 8] {
    let mut registers = [0; 8];
    registers[index] = address;
    registers[7] = DR7 | 2 << (2 * index) | kind << (16 + 4 * index);
    registers
}

/// The exit of #DB at this address.
fn at(pc: u64, dr6: u64, dr7: u64) -> Exit {
    Exit::Debug { exception: 1, pc, dr6, dr7 }
}

/// The exit is #DB at this address with these bits in DR6. DR7 is not asked about, nor at a step whether a breakpoint that is not
/// enabled would have matched: the processor may say so.
#[track_caller]
fn is_at(exit: &Exit, pc: u64, bits: u64) -> Outcome {
    let (seen, dr6) = match exit {
        Exit::Debug { exception: 1, pc, dr6, .. } if bits & DR6_BS != 0 => (*pc, *dr6 & !0xf),
        Exit::Debug { exception: 1, pc, dr6, .. } => (*pc, *dr6),
        _ => return equal(exit, &at(pc, DR6 | bits, DR7)),
    };
    equal((seen, dr6), (pc, DR6 | bits))
}

fn every_instruction_is_a_step(mode: InMode, count: u8) -> Outcome {
    let count = usize::from(count % 12) + 1;
    let stage = Stage::of(mode.0, |a| {
        for index in 0..count {
            match index % 4 {
                0 => a.nop()?,
                1 => a.inc(eax)?,
                2 => a.cld()?,
                _ => a.mov(ebx, 7u32)?,
            }
        }
        a.hlt()
    })?;
    ask(&stage, abi::KVM_GUESTDBG_SINGLESTEP, [0; 8])?;
    for index in 1..=count {
        is_at(&stage.run()?, stage.at(index), DR6_BS)?;
        let regs = stage.registers()?;
        equal((regs.rip, regs.rflags >> 8 & 1), (stage.at(index), 0))?;
    }
    stop(&stage)?;
    equal(stage.run()?, Exit::Hlt)?;
    equal(stage.registers()?.rip, stage.at(count + 1))
}
claim!(
    every_instruction_is_a_step,
    "With KVM_GUESTDBG_SINGLESTEP each instruction leaves KVM_EXIT_DEBUG with DR6.BS, pc behind it, and TF not to be seen",
    [Api(DEBUG), Api(SET)],
    Has(KVM_CAP_SET_GUEST_DEBUG),
);

fn port_accesses_are_steps_too(mode: InMode) -> Outcome {
    let stage = Stage::of(mode.0, |a| {
        a.out(0x10, al)?;
        a.in_(al, 0x11)?;
        a.hlt()
    })?;
    ask(&stage, abi::KVM_GUESTDBG_SINGLESTEP, [0; 8])?;
    equal(stage.run()?, out(0x10, &[0]))?;
    is_at(&stage.run()?, stage.at(1), DR6_BS)?;
    let exit = stage.run()?;
    stage.reply(&exit, &[0x77])?;
    is_at(&stage.run()?, stage.at(2), DR6_BS)?;
    stop(&stage)?;
    equal(stage.run()?, Exit::Hlt)?;
    stage.ended(|end| end.regs.rax = 0x77)
}
claim!(
    port_accesses_are_steps_too,
    "Stepped over, a port access leaves KVM_EXIT_IO first and KVM_EXIT_DEBUG once it is completed",
    [Api(DEBUG), Code("kvm_skip_emulated_instruction, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_SET_GUEST_DEBUG),
);

fn memory_accesses_are_steps_too() -> Outcome {
    let stage = Stage::of(Mode::Protected, |a| {
        a.mov(al, byte_ptr(ptr(MMIO_HOLE)))?;
        a.nop()?;
        a.hlt()
    })?;
    ask(&stage, abi::KVM_GUESTDBG_SINGLESTEP, [0; 8])?;
    let exit = stage.run()?;
    equal(&exit, &Exit::Mmio { write: false, address: MMIO_HOLE, data: vec![0] })?;
    stage.reply(&exit, &[0x66])?;
    is_at(&stage.run()?, stage.at(1), DR6_BS)?;
    stop(&stage)?;
    equal(stage.run()?, Exit::Hlt)?;
    stage.ended(|end| end.regs.rax = 0x66)
}
claim!(
    memory_accesses_are_steps_too,
    "Stepped over, an access to an address without a slot leaves KVM_EXIT_MMIO first and KVM_EXIT_DEBUG once it is completed",
    [Api(DEBUG), Code("x86_emulate_instruction, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_SET_GUEST_DEBUG),
);

fn int3_is_the_hosts(mode: InMode) -> Outcome {
    let mut stage = Stage::of(mode.0, |a| {
        a.nop()?;
        a.int3()?;
        a.hlt()
    })?;
    stage.catch_exceptions()?;
    ask(&stage, abi::KVM_GUESTDBG_USE_SW_BP, [0; 8])?;
    for _ in 0..2 {
        equal(stage.run()?, Exit::Debug { exception: 3, pc: stage.at(1), dr6: 0, dr7: 0 })?;
        stage.stands(1, |_| ())?;
    }
    stop(&stage)?;
    equal(stage.run()?, Exit::Hlt)?;
    equal(stage.registers()?.rip, handler(3))
}
claim!(
    int3_is_the_hosts,
    "With KVM_GUESTDBG_USE_SW_BP, INT3 leaves KVM_EXIT_DEBUG with exception 3 and pc at it, and without it is the guest's",
    [Api(DEBUG), Api(SET)],
    Has(KVM_CAP_SET_GUEST_DEBUG),
);

fn code_breakpoints_come_before(mode: InMode, index: u8) -> Outcome {
    let index = usize::from(index % 4);
    let stage = Stage::of(mode.0, |a| {
        a.nop()?;
        a.mov(eax, 5u32)?;
        a.hlt()
    })?;
    ask(&stage, abi::KVM_GUESTDBG_USE_HW_BP, breakpoint(index, stage.at(1), 0))?;
    for _ in 0..2 {
        is_at(&stage.run()?, stage.at(1), 1 << index)?;
        stage.stands(1, |_| ())?;
    }
    stop(&stage)?;
    equal(stage.run()?, Exit::Hlt)?;
    stage.ended(|end| end.regs.rax = 5)
}
claim!(
    code_breakpoints_come_before,
    "With KVM_GUESTDBG_USE_HW_BP, each of the four breakpoints on code leaves KVM_EXIT_DEBUG before its instruction",
    [Api(DEBUG), Api(SET)],
    Has(KVM_CAP_SET_GUEST_DEBUG),
);

fn watchpoints_come_behind(mode: InMode, index: u8, value: u8) -> Outcome {
    let index = usize::from(index % 4);
    let mut stage = Stage::of(mode.0, |a| {
        a.mov(byte_ptr(ptr(SCRATCH)), al)?;
        a.nop()?;
        a.hlt()
    })?;
    stage.enter_with(|regs| regs.rax = value.into())?;
    ask(&stage, abi::KVM_GUESTDBG_USE_HW_BP, breakpoint(index, SCRATCH, 1))?;
    is_at(&stage.run()?, stage.at(1), 1 << index)?;
    stop(&stage)?;
    equal(stage.run()?, Exit::Hlt)?;
    stage.ended(|end| end.wrote(SCRATCH, &[value]))
}
claim!(
    watchpoints_come_behind,
    "With KVM_GUESTDBG_USE_HW_BP, each of the four watchpoints leaves KVM_EXIT_DEBUG behind the store that it saw",
    [Api(DEBUG), Api(SET)],
    Has(KVM_CAP_SET_GUEST_DEBUG),
);

fn watchpoints_elsewhere_do_not(mode: InMode, distance: u8) -> Outcome {
    let stage = Stage::of(mode.0, |a| {
        a.mov(byte_ptr(ptr(SCRATCH)), al)?;
        a.hlt()
    })?;
    let watched = SCRATCH + 1 + u64::from(distance);
    ask(&stage, abi::KVM_GUESTDBG_USE_HW_BP, breakpoint(0, watched, 1))?;
    equal(stage.run()?, Exit::Hlt)?;
    stage.ended(|end| end.wrote(SCRATCH, &[0]))
}
claim!(
    watchpoints_elsewhere_do_not,
    "A watchpoint on another byte leaves no KVM_EXIT_DEBUG",
    [Api(SET)],
    Has(KVM_CAP_SET_GUEST_DEBUG),
);

fn breakpoints_on_mmio_come_before() -> Outcome {
    let stage = Stage::of(Mode::Protected, |a| {
        a.mov(byte_ptr(ptr(MMIO_HOLE)), al)?;
        a.hlt()
    })?;
    ask(&stage, abi::KVM_GUESTDBG_USE_HW_BP, breakpoint(0, stage.at(0), 0))?;
    is_at(&stage.run()?, stage.at(0), 1)?;
    stage.stands(0, |_| ())?;
    stop(&stage)?;
    equal(stage.run()?, Exit::Mmio { write: true, address: MMIO_HOLE, data: vec![0] })?;
    equal(stage.run()?, Exit::Hlt)?;
    stage.ended(|_| ())
}
claim!(
    breakpoints_on_mmio_come_before,
    "A breakpoint on an instruction that KVM emulates leaves KVM_EXIT_DEBUG before its KVM_EXIT_MMIO",
    [Api(SET), Code("kvm_vcpu_check_code_breakpoint, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_SET_GUEST_DEBUG),
);

fn general_detect_comes_before() -> Outcome {
    each([true, false], |&writes| {
        let stage = Stage::of(Mode::Protected, |a| {
            if writes {
                a.mov(dr0, eax)?
            } else {
                a.mov(eax, dr0)?
            }
            a.hlt()
        })?;
        let mut registers = [0; 8];
        registers[7] = DR7 | DR7_GD;
        ask(&stage, abi::KVM_GUESTDBG_USE_HW_BP, registers)?;
        is_at(&stage.run()?, stage.at(0), DR6_BD)?;
        stage.stands(0, |_| ())
    })
}
claim!(
    general_detect_comes_before,
    "With DR7.GD among the host's debug registers, a guest's MOV to or from one leaves KVM_EXIT_DEBUG with DR6.BD",
    [Api(SET), Manual("Intel SDM volume 3, 18.2.4 Debug Control Register (DR7)")],
    Has(KVM_CAP_SET_GUEST_DEBUG),
);

fn the_guests_registers_are_its_own(value: u32) -> Outcome {
    let mut stage = Stage::of(Mode::Protected, |a| {
        a.mov(dr0, eax)?;
        a.nop()?;
        a.mov(ebx, dr0)?;
        a.hlt()
    })?;
    stage.enter_with(|regs| regs.rax = value.into())?;
    let dr7: abi::kvm_debugregs = stage.vcpu.read(KVM_GET_DEBUGREGS)?;
    ask(&stage, abi::KVM_GUESTDBG_USE_HW_BP, breakpoint(0, stage.at(1), 0))?;
    is_at(&stage.run()?, stage.at(1), 1)?;
    let kept: abi::kvm_debugregs = stage.vcpu.read(KVM_GET_DEBUGREGS)?;
    equal((kept.db[0], kept.dr7), (value.into(), dr7.dr7))?;
    stop(&stage)?;
    equal(stage.run()?, Exit::Hlt)?;
    stage.ended(|end| end.regs.rbx = value.into())
}
claim!(
    the_guests_registers_are_its_own,
    "A guest that is debugged writes and reads debug registers of its own, which the host's neither show nor change",
    [Api(SET), Api("4.33 KVM_GET_DEBUGREGS")],
    Has(KVM_CAP_SET_GUEST_DEBUG),
);

fn the_guests_breakpoints_are_its_own() -> Outcome {
    let mut stage = Stage::of(Mode::Protected, |a| {
        a.nop()?;
        a.nop()?;
        a.hlt()
    })?;
    stage.catch_exceptions()?;
    let mut own: abi::kvm_debugregs = stage.vcpu.read(KVM_GET_DEBUGREGS)?;
    (own.db[0], own.dr7) = (stage.at(1), DR7 | 2);
    stage.vcpu.write(KVM_SET_DEBUGREGS, &own)?;
    equal(stage.run()?, Exit::Hlt)?;
    equal(stage.registers()?.rip, handler(1))
}
claim!(
    the_guests_breakpoints_are_its_own,
    "Without KVM_SET_GUEST_DEBUG a guest's own breakpoint gives it #DB and leaves no KVM_EXIT_DEBUG",
    [Api("4.34 KVM_SET_DEBUGREGS")],
);

fn dr6_is_not_the_guests() -> Outcome {
    let stage = Stage::of(Mode::Protected, |a| {
        a.nop()?;
        a.mov(ebx, guests_dr6)?;
        a.hlt()
    })?;
    ask(&stage, abi::KVM_GUESTDBG_SINGLESTEP, [0; 8])?;
    is_at(&stage.run()?, stage.at(1), DR6_BS)?;
    stop(&stage)?;
    equal(stage.run()?, Exit::Hlt)?;
    let seen = stage.registers()?.rbx;
    holds(seen & DR6_BS == 0, format_args!("the guest's DR6 {seen:#x} does not tell of the host's step"))
}
claim!(
    dr6_is_not_the_guests,
    "A step that the host asked for is not to be seen in the guest's DR6",
    [Api(SET), Code("db_interception, arch/x86/kvm/svm/svm.c")],
    Has(KVM_CAP_SET_GUEST_DEBUG),
);

/// One step, after which the host asks for no more.
pub(super) fn step() -> Result<Provoked, Stop> {
    let stage = Stage::of(Mode::Long, |a| {
        a.nop()?;
        a.hlt()
    })?;
    ask(&stage, abi::KVM_GUESTDBG_SINGLESTEP, [0; 8])?;
    let exit = at(stage.at(1), DR6 | DR6_BS, DR7);
    Ok(Provoked { reply: Reply::Act(stop), ..Provoked::of(stage, exit) })
}

/// INT3, over which the host moves the guest.
pub(super) fn int3() -> Result<Provoked, Stop> {
    let stage = Stage::of(Mode::Protected, |a| {
        a.int3()?;
        a.hlt()
    })?;
    ask(&stage, abi::KVM_GUESTDBG_USE_SW_BP, [0; 8])?;
    let exit = Exit::Debug { exception: 3, pc: stage.at(0), dr6: 0, dr7: 0 };
    let at = stage.before(0);
    Ok(Provoked {
        at,
        reply: Reply::Act(|stage| {
            let mut regs = stage.vcpu.get_regs()?;
            regs.rip = stage.at(1);
            Ok(stage.vcpu.set_regs(&regs)?)
        }),
        ..Provoked::of(stage, exit)
    })
}
