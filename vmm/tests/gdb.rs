//! A debugger that speaks the remote protocol itself, at small kernels on this host's KVM: GDB manual, "Remote Serial Protocol".
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod small;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use small::{LIMIT, pc};
use vmm::gdb::serve;
use vmm::{End, IrqChip, Machine};

const START: u64 = 0x1000;
/// Where the loop begins, where it writes to memory, and where it leaves to.
const LOOP: u64 = START + 4;
const STORE: u64 = LOOP + 1;
const DATA: u64 = 0x8000;
const EXIT: u64 = START + 10;
#[rustfmt::skip]
const CODE: &[u8] = &[
    0xb8, 0x05, 0x00,       // mov ax, 5
    0x90,                   // nop
    0x40,                   // inc ax
    0xa3, 0x00, 0x80,       // mov [0x8000], ax
    0xeb, 0xfa,             // jmp inc
    0xb0, 0x00, 0xe6, 0xf4, // mov al, 0; out 0xf4, al
    0xeb, 0xfe,             // jmp $
];

/// Lets the code begin in real mode, where KVM's emulator, which runs all code on some hosts, knows a breakpoint instruction.
fn begin(machine: &mut Machine) {
    machine.ram().write(START, CODE).unwrap();
    let cpu = machine.cpu(0).unwrap();
    let mut sregs = cpu.sregs().unwrap();
    (sregs.cs.base, sregs.cs.selector) = (0, 0);
    cpu.set_sregs(&sregs).unwrap();
    cpu.set_regs(&kvm_bindings::kvm_regs { rip: START, rflags: 2, ..Default::default() }).unwrap();
}

/// Shows the processor the lowest 2 MiB at their own addresses, and once more from [`ELSEWHERE`] on.
fn page(machine: &mut Machine) {
    const TABLES: u64 = 0x30_0000;
    let tables = [(0, TABLES + 0x1003), (0x1000, TABLES + 0x2003), (0x1008, TABLES + 0x2003), (0x2000, 0x83)];
    for (at, entry) in tables {
        machine.ram().write(TABLES + at, &u64::to_le_bytes(entry)).unwrap();
    }
    let cpu = machine.cpu(0).unwrap();
    let mut sregs = cpu.sregs().unwrap();
    (sregs.cr0, sregs.cr3, sregs.cr4, sregs.efer) = (1 << 31 | 0x11, TABLES, 1 << 5, 1 << 8 | 1 << 10);
    (sregs.cs.l, sregs.cs.db) = (1, 0);
    cpu.set_sregs(&sregs).unwrap();
}

const ELSEWHERE: u64 = 1 << 30;

struct Debugger {
    stream: UnixStream,
    machine: JoinHandle<(Machine, Option<End>)>,
}

impl Debugger {
    /// At a machine of so many processors that stands at the beginning of the code, where there is KVM.
    fn at(cpus: u32) -> Option<Self> {
        Self::at_machine(cpus, |_| {})
    }

    /// The same, behind what is done to the machine first.
    fn at_machine(cpus: u32, does: impl FnOnce(&mut Machine)) -> Option<Self> {
        let mut machine = pc(IrqChip::Kernel, cpus)?;
        begin(&mut machine);
        does(&mut machine);
        let (stream, other) = UnixStream::pair().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let machine = thread::spawn(move || {
            let end = serve(&mut machine, other.into()).unwrap();
            (machine, end)
        });
        Some(Self { stream, machine })
    }

    fn say(&mut self, words: &str) {
        let sum = words.bytes().fold(0, u8::wrapping_add);
        self.stream.write_all(format!("${words}#{sum:02x}").as_bytes()).unwrap();
    }

    fn byte(&mut self) -> u8 {
        let mut byte = [0];
        self.stream.read_exact(&mut byte).unwrap();
        byte[0]
    }

    /// The next answer, with runs of one letter written out.
    fn answer(&mut self) -> String {
        while self.byte() != b'$' {}
        let mut words = String::new();
        loop {
            match self.byte() {
                b'#' => break,
                b'*' => {
                    let last = words.chars().last().unwrap();
                    let count = self.byte() - 29;
                    words.extend((0..count).map(|_| last));
                }
                byte => words.push(byte.into()),
            }
        }
        let _ = (self.byte(), self.byte());
        self.stream.write_all(b"+").unwrap();
        words
    }

    fn ask(&mut self, words: &str) -> String {
        self.say(words);
        self.answer()
    }

    /// RAX and RIP.
    fn registers(&mut self) -> (u64, u64) {
        let words = self.ask("g");
        let number = |at: usize| u64::from_str_radix(&words[at..at + 16], 16).unwrap().swap_bytes();
        (number(0), number(0x80 * 2))
    }

    fn jump(&mut self, rip: u64) {
        let mut words = self.ask("g");
        words.replace_range(0x100..0x110, &format!("{:016x}", rip.swap_bytes()));
        assert_eq!(self.ask(&format!("G{words}")), "OK");
    }
}

