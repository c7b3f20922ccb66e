//! KVM_EXIT_IO: what port instructions leave, and what they take back.

use guests::Mode;
use guests::iced_x86::IcedError;
use guests::iced_x86::code_asm::{CodeAssembler, al, ax, dx, eax};
use harness::kvm::{Exit, KVM_CAP_DISABLE_QUIRKS2, KVM_CAP_IRQCHIP, KVM_CAP_PIT2, Kvm, abi};
use harness::{Controllers, Outcome, Stop, claim, each, equal, holds, within};

use super::generated::{Count, InMode, Width};
use super::provoked::{Provoked, Reply};
use super::stage::{DATA, Stage, input, out};

/// The heading that most of this rests on.
const IO: &str = "5. The kvm_run structure, KVM_EXIT_IO";
/// KVM_X86_QUIRK_OUT_7E_INC_RIP.
const OUT_7E_INC_RIP: u64 = 1 << 3;
/// The port of string instructions.
const STRING_PORT: u16 = 0x1f0;
/// Where string instructions begin: room on either side.
const BUFFER: u64 = 0xc000;

told! {
    "5 The kvm_run structure, KVM_EXIT_IO",
    out_imm8_in_real_mode, "port_io::out_imm8::real", "In real mode, OUT imm8 of 1, 2 and 4 bytes leaves one KVM_EXIT_IO each, with port, width and data";
    out_imm8_in_protected_mode, "port_io::out_imm8::protected", "In protected mode, OUT imm8 of 1, 2 and 4 bytes leaves one KVM_EXIT_IO each, with port, width and data";
    out_imm8_in_long_mode, "port_io::out_imm8::long", "In long mode, OUT imm8 of 1, 2 and 4 bytes leaves one KVM_EXIT_IO each, with port, width and data";
    out_dx_in_real_mode, "port_io::out_dx::real", "In real mode, OUT DX of 1, 2 and 4 bytes leaves one KVM_EXIT_IO each, with port, width and data";
    out_dx_in_protected_mode, "port_io::out_dx::protected", "In protected mode, OUT DX of 1, 2 and 4 bytes leaves one KVM_EXIT_IO each, with port, width and data";
    out_dx_in_long_mode, "port_io::out_dx::long", "In long mode, OUT DX of 1, 2 and 4 bytes leaves one KVM_EXIT_IO each, with port, width and data";
    in_imm8_in_real_mode, "port_io::in_imm8::real", "In real mode, IN imm8 takes its 1, 2 or 4 bytes from the host, and no more of the register";
    in_imm8_in_protected_mode, "port_io::in_imm8::protected", "In protected mode, IN imm8 takes its 1, 2 or 4 bytes from the host, and no more of the register";
    in_imm8_in_long_mode, "port_io::in_imm8::long", "In long mode, IN imm8 takes its 1, 2 or 4 bytes from the host, and clears the upper half with the last";
    in_dx_in_real_mode, "port_io::in_dx::real", "In real mode, IN DX takes its 1, 2 or 4 bytes from the host, and no more of the register";
    in_dx_in_protected_mode, "port_io::in_dx::protected", "In protected mode, IN DX takes its 1, 2 or 4 bytes from the host, and no more of the register";
    in_dx_in_long_mode, "port_io::in_dx::long", "In long mode, IN DX takes its 1, 2 or 4 bytes from the host, and clears the upper half with the last";
    hello_in_real_mode, "hello::hello::real", "In real mode, what a guest reads from one port it can store and write to another";
    hello_in_protected_mode, "hello::hello::protected", "In protected mode, what a guest reads from one port it can store and write to another";
    hello_in_long_mode, "hello::hello::long", "In long mode, what a guest reads from one port it can store and write to another";
}

fn outs_of_any_kind(mode: InMode, port: u16, width: Width, value: u32) -> Outcome {
    let mut stage = Stage::of(mode.0, |a| {
        match width {
            Width::One => a.out(dx, al)?,
            Width::Two => a.out(dx, ax)?,
            Width::Four => a.out(dx, eax)?,
        }
        a.hlt()
    })?;
    stage.enter_with(|regs| (regs.rax, regs.rdx) = (value.into(), port.into()))?;
    equal(stage.run()?, out(port, &width.of(value)))?;
    equal(stage.run()?, Exit::Hlt)?;
    stage.ended(|_| ())
}
claim!(
    outs_of_any_kind,
    "OUT of any width to any port leaves one KVM_EXIT_IO with direction, width, port, a count of 1 and the data",
    [Api(IO)],
);

fn ins_of_any_kind(mode: InMode, port: u16, width: Width, held: u32, given: u32) -> Outcome {
    let mut stage = Stage::of(mode.0, |a| {
        match width {
            Width::One => a.in_(al, dx)?,
            Width::Two => a.in_(ax, dx)?,
            Width::Four => a.in_(eax, dx)?,
        }
        a.hlt()
    })?;
    stage.enter_with(|regs| (regs.rax, regs.rdx) = (held.into(), port.into()))?;
    let exit = stage.run()?;
    equal(&exit, &input(port, width.bytes(), 1))?;
    stage.reply(&exit, &width.of(given))?;
    equal(stage.run()?, Exit::Hlt)?;
    stage.ended(|end| end.regs.rax = width.merged(held.into(), given))
}
claim!(
    ins_of_any_kind,
    "IN of any width from any port leaves one KVM_EXIT_IO and takes what the host lays, and no more of the register",
    [Api(IO)],
);

