//! The page of port I/O data: api.rst 5, KVM_EXIT_IO.

use harness::kvm::{Exit, Mapping, Plain};
use harness::{Outcome, Stop, claim, each, equal, holds, within};
use proptest::collection::vec;
use proptest::prelude::{Arbitrary, BoxedStrategy, Strategy, any};
use serde::{Deserialize, Serialize};

use super::pages::{PAGE, PIO, map};
use super::real_mode::{RAM, RealMode, input, out};

/// Where the data of a string instruction lies in RAM.
const STRING: u16 = 0x2000;
/// More exits than any string here takes.
const BUDGET: usize = 256;

/// A few bytes, and at least one.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Bytes(Vec<u8>);

impl Arbitrary for Bytes {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> Self::Strategy {
        vec(any::<u8>(), 1..200).prop_map(Self).boxed()
    }
}

fn out_byte(port: u8, byte: u8) -> Outcome {
    let guest = RealMode::running(&[0xb0, byte, 0xe6, port, 0xf4])?; // mov al, byte; out port, al; hlt
    let page = map(&guest.vcpu, PIO, 1)?;
    equal(guest.run()?, out(port.into(), &[byte]))?;
    equal(page.get::<u8>(0), byte)?;
    equal(guest.run_to_halt(0)?, vec![])?;
    guest.ended(|end| end.regs.rax = byte.into())
}
claim!(
    out_byte,
    "OUT imm8, AL lays AL at the beginning of the port I/O page, to which data_offset points",
    [Api("5. The kvm_run structure"), Code("emulator_pio_in_out, arch/x86/kvm/x86.c")],
);

fn out_word(port: u16, word: u16) -> Outcome {
    let ([low, high], [port_low, port_high]) = (word.to_le_bytes(), port.to_le_bytes());
    // mov ax, word; mov dx, port; out dx, ax; hlt
    let guest = RealMode::running(&[0xb8, low, high, 0xba, port_low, port_high, 0xef, 0xf4])?;
    let page = map(&guest.vcpu, PIO, 1)?;
    equal(guest.run()?, out(port, &[low, high]))?;
    equal(page.get::<u16>(0), word)?;
    equal(guest.run_to_halt(0)?, vec![])?;
    guest.ended(|end| (end.regs.rax, end.regs.rdx) = (word.into(), port.into()))
}
claim!(
    out_word,
    "OUT DX, AX lays two bytes in the port I/O page, the lower first",
    [Api("5. The kvm_run structure")],
);

fn out_double_word(port: u8, value: u32) -> Outcome {
    let [a, b, c, d] = value.to_le_bytes();
    // mov eax, value; out port, eax; hlt
    let guest = RealMode::running(&[0x66, 0xb8, a, b, c, d, 0x66, 0xe7, port, 0xf4])?;
    let page = map(&guest.vcpu, PIO, 1)?;
    equal(guest.run()?, out(port.into(), &[a, b, c, d]))?;
    equal(page.get::<u32>(0), value)?;
    equal(guest.run_to_halt(0)?, vec![])?;
    guest.ended(|end| end.regs.rax = value.into())
}
claim!(
    out_double_word,
    "OUT imm8, EAX lays four bytes in the port I/O page, the lowest first",
    [Api("5. The kvm_run structure")],
);

/// Runs `code`, a `mov eax, 0x11223344` before an IN of `reply` and an HLT behind it, and checks what is then in RAX.
fn answers<T: Plain>(instruction: &[u8], reply: T, rax: u64) -> Outcome {
    let mut code = vec![0x66, 0xb8, 0x44, 0x33, 0x22, 0x11];
    code.extend(instruction);
    code.push(0xf4);
    let guest = RealMode::running(&code)?;
    let page = map(&guest.vcpu, PIO, 1)?;
    let size = u8::try_from(size_of::<T>()).unwrap_or(u8::MAX);
    equal(guest.run()?, input(0x61, size, 1))?;
    page.put(0, u64::MAX);
    page.put(0, reply);
    equal(guest.run_to_halt(0)?, vec![])?;
    guest.ended(|end| end.regs.rax = rax)
}

fn in_byte(reply: u8) -> Outcome {
    answers(&[0xe4, 0x61], reply, 0x1122_3300 | u64::from(reply))
}
claim!(
    in_byte,
    "IN AL, imm8 takes one byte from the port I/O page and leaves the rest of EAX",
    [Api("5. The kvm_run structure")],
);

fn in_word(reply: u16) -> Outcome {
    answers(&[0xe5, 0x61], reply, 0x1122_0000 | u64::from(reply))
}
claim!(
    in_word,
    "IN AX, imm8 takes two bytes from the port I/O page, the lower first, and leaves the rest of EAX",
    [Api("5. The kvm_run structure")],
);

fn in_double_word(reply: u32) -> Outcome {
    answers(&[0x66, 0xe5, 0x61], reply, reply.into())
}
claim!(
    in_double_word,
    "IN EAX, imm8 takes four bytes from the port I/O page, the lowest first",
    [Api("5. The kvm_run structure")],
);

fn unanswered_reads_zero() -> Outcome {
    // out 0x60, al leaves AL in the page; in al, 0x61; hlt
    let guest = RealMode::running(&[0xb0, 0xee, 0xe6, 0x60, 0xe4, 0x61, 0xf4])?;
    equal(guest.run()?, out(0x60, &[0xee]))?;
    equal(guest.run()?, input(0x61, 1, 1))?;
    equal(guest.run_to_halt(0)?, vec![])?;
    guest.ended(|_| ())
}
claim!(
    unanswered_reads_zero,
    "IN that user space does not answer reads 0, not what the last OUT left in the port I/O page",
    [Code("emulator_pio_in_out, arch/x86/kvm/x86.c")],
);

