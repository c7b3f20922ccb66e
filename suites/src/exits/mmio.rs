//! KVM_EXIT_MMIO: what moves to and from addresses without RAM leave, and what they take back.

use std::sync::Arc;

use guests::iced_x86::code_asm::{
    al, ax, byte_ptr, cl, dword_ptr, eax, ebx, qword_ptr, rax, rbx, word_ptr, xmm0, xmmword_ptr,
};
use guests::{MMIO_HOLE, Mode, Registers, STACK};
use harness::kvm::{Descriptor, Exit, KVM_CAP_IMMEDIATE_EXIT, KVM_CAP_READONLY_MEM, KVM_NMI, Memory, abi};
use harness::{Outcome, Stop, claim, each, equal};

use super::provoked::{Provoked, Reply};
use super::stage::{Interruption, Stage};

/// The heading that most of this rests on.
const MMIO: &str = "5. The kvm_run structure, KVM_EXIT_MMIO";
/// Where a second slot begins.
const SLOT: u64 = 0x10_0000;
/// CR4.OSFXSR, without which SSE is not to be had.
const CR4_OSFXSR: u64 = 1 << 9;

told! {
    "5 The kvm_run structure, KVM_EXIT_MMIO",
    writes_in_real_mode, "mmio::write::real", "In real mode, a MOV of each width to an address without a slot leaves one KVM_EXIT_MMIO with its data";
    writes_in_protected_mode, "mmio::write::protected", "In protected mode, a MOV of each width to an address without a slot leaves one KVM_EXIT_MMIO with its data";
    writes_in_long_mode, "mmio::write::long", "In long mode, a MOV of each width up to 8 bytes to an address without a slot leaves one KVM_EXIT_MMIO with its data";
    reads_in_real_mode, "mmio::read::real", "In real mode, a MOV of each width from an address without a slot takes what the host lays into the run page";
    reads_in_protected_mode, "mmio::read::protected", "In protected mode, a MOV of each width from an address without a slot takes what the host lays into the run page";
    reads_in_long_mode, "mmio::read::long", "In long mode, a MOV of each width up to 8 bytes from an address without a slot takes what the host lays into the run page";
}

/// Where in the hole accesses go: a page with another behind it.
const PAGE: u64 = MMIO_HOLE + 0x1000;

/// How wide a move of a general register is in long mode.
#[derive(Clone, Copy, Debug)]
struct Access {
    address: u64,
    length: usize,
}

impl Access {
    /// As many bytes as a register of 1, 2, 4 or 8, anywhere in a page.
    fn of(offset: u16, width: u8) -> Self {
        Self { address: PAGE + u64::from(offset % 0x1000), length: 1 << (width % 4) }
    }

    /// The parts that a page's end cuts it into: address and length.
    fn parts(self) -> Vec<(u64, usize)> {
        let room = usize::try_from(0x1000 - self.address % 0x1000).unwrap_or(0);
        if self.length <= room {
            return vec![(self.address, self.length)];
        }
        vec![(self.address, room), (self.address + room as u64, self.length - room)]
    }
}

/// A guest that moves RAX to or from where RBX points.
fn moving(access: Access, held: u64, store: bool) -> Result<Stage, Stop> {
    let mut stage = Stage::of(Mode::Long, |a| {
        match (access.length, store) {
            (1, true) => a.mov(byte_ptr(rbx), al)?,
            (2, true) => a.mov(word_ptr(rbx), ax)?,
            (4, true) => a.mov(dword_ptr(rbx), eax)?,
            (_, true) => a.mov(qword_ptr(rbx), rax)?,
            (1, false) => a.mov(al, byte_ptr(rbx))?,
            (2, false) => a.mov(ax, word_ptr(rbx))?,
            (4, false) => a.mov(eax, dword_ptr(rbx))?,
            (_, false) => a.mov(rax, qword_ptr(rbx))?,
        }
        a.hlt()
    })?;
    stage.enter_with(|regs| (regs.rax, regs.rbx) = (held, access.address))?;
    Ok(stage)
}

fn stores_of_any_kind(offset: u16, width: u8, value: u64) -> Outcome {
    let access = Access::of(offset, width);
    let stage = moving(access, value, true)?;
    let mut rest = &value.to_le_bytes()[..access.length];
    for (address, length) in access.parts() {
        let (data, behind) = rest.split_at(length);
        equal(stage.run()?, Exit::Mmio { write: true, address, data: data.to_vec() })?;
        rest = behind;
    }
    equal(stage.run()?, Exit::Hlt)?;
    stage.ended(|_| ())
}
claim!(
    stores_of_any_kind,
    "MOV of any width to any address without a slot leaves one KVM_EXIT_MMIO for each page that it touches, with its bytes",
    [Api(MMIO)],
);

