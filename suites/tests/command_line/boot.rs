//! `assay boot` as a person meets it: QEMU's spelling, a payload that says something, what is wrong in one sentence, and a conversation
//! in QEMU's text protocol.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;

use crate::assay::{Said, assay, command, usable};

/// A kernel with a Multiboot header, of this code.
fn kernel(folder: &TempDir, code: &[u8]) -> PathBuf {
    const LOAD: u32 = 0x10_0000;
    let flags = 0x1_0000_u32;
    let checksum = 0_u32.wrapping_sub(0x1bad_b002).wrapping_sub(flags);
    let header = [0x1bad_b002, flags, checksum, LOAD, LOAD, 0, 0, LOAD + 32];
    let path = folder.path().join("payload.flat");
    let bytes = header.iter().flat_map(|word: &u32| word.to_le_bytes()).chain(code.iter().copied());
    std::fs::write(&path, bytes.collect::<Vec<u8>>()).unwrap();
    path
}

/// One that says `hi` on the first serial port and exits with 1.
fn payload(folder: &TempDir) -> PathBuf {
    #[rustfmt::skip]
    let code = [
        0x66, 0xba, 0xf8, 0x03, // mov dx, 0x3f8
        0xb0, b'h', 0xee,       // mov al, 'h'; out dx, al
        0xb0, b'i', 0xee,       // mov al, 'i'; out dx, al
        0xb0, 0x00, 0xe6, 0xf4, // mov al, 0; out 0xf4, al
        0xeb, 0xfe,             // jmp $
    ];
    kernel(folder, &code)
}

/// One that says `h`, waits for a byte on the first serial port, says that, and exits with 1.
fn echo(folder: &TempDir) -> PathBuf {
    #[rustfmt::skip]
    let code = [
        0x66, 0xba, 0xf8, 0x03, // mov dx, 0x3f8
        0xb0, b'h', 0xee,       // mov al, 'h'; out dx, al
        0x66, 0xba, 0xfd, 0x03, // mov dx, 0x3fd
        0xec, 0xa8, 0x01,       // in al, dx; test al, 1
        0x74, 0xfb,             // jz in
        0x66, 0xba, 0xf8, 0x03, // mov dx, 0x3f8
        0xec, 0xee,             // in al, dx; out dx, al
        0xb0, 0x00, 0xe6, 0xf4, // mov al, 0; out 0xf4, al
        0xeb, 0xfe,             // jmp $
    ];
    kernel(folder, &code)
}

#[test]
fn a_machine_that_one_process_saves_goes_on_in_another() {
    if !usable() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (payload, saved) = (echo(&folder), folder.path().join("saved"));
    let machine = ["boot", "-device", "isa-debug-exit", "-serial", "stdio", "-m", "16"];
    let boot = |to: &Path| {
        let mut first = command(machine);
        first.arg("-kernel").arg(&payload).args(["-save-after", "1", "-save"]).arg(to);
        Said::of(&first.stdin(Stdio::null()).output().unwrap())
    };
    assert!(boot(folder.path()).sentence(1).ends_with(": it is there and no file"));
    let before = boot(&saved).printed().to_owned();
    let mut second = command(machine);
    second.arg("-restore").arg(&saved).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut second = second.spawn().unwrap();
    second.stdin.take().unwrap().write_all(b"x").unwrap();
    let said = Said::of(&second.wait_with_output().unwrap());
    assert_eq!((said.status, (before + &said.out).as_str(), said.err.as_str()), (Some(1), "hx", ""));
}

#[test]
fn a_payload_is_heard_and_its_status_is_handed_on() {
    if !usable() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let kernel = payload(&folder);
    let environment = folder.path().join("environment");
    std::fs::write(&environment, "NR_CPUS=2\n").unwrap();
    // As the runner of kvm-unit-tests has it.
    let line = "boot --no-reboot -nodefaults -global kvm-pit.lost_tick_policy=discard -device pc-testdev -device \
                isa-debug-exit,iobase=0xf4,iosize=0x4 -display none -serial stdio -machine accel=kvm -smp 2 -m 64 -cpu max \
                -append";
    let mut arguments: Vec<_> = line.split_whitespace().map(Into::into).collect();
    arguments.extend(["one two".into(), "-kernel".into(), kernel.into_os_string()]);
    arguments.extend(["-initrd".into(), environment.into_os_string()]);
    let said = assay(arguments);
    assert_eq!((said.status, said.out.as_str(), said.err.as_str()), (Some(1), "hi", ""));
}

#[test]
fn every_processor_and_place_of_the_controllers_runs_it() {
    if !usable() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let kernel = payload(&folder);
    for words in [
        "-irqchip user",
        "-irqchip split",
        "-cpu qemu64,+x2apic",
        "-cpu host,-avx2",
        "-machine pc,accel=kvm:qtest",
    ] {
        let mut arguments: Vec<_> = ["boot", "-device", "isa-debug-exit"].map(Into::into).to_vec();
        arguments.extend(words.split(' ').map(Into::into));
        arguments.extend(["-kernel".into(), kernel.clone().into_os_string()]);
        let said = assay(arguments);
        assert_eq!((said.status, said.out.as_str(), said.err.as_str()), (Some(1), "hi", ""), "{words}");
    }
}