/// A guest that is about to repeat a string instruction, upwards or downwards, over RAM around [`BUFFER`].
fn repeating(
    mode: Mode,
    count: Count,
    down: bool,
    write: impl FnOnce(&mut CodeAssembler) -> Result<(), IcedError>,
) -> Result<Stage, Stop> {
    let mut stage = Stage::of(mode, |a| {
        write(a)?;
        a.hlt()
    })?;
    stage.enter_under(|sregs| sregs.es = sregs.ds)?;
    stage.enter_with(|regs| {
        (regs.rcx, regs.rdx, regs.rsi, regs.rdi) = (count.0.into(), STRING_PORT.into(), BUFFER, BUFFER);
        regs.rflags |= u64::from(down) << 10;
    })?;
    Ok(stage)
}

/// Where the `index`th element of a string lies, and where its register points behind `index` elements.
fn element(down: bool, width: Width, index: u16) -> u64 {
    let distance = u64::from(width.bytes()) * u64::from(index);
    if down { BUFFER - distance } else { BUFFER + distance }
}

fn repeated_ins_fill_ram(mode: InMode, width: Width, count: Count, down: bool) -> Outcome {
    let stage = repeating(mode.0, count, down, |a| match width {
        Width::One => a.rep().insb(),
        Width::Two => a.rep().insw(),
        Width::Four => a.rep().insd(),
    })?;
    let mut end = stage.untouched(usize::MAX);
    let mut index = 0;
    loop {
        let exit = stage.run()?;
        let Exit::Io { out: false, size, port: STRING_PORT, count: asked, data_offset: DATA, .. } = exit
        else {
            equal(exit, Exit::Hlt)?;
            break;
        };
        equal(size, width.bytes())?;
        holds(asked > 0, "an exit asks for something")?;
        within(u32::from(index) + asked, 1, count.0.into())?;
        let mut all = Vec::new();
        for _ in 0..asked {
            let bytes = width.of(u32::from(index).wrapping_mul(0x9e37_79b1) ^ 0x5a);
            end.wrote(element(down, width, index), &bytes);
            all.extend(bytes);
            index += 1;
        }
        stage.reply(&exit, &all)?;
    }
    equal(index, count.0)?;
    (end.regs.rcx, end.regs.rdi) = (0, element(down, width, count.0));
    stage.left(&end)
}
claim!(
    repeated_ins_fill_ram,
    "The counts of REP INS's exits add up to RCX, and the host's data fills RAM element by element, up or down",
    [Api(IO)],
);

fn repeated_outs_tell_ram(mode: InMode, width: Width, count: Count, down: bool) -> Outcome {
    let count = Count(count.0 % 100 + 1);
    let mut stage = repeating(mode.0, count, down, |a| match width {
        Width::One => a.rep().outsb(),
        Width::Two => a.rep().outsw(),
        Width::Four => a.rep().outsd(),
    })?;
    let mut expected = Vec::new();
    for index in 0..count.0 {
        let bytes = width.of(u32::from(index).wrapping_mul(0x9e37_79b1) ^ 0xa5);
        stage.lay(element(down, width, index), &bytes)?;
        expected.extend(bytes);
    }
    let mut told = Vec::new();
    let mut elements = 0;
    loop {
        match stage.run()? {
            Exit::Io { out: true, size, port: STRING_PORT, count: told_now, data_offset: DATA, data } => {
                equal(size, width.bytes())?;
                equal(data.len(), told_now as usize * width.len())?;
                elements += told_now;
                within(elements, 1, count.0.into())?;
                told.extend(data);
            }
            other => {
                equal(other, Exit::Hlt)?;
                break;
            }
        }
    }
    equal(told, expected)?;
    stage.ended(|end| (end.regs.rcx, end.regs.rsi) = (0, element(down, width, count.0)))
}
claim!(
    repeated_outs_tell_ram,
    "The counts of REP OUTS's exits add up to RCX, and their data is what RAM holds element by element, up or down",
    [Api(IO)],
);

fn long_reads_come_at_once(mode: InMode) -> Outcome {
    let stage = repeating(mode.0, Count(64), false, |a| a.rep().insb())?;
    equal(stage.run()?, input(STRING_PORT, 1, 64))
}
claim!(
    long_reads_come_at_once,
    "REP INSB of less than a page asks the host for all of its bytes in one exit",
    [Code("emulator_pio_in_emulated and pio_in_emulated, arch/x86/kvm/emulate.c")],
);

fn nothing_is_repeated_no_times(mode: InMode) -> Outcome {
    let stage = repeating(mode.0, Count(0), false, |a| {
        a.rep().insb()?;
        a.rep().outsb()
    })?;
    equal(stage.run()?, Exit::Hlt)?;
    stage.ended(|_| ())
}
claim!(
    nothing_is_repeated_no_times,
    "REP INS and REP OUTS with RCX at zero do not leave the guest",
    [Api(IO)],
);