fn loads_of_any_kind(offset: u16, width: u8, held: u64, given: u64) -> Outcome {
    let access = Access::of(offset, width);
    let stage = moving(access, held, false)?;
    let mut rest = &given.to_le_bytes()[..access.length];
    for (address, length) in access.parts() {
        let exit = stage.run()?;
        equal(&exit, &Exit::Mmio { write: false, address, data: vec![0; length] })?;
        let (data, behind) = rest.split_at(length);
        stage.reply(&exit, data)?;
        rest = behind;
    }
    equal(stage.run()?, Exit::Hlt)?;
    let mask = u64::MAX >> (64 - 8 * access.length);
    let kept = if access.length == 4 { 0 } else { held & !mask };
    stage.ended(|end| end.regs.rax = kept | given & mask)
}
claim!(
    loads_of_any_kind,
    "MOV of any width from any address without a slot puts together what the host lays at the exit of each page",
    [Api(MMIO)],
);

/// Once a handler runs, nothing is under delivery any more, although EXITINTINFO may keep the type of what was, without V.
fn the_first_access_of_a_handler_is_told() -> Outcome {
    // One that the guest takes by itself, one that KVM gives it, and one that comes from outside.
    const DE: u8 = 0;
    const UD: u8 = 6;
    const NMI: u8 = 2;
    const VALUE: u64 = 0x1122_3344_5566_7788;
    /// Five words are pushed.
    const FRAME: u64 = STACK - 5 * 8;
    let told = Exit::Mmio { write: true, address: PAGE, data: VALUE.to_le_bytes().to_vec() };
    each([DE, UD, NMI], |&vector| {
        let mut stage = Stage::of(Mode::Long, |a| match vector {
            DE => a.div(cl),
            UD => a.ud2(),
            _ => {
                let mut here = a.create_label();
                a.set_label(&mut here)?;
                a.jmp(here)
            }
        })?;
        stage.catch_exceptions()?;
        let instructions = stage.handle(vector, |a| {
            a.mov(qword_ptr(rbx), rax)?;
            a.iretq()
        })?;
        stage.enter_with(|regs| (regs.rax, regs.rbx, regs.rcx) = (VALUE, PAGE, 0))?;
        // The first passes also leave for pages on the way to the handler that KVM has not mapped yet.
        for _ in 0..3 {
            if vector == NMI {
                stage.vcpu.value(KVM_NMI, 0)?;
            }
            equal(&stage.run()?, &told)?;
        }
        stage.interrupt(Interruption::ImmediateExit)?;
        let seen = stage.registers()?;
        let (rip, rsp, rflags) = (instructions[1], FRAME, seen.rflags);
        stage.holds_registers(Registers { rip, rsp, rflags, ..stage.before(0) })?;
        stage.keeps_ram_but(std::slice::from_ref(&(FRAME..STACK)))
    })
}
claim!(
    the_first_access_of_a_handler_is_told,
    "The first instruction of the handler of a #DE, #UD or NMI leaves KVM_EXIT_MMIO where it stores to an address without a slot",
    [Api(MMIO), Manual("AMD APM volume 2, 15.7.2 Intercepts During IDT Interrupt Delivery (EXITINTINFO.V)")],
);

fn sixteen_bytes_are_two_exits(low: u64, high: u64) -> Outcome {
    let mut stage = Stage::of(Mode::Long, |a| {
        a.movdqu(xmm0, xmmword_ptr(MMIO_HOLE))?;
        a.movdqu(xmmword_ptr(MMIO_HOLE + 0x20), xmm0)?;
        a.hlt()
    })?;
    stage.enter_under(|sregs| sregs.cr4 |= CR4_OSFXSR)?;
    stage.enter_with(|_| ())?;
    for (at, value) in [(0, low), (8, high)] {
        let exit = stage.run()?;
        equal(&exit, &Exit::Mmio { write: false, address: MMIO_HOLE + at, data: vec![0; 8] })?;
        stage.reply(&exit, &value.to_le_bytes())?;
    }
    for (at, value) in [(0x20, low), (0x28, high)] {
        let data = value.to_le_bytes().to_vec();
        equal(stage.run()?, Exit::Mmio { write: true, address: MMIO_HOLE + at, data })?;
    }
    equal(stage.run()?, Exit::Hlt)?;
    stage.ended(|_| ())
}
claim!(
    sixteen_bytes_are_two_exits,
    "MOVDQU to and from an address without a slot leaves two KVM_EXIT_MMIO of 8 bytes, the lower first",
    [Api(MMIO), Code("emulator_read_write, arch/x86/kvm/x86.c")],
);

fn a_changed_operand_is_read_and_written(held: u32, given: u32, locked: bool) -> Outcome {
    let mut stage = Stage::of(Mode::Protected, |a| {
        if locked {
            a.lock().xadd(dword_ptr(MMIO_HOLE), eax)?;
        } else {
            a.xadd(dword_ptr(MMIO_HOLE), eax)?;
        }
        a.hlt()
    })?;
    stage.enter_with(|regs| regs.rax = held.into())?;
    let exit = stage.run()?;
    equal(&exit, &Exit::Mmio { write: false, address: MMIO_HOLE, data: vec![0; 4] })?;
    stage.reply(&exit, &given.to_le_bytes())?;
    let sum = held.wrapping_add(given);
    let data = sum.to_le_bytes().to_vec();
    equal(stage.run()?, Exit::Mmio { write: true, address: MMIO_HOLE, data })?;
    equal(stage.run()?, Exit::Hlt)?;
    let flags = stage.registers()?.rflags;
    equal((flags & 1 != 0, flags & 1 << 6 != 0), (held.checked_add(given).is_none(), sum == 0))?;
    stage.ended(|end| (end.regs.rax, end.regs.rflags) = (given.into(), flags))
}
claim!(
    a_changed_operand_is_read_and_written,
    "XADD on an address without a slot leaves one KVM_EXIT_MMIO to read and one to write, with LOCK and without",
    [Api(MMIO)],
);