#[track_caller]
fn refused(line: &str, sentence: &str) {
    let said = assay(line.split_whitespace());
    assert!(said.sentence(1).starts_with(sentence), "{}", said.err);
}

#[test]
fn what_is_wrong_is_said_in_one_sentence() {
    refused("boot", "there is nothing to boot: -kernel FILE or -bios FILE says what");
    refused("boot -kernel /nowhere/kernel", "cannot read /nowhere/kernel: ");
    refused("boot -kernel /", "cannot read /: ");
    refused("boot -accel qtest -kernel /dev/null", "cannot boot /dev/null: it is empty");
    refused(
        "boot -accel qtest -qtest stdio -machine toaster",
        "there is no machine \"toaster\": there is bare, pc",
    );
    refused(
        "boot -accel hal9000 -qtest stdio",
        "cannot open an accel: \"hal9000\" is not known; there is kvm",
    );
    refused("boot -accel qtest -qtest stdio -irqchip kernel", "cannot build a pc: cannot do without");
    refused("boot -accel qtest -qtest stdio -device toaster", "cannot make a device \"toaster\": there is ");
    refused(
        "boot -accel qtest -qtest stdio -cpu i8080",
        "there is no processor \"i8080\": there is host, max, qemu64",
    );
    refused(
        "boot -accel qtest -qtest stdio -cpu max,+x2apc",
        "there is no feature \"x2apc\" of a processor: did you mean x2apic",
    );
    refused("boot -accel qtest -qtest stdio -m lots", "there is no memory of \"lots\"");
    refused("boot -accel qtest -qtest stdio -smp 0", "there are no \"0\" processors: there may be 1 to 255");
    refused(
        "boot -accel qtest -qtest /nowhere/socket",
        "a conversation cannot be at \"/nowhere/socket\": there is stdio",
    );
    refused("boot -accel qtest -qtest unix:/nowhere/socket", "cannot speak at unix:/nowhere/socket: ");
}

#[test]
fn devices_are_listed_as_qemu_lists_them() {
    let said = assay(["boot", "-device", "?"]);
    let printed = said.printed();
    for device in ["pc-testdev", "isa-debug-exit", "i8254"] {
        assert!(
            printed.lines().any(|line| line.starts_with(&format!("name \"{device}\", desc \""))),
            "{printed}"
        );
    }
    assert!(assay(["boot", "--help"]).printed().contains("QEMU"));
}

/// The requests of QEMU's text protocol, each with its reply.
const CONVERSATION: &[(&str, &str)] = &[
    ("endianness", "OK little"),
    ("outb 0xe0 0x5a", "OK"),
    ("inb 0xe0", "OK 0x005a"),
    ("outw 0xe0 0x1234", "OK"),
    ("inw 0xe0", "OK 0x1234"),
    ("outl 0xe0 0x89abcdef", "OK"),
    ("inl 0xe0", "OK 0x89abcdef"),
    ("inb 0x2f9", "OK 0x00ff"),
    ("writeb 0x1000 0x11", "OK"),
    ("writew 0x1002 0x2233", "OK"),
    ("writel 0x1004 0x44556677", "OK"),
    ("writeq 0x1008 0x8899aabbccddeeff", "OK"),
    ("readb 0x1000", "OK 0x0000000000000011"),
    ("readw 0x1002", "OK 0x0000000000002233"),
    ("readl 0x1004", "OK 0x0000000044556677"),
    ("readq 0x1008", "OK 0x8899aabbccddeeff"),
    ("write 0x2000 3 0xabcdef", "OK"),
    ("read 0x2000 4", "OK 0xabcdef00"),
    ("b64write 0x2010 3 AQID", "OK"),
    ("b64read 0x2010 3", "OK AQID"),
    ("memset 0x2020 4 0x77", "OK"),
    ("readl 0x2020", "OK 0x0000000077777777"),
    ("irq_intercept_in ioapic", "OK"),
    ("irq_intercept_in nowhere", "FAIL Unknown device"),
    ("set_irq_in ioapic unnamed-gpio-in 5 1", "IRQ raise 5\nOK"),
    ("set_irq_in ioapic unnamed-gpio-in 5 0", "IRQ lower 5\nOK"),
    ("clock_set 1000000", "OK 1000000"),
    ("outb 0x43 0x30", "OK"),
    ("outb 0x40 0x20", "OK"),
    ("outb 0x40 0x00", "OK"),
    // The next deadline is the timer's: its 1226th tick, 32 behind the one after the count was written.
    ("clock_step", "IRQ raise 0\nOK 1027505"),
    ("clock_step 100", "OK 1027605"),
    ("make_coffee", "FAIL Unknown command 'make_coffee'"),
];

#[test]
fn a_conversation_gets_the_answers_that_the_protocol_says() {
    let words = ["boot", "-accel", "qtest", "-qtest", "stdio", "-display", "none", "-device", "pc-testdev"];
    let mut child =
        command(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let typed: String = CONVERSATION.iter().map(|(request, _)| format!("{request}\n")).collect();
    child.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
    let said = Said::of(&child.wait_with_output().unwrap());
    let expected: String = CONVERSATION.iter().map(|(_, reply)| format!("{reply}\n")).collect();
    assert_eq!(said.out, expected);
    assert_eq!((said.status, said.err.as_str()), (Some(0), ""));
}