#[test]
fn steps_and_an_interrupt_stop_the_guest() {
    let Some(mut debugger) = Debugger::at(1) else { return };
    let d = &mut debugger;
    assert!(d.ask("qSupported:swbreak+;hwbreak+").contains("swbreak+"));
    d.ask("?");
    assert_eq!(d.registers().1, START);
    assert_eq!(d.ask(&format!("m{START:x},5")), "b805009040");
    d.jump(LOOP);
    assert!(d.ask("vCont;s:1").starts_with("T05"));
    assert_eq!(d.registers(), (1, STORE));
    assert!(d.ask("vCont;s:1").starts_with("T05"));
    assert_eq!(d.ask(&format!("m{DATA:x},2")), "0100");
    d.say("c");
    thread::sleep(Duration::from_millis(20));
    d.stream.write_all(&[3]).unwrap();
    assert!(d.answer().starts_with("T02"));
    assert!(d.registers().0 > 1, "it has run");
    assert_eq!(d.ask(&format!("M{DATA:x},1:7f")), "OK");
    assert_eq!(d.ask(&format!("m{DATA:x},1")), "7f");
    d.jump(EXIT);
    assert_eq!(d.ask("c"), "W01");
    assert_eq!(debugger.machine.join().unwrap().1, Some(End::Exited { status: 1 }));
}

/// Whether KVM leaves the guest for them is its own affair, and not every one does; claims in the lab have it.
#[test]
fn a_breakpoint_is_an_instruction_until_it_is_taken_away() {
    let Some(mut d) = Debugger::at(1) else { return };
    d.ask("?");
    assert_eq!(d.ask(&format!("Z0,{LOOP:x},1")), "OK");
    assert_eq!(d.ask(&format!("m{START:x},5")), "b8050090cc");
    assert_eq!(d.ask(&format!("z0,{LOOP:x},1")), "OK");
    assert_eq!(d.ask(&format!("m{START:x},5")), "b805009040");
    assert_eq!(d.ask(&format!("Z1,{LOOP:x},1")), "OK");
    assert_eq!(d.ask(&format!("z1,{LOOP:x},1")), "OK");
    assert!(d.ask(&format!("z1,{LOOP:x},1")).starts_with('E'));
}

#[test]
fn memory_is_where_the_page_tables_have_it() {
    let Some(mut d) = Debugger::at_machine(1, page) else { return };
    d.ask("?");
    for from in [0, ELSEWHERE] {
        assert_eq!(d.ask(&format!("m{:x},5", from + START)), "b805009040");
    }
    assert_eq!(d.ask(&format!("M{:x},2:1234", ELSEWHERE + DATA)), "OK");
    assert_eq!(d.ask(&format!("m{DATA:x},2")), "1234");
    // Two pages lie behind each other, and nothing behind the second.
    assert_eq!(d.ask("m1ffffe,4"), "0000");
    assert!(d.ask("m200000,1").starts_with('E'));
}

#[test]
fn memory_that_is_none_is_refused_and_so_are_breakpoints_there() {
    let Some(mut d) = Debugger::at(1) else { return };
    d.ask("?");
    assert!(d.ask("mfee00000,4").starts_with('E'));
    assert!(d.ask("Mfec00000,1:00").starts_with('E'));
    assert!(d.ask("Z0,fee00000,1").starts_with('E'));
    assert!(d.ask("Z2,20001,4").starts_with('E'), "it is not aligned");
    for address in 0..4 {
        assert_eq!(d.ask(&format!("Z1,{address:x},1")), "OK");
    }
    assert!(d.ask("Z1,10,1").starts_with('E'), "there are four");
}

#[test]
fn a_debugger_that_goes_leaves_the_guest_as_it_was() {
    for goes in ["D", ""] {
        let Some(mut d) = Debugger::at(1) else { return };
        d.ask("?");
        d.jump(EXIT);
        assert_eq!(d.ask(&format!("Z0,{EXIT:x},1")), "OK");
        if goes == "D" {
            assert_eq!(d.ask("D"), "OK");
        }
        drop(d.stream);
        let (mut machine, end) = d.machine.join().unwrap();
        assert_eq!(end, None);
        assert_eq!(machine.run(LIMIT).unwrap(), End::Exited { status: 1 });
    }
}

#[test]
fn processors_are_threads() {
    let Some(mut d) = Debugger::at(2) else { return };
    d.ask("?");
    assert_eq!(d.ask("qfThreadInfo"), "m01,02");
    assert_eq!(d.ask("Hg2"), "OK");
    assert_eq!(d.registers(), (0, 0xfff0), "the second waits at its reset vector");
    assert_eq!(d.ask("Hg1"), "OK");
    assert_eq!(d.registers().1, START);
    let told = d.ask("vCont;s:1");
    assert!(told.contains("thread:01"), "{told}");
    assert_eq!(d.registers(), (5, START + 3));
    assert_eq!(d.ask("T3").chars().next(), Some('E'));
    d.say("k");
    assert_eq!(d.machine.join().unwrap().1, Some(End::Stopped));
}
