//! QEMU's text protocol is answered as it is written down.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::time::Duration;

use rstest::rstest;
use vmm::qtest::Session;
use vmm::{Builder, Console, End, Input, IrqChip, Limit, Machine, accel, machine_class};

fn pc() -> Machine {
    let (_, hypervisor) = accel::open("qtest").unwrap();
    let builder = Builder::with_cpus(hypervisor, 16 << 20, 1, IrqChip::User).unwrap();
    let builder = (machine_class("pc").unwrap().furnish)(builder).unwrap();
    builder.model("pc-testdev").and_then(|builder| builder.model("isa-debug-exit")).unwrap().build().unwrap()
}

#[rstest]
#[case("outb 0xe0 0x5a", "OK\n")]
#[case("outw 0xe0 0x5a", "OK\n")]
#[case("outl 0xe0 0x5a", "OK\n")]
#[case("inb 0x64", "OK 0x0014\n")]
#[case("inw 0x2f8", "OK 0xffff\n")]
#[case("inl 0x2f8", "OK 0xffffffff\n")]
#[case("writeb 0x1000 1", "OK\n")]
#[case("writew 0x1000 1", "OK\n")]
#[case("writel 0x1000 1", "OK\n")]
#[case("writeq 0x1000 1", "OK\n")]
#[case("readb 0x1000", "OK 0x0000000000000000\n")]
#[case("readl 0xfec00000", "OK 0x0000000000000000\n")]
#[case("readq 0xd0000000", "OK 0xffffffffffffffff\n")]
#[case("write 0x1000 2 0xabcd", "OK\n")]
#[case("read 0x1000 3", "OK 0x000000\n")]
#[case("b64write 0x1000 2 q80=", "OK\n")]
#[case("b64read 0x1000 3", "OK AAAA\n")]
#[case("memset 0x1000 16 0x11", "OK\n")]
#[case("clock_step 1000", "OK 1000\n")]
#[case("clock_set 12", "OK 12\n")]
#[case("irq_intercept_in ioapic", "OK\n")]
#[case("irq_intercept_in pci", "FAIL Unknown device\n")]
#[case("set_irq_in ioapic unnamed-gpio-in 4 1", "OK\n")]
#[case("set_irq_in ioapic unnamed-gpio-in 99 1", "FAIL it has no such line\n")]
#[case("endianness", "OK little\n")]
#[case("outb 0xe0", "FAIL a word is missing\n")]
#[case("outb 0xe0 many", "FAIL 'many' is no number\n")]
#[case("read 0 0xffffffffffff", "FAIL at most 8388608 bytes at once\n")]
#[case("make_coffee", "FAIL Unknown command 'make_coffee'\n")]
#[case("", "FAIL Unknown command ''\n")]
fn every_request_has_its_reply(#[case] request: &str, #[case] reply: &str) {
    let machine = pc();
    assert_eq!(Session::new(&machine).answer(request), reply);
}

#[rstest]
#[case("writel 010 -1", "read 8 5", "OK 0xffffffff00\n")]
#[case("write 0x1000 4 0x01020304", "readl 4096", "OK 0x0000000004030201\n")]
#[case("b64write 0x1000 4 AQID", "read 0x1000 4", "OK 0x01020300\n")]
#[case("memset 0x1000 3 0xab", "readl 0x1000", "OK 0x0000000000ababab\n")]
#[case("outl 0xcf8 0x80000000", "inl 0xcfc", "OK 0x12378086\n")]
#[case("outl 0xcf8 0x80000900", "inw 0xcfe", "OK 0x7010\n")]
#[case("outl 0xcf8 0x8000f800", "inl 0xcfc", "OK 0xffffffff\n")]
#[case("outb 0xcf8 0x80", "inl 0xcf8", "OK 0x0000\n")]
#[case("writeb 0xc0000 1", "readb 0xc0000", "OK 0x00000000000000ff\n")]
#[case("outl 0xe0 0x12345678", "inw 0xe1", "OK 0x3456\n")]
fn what_is_written_is_read(#[case] write: &str, #[case] read: &str, #[case] reply: &str) {
    let machine = pc();
    let mut session = Session::new(&machine);
    assert_eq!(session.answer(write), "OK\n");
    assert_eq!(session.answer(read), reply);
}