fn read_only_slots_are_written_to_the_host(offset: u16, value: u8) -> Outcome {
    let address = SLOT + u64::from(offset % 0x1000);
    let mut stage = Stage::of(Mode::Protected, |a| {
        a.mov(byte_ptr(ebx), al)?;
        a.mov(al, byte_ptr(ebx))?;
        a.hlt()
    })?;
    stage.enter_with(|regs| (regs.rax, regs.rbx) = (value.into(), address))?;
    let slot = Arc::new(Memory::new(0x1000)?);
    slot.fill(0xcc)?;
    stage.vm.set_memory(1, abi::KVM_MEM_READONLY, SLOT, &slot)?;
    equal(stage.run()?, Exit::Mmio { write: true, address, data: vec![value] })?;
    equal(stage.run()?, Exit::Hlt)?;
    equal(slot.read(0, slot.len())?.iter().filter(|&&byte| byte != 0xcc).count(), 0)?;
    stage.ended(|end| end.regs.rax = 0xcc)
}
claim!(
    read_only_slots_are_written_to_the_host,
    "A write to a KVM_MEM_READONLY slot leaves KVM_EXIT_MMIO and the memory alone, and a read does not leave",
    [Api("4.35 KVM_SET_USER_MEMORY_REGION"), Api(MMIO)],
    Has(KVM_CAP_READONLY_MEM),
);

fn strings_go_element_by_element(count: u8) -> Outcome {
    let count = u64::from(count % 20) + 1;
    let mut stage = Stage::of(Mode::Protected, |a| {
        a.rep().stosw()?;
        a.hlt()
    })?;
    stage.enter_with(|regs| (regs.rax, regs.rcx, regs.rdi) = (0xbeef, count, MMIO_HOLE))?;
    for index in 0..count {
        let address = MMIO_HOLE + 2 * index;
        equal(stage.run()?, Exit::Mmio { write: true, address, data: vec![0xef, 0xbe] })?;
    }
    equal(stage.run()?, Exit::Hlt)?;
    stage.ended(|end| (end.regs.rcx, end.regs.rdi) = (0, MMIO_HOLE + 2 * count))
}
claim!(
    strings_go_element_by_element,
    "REP STOSW to addresses without a slot leaves one KVM_EXIT_MMIO for each element, upwards",
    [Api(MMIO)],
);

fn parts_come_before_an_interruption() -> Outcome {
    each([Interruption::ImmediateExit, Interruption::Signal], |&how| {
        let stage = moving(Access { address: PAGE + 0xffd, length: 8 }, 0x8877_6655_4433_2211, true)?;
        equal(stage.run()?, Exit::Mmio { write: true, address: PAGE + 0xffd, data: vec![0x11, 0x22, 0x33] })?;
        let second = stage.during(how, || stage.attempt())?;
        let data = vec![0x44, 0x55, 0x66, 0x77, 0x88];
        equal(second, (None, Exit::Mmio { write: true, address: PAGE + 0x1000, data }))?;
        stage.interrupt(how)?;
        equal(stage.run()?, Exit::Hlt)?;
        stage.ended(|_| ())
    })
}
claim!(
    parts_come_before_an_interruption,
    "KVM_RUN gives the second part of an access that crosses pages although a signal or immediate_exit waits",
    [Api("5. The kvm_run structure"), Code("complete_emulated_mmio, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_IMMEDIATE_EXIT),
);

/// A store, which is done by the time of its exit.
pub(super) fn store() -> Result<Provoked, Stop> {
    let stage = moving(Access { address: PAGE, length: 4 }, 0x4433_2211, true)?;
    Ok(Provoked::of(stage, Exit::Mmio { write: true, address: PAGE, data: vec![0x11, 0x22, 0x33, 0x44] }))
}

/// A load: RIP stays at the instruction until KVM_RUN completes it.
pub(super) fn load() -> Result<Provoked, Stop> {
    let stage = moving(Access { address: PAGE + 3, length: 8 }, 0, false)?;
    let (at, taken) = (stage.before(0), 0x8877_6655_4433_2211);
    let mut provoked = Provoked::of(stage, Exit::Mmio { write: false, address: PAGE + 3, data: vec![0; 8] });
    (provoked.at, provoked.completed.rax) = (at, taken);
    if let Some((_, end)) = &mut provoked.end {
        end.regs.rax = taken;
    }
    Ok(Provoked { reply: Reply::Bytes(taken.to_le_bytes().to_vec()), ..provoked })
}