/// Sets the vCPU up for a string instruction over `count` bytes from `STRING` on.
fn aim(guest: &RealMode, count: usize) -> Outcome {
    let mut regs = guest.vcpu.get_regs()?;
    (regs.rsi, regs.rdi, regs.rcx, regs.rdx) = (STRING.into(), STRING.into(), count as u64, 0x62);
    Ok(guest.vcpu.set_regs(&regs)?)
}

fn outs_comes_whole(bytes: Bytes) -> Outcome {
    let Bytes(bytes) = bytes;
    let guest = RealMode::running(&[0xf3, 0x6e, 0xf4])?; // rep outsb; hlt
    guest.ram.write(STRING.into(), &bytes)?;
    aim(&guest, bytes.len())?;
    let mut told = Vec::new();
    for exit in guest.run_to_halt(BUDGET)? {
        told.extend(written(&exit)?);
    }
    equal(&told, &bytes)?;
    guest.ended(|end| {
        end.ram[usize::from(STRING)..][..bytes.len()].copy_from_slice(&bytes);
        (end.regs.rsi, end.regs.rdi) = (u64::from(STRING) + bytes.len() as u64, STRING.into());
        (end.regs.rcx, end.regs.rdx) = (0, 0x62);
    })
}
claim!(
    outs_comes_whole,
    "REP OUTSB lays every byte in the port I/O page, count of them at each exit, in order",
    [Api("5. The kvm_run structure")],
);

/// The bytes that an exit of OUTS to port 0x62 carries, all within the port I/O page.
fn written(exit: &Exit) -> Result<Vec<u8>, Stop> {
    match exit {
        Exit::Io { out: true, size: 1, port: 0x62, count, data_offset, data } => {
            equal(data.len(), *count as usize)?;
            within(*data_offset, (PIO * PAGE) as u64, ((PIO + 1) * PAGE - data.len()) as u64)?;
            Ok(data.clone())
        }
        other => {
            holds(false, format_args!("{other:?} is an OUT of bytes to port 0x62"))?;
            Ok(Vec::new())
        }
    }
}

fn ins_takes_what_was_laid_there(bytes: Bytes) -> Outcome {
    let Bytes(bytes) = bytes;
    let guest = RealMode::running(&[0xf3, 0x6c, 0xf4])?; // rep insb; hlt
    let page = map(&guest.vcpu, PIO, 1)?;
    aim(&guest, bytes.len())?;
    let mut given = 0;
    while given < bytes.len() {
        let count = asked(&guest.run()?)?;
        within(count, 1, bytes.len() - given)?;
        lay(&page, &bytes[given..given + count]);
        given += count;
    }
    equal(guest.run_to_halt(0)?, vec![])?;
    guest.ended(|end| {
        end.ram[usize::from(STRING)..][..bytes.len()].copy_from_slice(&bytes);
        (end.regs.rdi, end.regs.rsi) = (u64::from(STRING) + bytes.len() as u64, STRING.into());
        (end.regs.rcx, end.regs.rdx) = (0, 0x62);
    })
}
claim!(
    ins_takes_what_was_laid_there,
    "REP INSB takes as many bytes from the port I/O page as each exit's count says, and stores them in order",
    [Api("5. The kvm_run structure")],
);

/// How many bytes an exit of INS from port 0x62 asks for.
fn asked(exit: &Exit) -> Result<usize, Stop> {
    match exit {
        Exit::Io { out: false, size: 1, port: 0x62, count, data_offset, .. } => {
            equal(*data_offset, (PIO * PAGE) as u64)?;
            Ok(*count as usize)
        }
        other => {
            holds(false, format_args!("{other:?} is an IN of bytes from port 0x62"))?;
            Ok(0)
        }
    }
}

fn lay(page: &Mapping, bytes: &[u8]) {
    for (at, byte) in bytes.iter().enumerate() {
        page.put(at, *byte);
    }
}

fn ins_reads_ahead() -> Outcome {
    // Up to the end of a page of RAM, from each of a few distances before it.
    each([(0x2000u16, 16u32), (0x2ff0, 16), (0x2ff8, 8), (0x2fff, 1)], |&(start, together)| {
        let guest = RealMode::running(&[0xf3, 0x6c, 0xf4])?; // rep insb; hlt
        aim(&guest, 16)?;
        let mut regs = guest.vcpu.get_regs()?;
        regs.rdi = start.into();
        guest.vcpu.set_regs(&regs)?;
        equal(guest.run()?, input(0x62, 1, together))?;
        guest.run_to_halt(16)?;
        guest.ended(|end| {
            let (from, to) = (usize::from(start), usize::from(start) + 16);
            end.ram[from..to.min(RAM)].fill(0);
            (end.regs.rdi, end.regs.rsi) = (to as u64, STRING.into());
            (end.regs.rcx, end.regs.rdx) = (0, 0x62);
        })
    })
}
claim!(
    ins_reads_ahead,
    "REP INSB asks at once for all bytes up to the end of the page that it fills",
    [Observed("pio_in_emulated, arch/x86/kvm/emulate.c of Linux 6.1 and 6.12")],
);
