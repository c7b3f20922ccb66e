//! Small kernels with a Multiboot header, written byte by byte, and a PC for them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test file uses what it needs")]

use std::time::Duration;

use vmm::boot::{Boot, Entry, File, load};
use vmm::{Builder, End, IrqChip, Limit, Machine, accel, machine_class};

const LOAD: u32 = 0x10_0000;
pub(crate) const LIMIT: Limit = Limit { time: Duration::from_secs(60), exits: u64::MAX };

/// A kernel that its header says how to load, of this code.
pub(crate) fn kernel(flags: u32, code: &[u8]) -> File {
    let flags = 0x1_0000 | flags;
    let checksum = 0_u32.wrapping_sub(0x1bad_b002).wrapping_sub(flags);
    let header = [0x1bad_b002, flags, checksum, LOAD, LOAD, 0, 0, LOAD + 32];
    let contents = header.iter().flat_map(|word: &u32| word.to_le_bytes()).chain(code.iter().copied());
    File { name: "kernel".to_owned(), contents: contents.collect() }
}

pub(crate) fn boot(code: &[u8]) -> Boot {
    Boot { kernel: kernel(0, code), initrd: None, append: "one two".to_owned(), entry: Entry::Best }
}

/// A PC with what tests need of it; none, with the reason printed, where there is no KVM.
pub(crate) fn pc(irqchip: IrqChip, cpus: u32) -> Option<Machine> {
    match accel::open("kvm") {
        Err(error) => {
            println!("skipped: cannot {error}");
            None
        }
        Ok((_, hypervisor)) => {
            let builder = Builder::with_cpus(hypervisor, 4 << 20, cpus, irqchip).unwrap();
            let builder = (machine_class("pc").unwrap().furnish)(builder).unwrap();
            let builder = builder.model("isa-debug-exit").and_then(|builder| builder.model("isa-debugcon"));
            Some(builder.unwrap().build().unwrap())
        }
    }
}

pub(crate) fn run(machine: &mut Machine, code: &[u8]) -> End {
    load(machine, &boot(code)).unwrap();
    machine.run(LIMIT).unwrap()
}

/// Sets up a table of interrupts whose every gate leads to `handler`, sets EBP to how many interrupts there are to be, goes through
/// `setup` and waits. The handler goes back to the waiting without IRET: KVM's emulator, which runs code without paging on some hosts,
/// does not know that in protected mode. After the last interrupt the machine ends with a status of 1.
pub(crate) fn interrupt_kernel(count: u32, handler: &[u8], setup: &[u8]) -> Vec<u8> {
    #[rustfmt::skip]
    let mut code = vec![
        0xbc, 0x00, 0x00, 0x20, 0x00,                   // mov esp, 0x200000
        0xbf, 0x00, 0x00, 0x11, 0x00,                   // mov edi, 0x110000
        0xb9, 0x00, 0x01, 0x00, 0x00,                   // mov ecx, 256
        0xb8, 0xc8, 0x00, 0x08, 0x00,                   // mov eax, 8 << 16 | 0x00c8
        0xba, 0x00, 0x8e, 0x10, 0x00,                   // mov edx, 0x0010 << 16 | 0x8e00
        0xab,                                           // stosd
        0x92,                                           // xchg eax, edx
        0xab,                                           // stosd
        0x92,                                           // xchg eax, edx
        0xe2, 0xfa,                                     // loop stosd
        0x0f, 0x01, 0x1d, 0x98, 0x00, 0x10, 0x00,       // lidt [0x100098]
        0x0f, 0x01, 0x15, 0xa0, 0x00, 0x10, 0x00,       // lgdt [0x1000a0]
        0xbd,                                           // mov ebp, count
    ];
    code.extend(count.to_le_bytes());
    jump(&mut code, 0x140);
    code.resize(0x98 - 32, 0x90);
    code.extend([0xff, 0x07, 0x00, 0x00, 0x11, 0x00, 0x90, 0x90]); // limit and base of the interrupts
    code.extend([0x17, 0x00, 0xa8, 0x00, 0x10, 0x00, 0x90, 0x90]); // and of the segments
    for segment in [0_u64, 0x00cf_9b00_0000_ffff, 0x00cf_9300_0000_ffff] {
        code.extend(segment.to_le_bytes());
    }
    code.extend([0xfb, 0xf4, 0xeb, 0xfc]); // sti; hlt; jmp sti
    code.resize(0xc8 - 32, 0x90);
    code.extend(handler);
    #[rustfmt::skip]
    code.extend([
        0x4d,                                           // dec ebp
        0x75, 0x04,                                     // jnz add
        0xb0, 0x00, 0xe6, 0xf4,                         // mov al, 0; out 0xf4, al
        0x83, 0xc4, 0x0c,                               // add esp, 12
    ]);
    jump(&mut code, 0xc0);
    assert!(code.len() + 32 <= 0x140, "the handler is too long");
    code.resize(0x140 - 32, 0x90);
    code.extend(setup);
    jump(&mut code, 0xc0);
    code
}

/// Goes to an offset from where the kernel's file begins.
fn jump(code: &mut Vec<u8>, to: i32) {
    let behind = 32 + i32::try_from(code.len()).unwrap() + 5;
    code.push(0xe9); // jmp to
    code.extend((to - behind).to_le_bytes());
}

/// Writes bytes to ports.
pub(crate) fn outs(words: &[(u8, u8)]) -> Vec<u8> {
    words.iter().flat_map(|(port, byte)| [0xb0, *byte, 0xe6, *port]).collect() // mov al, byte; out port, al
}

/// Writes words to memory.
pub(crate) fn stores(words: &[(u32, u32)]) -> Vec<u8> {
    let store = |(address, word): &(u32, u32)| {
        [&[0xc7, 0x05], &address.to_le_bytes()[..], &word.to_le_bytes()].concat()
    };
    words.iter().flat_map(store).collect() // mov dword [address], word
}

/// What initializes the i8259 pair, with these lines of the first and the second masked.
fn pair(first: u8, second: u8) -> Vec<u8> {
    outs(&[
        (0x20, 0x11),
        (0x21, 0x20),
        (0x21, 0x04),
        (0x21, 0x01),
        (0xa0, 0x11),
        (0xa1, 0x28),
        (0xa1, 0x02),
        (0xa1, 0x01),
        (0x21, first),
        (0xa1, second),
    ])
}

/// Takes interrupts of the timer alone, and programs that: 500 times a second.
pub(crate) fn timer_kernel() -> Vec<u8> {
    let timer = outs(&[(0x43, 0x34), (0x40, 0x53), (0x40, 0x09)]);
    interrupt_kernel(5, &outs(&[(0xe9, b'!'), (0x20, 0x20)]), &[pair(0xfe, 0xff), timer].concat())
}

/// Takes those of the clock alone, 1024 times a second: each waits for register C to be read.
pub(crate) fn clock_kernel() -> Vec<u8> {
    let handler =
        [&outs(&[(0xe9, b'!'), (0x70, 0x0c)])[..], &[0xe4, 0x71], &outs(&[(0xa0, 0x20), (0x20, 0x20)])];
    let clock = [&outs(&[(0x70, 0x0b), (0x71, 0x42), (0x70, 0x0c)])[..], &[0xe4, 0x71]]; // in al, 0x71
    interrupt_kernel(5, &handler.concat(), &[pair(0xfb, 0xfe), clock.concat()].concat())
}