/// A session as one would type it: the timer is programmed, its line watched, and time let pass.
#[test]
fn lines_are_told_before_the_reply_that_they_happen_for() {
    let machine = pc();
    let mut session = Session::new(&machine);
    let mut says = |request: &str| session.answer(request);
    assert_eq!(says("irq_intercept_in ioapic"), "OK\n");
    assert_eq!(says("outb 0x43 0x30"), "OK\n");
    assert_eq!(says("outb 0x40 0x20"), "OK\n");
    assert_eq!(says("outb 0x40 0x00"), "OK\n");
    assert_eq!(says("clock_step 10000"), "OK 10000\n");
    assert_eq!(says("clock_step"), "IRQ raise 0\nOK 27658\n");
    assert_eq!(says("outb 0x43 0x30"), "IRQ lower 0\nOK\n");
    assert_eq!(says("outb 0x2005 1"), "IRQ raise 5\nOK\n");
}

/// A function is given an address, is told to answer there, and does.
#[test]
fn a_function_is_configured_line_by_line() {
    let (_, hypervisor) = accel::open("qtest").unwrap();
    let builder = Builder::with_cpus(hypervisor, 16 << 20, 1, IrqChip::User).unwrap();
    let builder = (machine_class("pc").unwrap().furnish)(builder).unwrap();
    let machine = builder.model("pci-testdev").and_then(Builder::build).unwrap();
    let mut session = Session::new(&machine);
    let mut says = |request: &str| session.answer(request);
    for request in [
        "outl 0xcf8 0x80001010",
        "outl 0xcfc 0xe0000000",
        "outl 0xcf8 0x80001004",
        "outw 0xcfc 0x2",
        "writeb 0xe0000000 1",
    ] {
        assert_eq!(says(request), "OK\n");
    }
    assert_eq!(says("read 0xe0000010 13"), "OK 0x6d6d696f2d77696c6463617264\n");
    assert_eq!(says("writeb 0xe0000801 7"), "OK\n");
    assert_eq!(says("readl 0xe000000c"), "OK 0x0000000000000001\n");
}

#[test]
fn a_conversation_over_a_socket_ends_with_the_machine() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qtest");
    let listener = UnixListener::bind(&path).unwrap();
    let server = std::thread::spawn(move || {
        let machine = pc();
        let stream = std::os::unix::net::UnixStream::connect(path).unwrap();
        Session::new(&machine).serve(BufReader::new(stream.try_clone().unwrap()), stream).unwrap()
    });
    let (mut stream, _) = listener.accept().unwrap();
    stream.write_all(b"endianness\noutb 0xf4 0x10\n").unwrap();
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
    assert_eq!((lines.next().as_deref(), lines.next().as_deref()), (Some("OK little"), Some("OK")));
    assert_eq!(server.join().unwrap(), End::Exited { status: 0x21 });
    assert_eq!(lines.next(), None);
}

#[test]
fn eight_mebibytes_fit_into_a_line() {
    let machine = pc();
    let mut output = Vec::new();
    let input = format!("write 0x100000 0x800000 0x{}\nreadb 0x8fffff\n", "5a".repeat(8 << 20));
    Session::new(&machine).serve(input.as_bytes(), &mut output).unwrap();
    assert_eq!(output, b"OK\nOK 0x000000000000005a\n");
}

#[test]
fn what_is_typed_ahead_waits_for_the_guest() {
    let mut machine = pc();
    let (from, mut typist) = std::io::pipe().unwrap();
    let typing = std::thread::spawn(move || {
        let text: Vec<u8> = (0..=u8::MAX).cycle().take(3 * Console::ROOM).collect();
        typist.write_all(&text)
    });
    let to = machine.wires().serial[0].clone();
    machine.add_input(Input { from: from.into(), to: to.clone(), filter: Box::new(|_| false) });
    let limit = Limit { time: Duration::from_millis(300), ..Limit::default() };
    assert_eq!(machine.run(limit).unwrap(), End::OutOfTime);
    // The serial port has received the first byte.
    assert_eq!(to.typed(), Some(1));
    drop(machine);
    assert!(typing.join().unwrap().is_err(), "more was written than a console holds");
}

#[test]
fn an_end_of_input_stops_and_a_reset_goes_on() {
    let machine = pc();
    let mut output = Vec::new();
    let input = &b"outb 0xe0 7\noutb 0x64 0xfe\ninb 0xe0"[..];
    assert_eq!(Session::new(&machine).serve(input, &mut output).unwrap(), End::Stopped);
    assert_eq!(output, b"OK\nOK\nOK 0x0000\n");
}