fn kernel_devices_answer_themselves(mode: InMode) -> Outcome {
    let vm = Controllers::Kernel.vm()?;
    // The speaker's port is the PIT's own only with this flag.
    vm.create_pit2(abi::KVM_PIT_SPEAKER_DUMMY)?;
    let stage = Stage::within(vm, mode.0, |a| {
        for port in [0x21, 0xa1, 0x40, 0x43, 0x61] {
            a.in_(al, port)?;
        }
        a.mov(al, 0xff)?;
        a.out(0x21, al)?;
        a.out(0xa1, al)?;
        a.out(0x80, al)
    })?;
    equal(stage.run()?, out(0x80, &[0xff]))
}
claim!(
    kernel_devices_answer_themselves,
    "Ports of an in-kernel PIC and PIT do not leave the guest, and the next port does",
    [Api("4.24 KVM_CREATE_IRQCHIP"), Api("4.71 KVM_CREATE_PIT2")],
    Has(KVM_CAP_IRQCHIP),
    Has(KVM_CAP_PIT2),
);

fn quirk_of_port_0x7e() -> Outcome {
    each([(0, 1), (OUT_7E_INC_RIP, 0)], |&(disabled, index): &(u64, usize)| {
        let vm = Kvm::open()?.create_vm(0)?;
        vm.enable_cap(KVM_CAP_DISABLE_QUIRKS2, [disabled, 0, 0, 0])?;
        let stage = Stage::within(vm, Mode::Real, |a| {
            a.out(0x7e, al)?;
            a.hlt()
        })?;
        equal(stage.run()?, out(0x7e, &[0]))?;
        stage.stands(index, |_| ())?;
        equal(stage.run()?, Exit::Hlt)?;
        stage.ended(|_| ())
    })
}
claim!(
    quirk_of_port_0x7e,
    "At the exit of OUT 0x7e RIP is behind the instruction, and with KVM_X86_QUIRK_OUT_7E_INC_RIP disabled it is at it",
    [Api("7.31 KVM_CAP_DISABLE_QUIRKS2, KVM_X86_QUIRK_OUT_7E_INC_RIP")],
    AtLeast(KVM_CAP_DISABLE_QUIRKS2, 8),
);

/// OUT of a byte: RIP stays at the instruction until KVM_RUN completes it.
pub(super) fn out_byte() -> Result<Provoked, Stop> {
    let mut stage = Stage::of(Mode::Real, |a| {
        a.out(0x10, al)?;
        a.hlt()
    })?;
    stage.enter_with(|regs| regs.rax = 0x5a)?;
    let at = stage.before(0);
    Ok(Provoked { at, ..Provoked::of(stage, out(0x10, &[0x5a])) })
}

/// IN of a doubleword.
pub(super) fn in_doubleword() -> Result<Provoked, Stop> {
    let mut stage = Stage::of(Mode::Long, |a| {
        a.in_(eax, dx)?;
        a.hlt()
    })?;
    stage.enter_with(|regs| (regs.rax, regs.rdx) = (u64::MAX, 0x1234))?;
    let (at, taken) = (stage.before(0), 0x1122_3344);
    let mut provoked = Provoked::of(stage, input(0x1234, 4, 1));
    (provoked.at, provoked.completed.rax) = (at, taken);
    if let Some((_, end)) = &mut provoked.end {
        end.regs.rax = taken;
    }
    Ok(Provoked { reply: Reply::Bytes(vec![0x44, 0x33, 0x22, 0x11]), ..provoked })
}

/// REP INSB of 16 bytes, which come at once.
pub(super) fn in_string() -> Result<Provoked, Stop> {
    let stage = repeating(Mode::Protected, Count(16), false, |a| a.rep().insb())?;
    let (at, bytes) = (stage.before(0), (1..=16).collect::<Vec<u8>>());
    let mut provoked = Provoked::of(stage, input(STRING_PORT, 1, 16));
    provoked.at = at;
    // Done but for the look at RCX that ends the repetition: an interrupted string instruction stands at itself.
    provoked.completed = at;
    (provoked.completed.rcx, provoked.completed.rdi) = (0, BUFFER + 16);
    if let Some((_, end)) = &mut provoked.end {
        (end.regs.rcx, end.regs.rdi) = (0, BUFFER + 16);
        end.wrote(BUFFER, &bytes);
    }
    Ok(Provoked { reply: Reply::Bytes(bytes), ..provoked })
}

/// OUTSB, which is done by the time of its exit.
pub(super) fn out_string() -> Result<Provoked, Stop> {
    let mut stage = repeating(Mode::Protected, Count(1), false, |a| a.outsb())?;
    stage.lay(BUFFER, &[0x77])?;
    let mut provoked = Provoked::of(stage, out(STRING_PORT, &[0x77]));
    (provoked.at.rsi, provoked.completed.rsi) = (BUFFER + 1, BUFFER + 1);
    if let Some((_, end)) = &mut provoked.end {
        end.regs.rsi = BUFFER + 1;
    }
    Ok(provoked)
}
