//! Small kernels with a Multiboot header on this host's KVM, with the interrupt controllers in each place; without KVM each test
//! says so and passes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod small;

use std::time::Duration;

use rstest::rstest;
use small::{LIMIT, boot, interrupt_kernel, kernel, outs, pc, run, stores, timer_kernel};
use vmm::boot::{Boot, Entry, File, load};
use vmm::{Builder, End, IrqChip, Limit, accel};

#[test]
fn a_kernel_gets_its_magic_its_memory_and_its_command_line() {
    let Some(mut machine) = pc(IrqChip::User, 1) else { return };
    #[rustfmt::skip]
    let code = &[
        0xe6, 0xe9,             // out 0xe9, al
        0x8b, 0x73, 0x10,       // mov esi, [ebx + 16]
        0xac,                   // lodsb
        0xe6, 0xe9,             // out 0xe9, al
        0x84, 0xc0,             // test al, al
        0x75, 0xf9,             // jnz lodsb
        0x8b, 0x43, 0x08,       // mov eax, [ebx + 8]
        0xe7, 0xf4,             // out 0xf4, eax
        0xeb, 0xfe,             // jmp $
    ];
    let upper = (4 << 10) - 1024;
    assert_eq!(run(&mut machine, code), End::Exited { status: upper << 1 | 1 });
    assert_eq!(machine.console().take(), b"\x02kernel one two\0");
}

#[rstest]
#[case(IrqChip::Kernel)]
#[case(IrqChip::Split)]
#[case(IrqChip::User)]
fn the_timer_wakes_a_kernel_that_halts(#[case] irqchip: IrqChip) {
    let Some(mut machine) = pc(irqchip, 1) else { return };
    assert_eq!(run(&mut machine, &timer_kernel()), End::Exited { status: 1 });
    assert_eq!(machine.console().take(), b"!!!!!");
}

#[rstest]
#[case(IrqChip::Kernel)]
#[case(IrqChip::Split)]
#[case(IrqChip::User)]
fn a_second_processor_starts_where_it_is_told(#[case] irqchip: IrqChip) {
    let Some(mut machine) = pc(irqchip, 2) else { return };
    // mov al, 'A'; out 0xe9, al; mov al, 0; out 0xf4, al; hlt
    machine.ram().write(0x8000, &[0xb0, b'A', 0xe6, 0xe9, 0xb0, 0x00, 0xe6, 0xf4, 0xf4]).unwrap();
    #[rustfmt::skip]
    let code = &[
        0xb8, 0x00, 0x00, 0xe0, 0xfe,                   // mov eax, 0xfee00000
        0xc7, 0x80, 0xf0, 0, 0, 0, 0xff, 0x01, 0, 0,    // mov dword [eax + 0xf0], 0x1ff
        0xc7, 0x80, 0x00, 3, 0, 0, 0x00, 0x45, 0x0c, 0, // mov dword [eax + 0x300], INIT to all others
        0xc7, 0x80, 0x00, 3, 0, 0, 0x08, 0x46, 0x0c, 0, // mov dword [eax + 0x300], start-up at page 8
        0xeb, 0xfe,                                     // jmp $
    ];
    assert_eq!(run(&mut machine, code), End::Exited { status: 1 });
    assert_eq!(machine.console().take(), b"A");
}

#[rstest]
#[case(IrqChip::Kernel)]
#[case(IrqChip::Split)]
#[case(IrqChip::User)]
fn interrupts_of_pci_functions_are_levels(#[case] irqchip: IrqChip) {
    let Some(mut machine) = pc(irqchip, 1) else { return };
    // mov dx, 0x4d1; in al, dx; movzx eax, al; out 0xf4, eax; jmp $
    let code = &[0x66, 0xba, 0xd1, 0x04, 0xec, 0x0f, 0xb6, 0xc0, 0xe7, 0xf4, 0xeb, 0xfe];
    for _ in 0..2 {
        assert_eq!(run(&mut machine, code), End::Exited { status: 0x0c << 1 | 1 });
        machine.reset().unwrap();
    }
}

#[rstest]
#[case::keyboard(&[0xb0, 0xfe, 0xe6, 0x64, 0xeb, 0xfe])] // mov al, 0xfe; out 0x64, al; jmp $
#[case::triple_fault(&[0x0f, 0x0b])] // ud2
fn a_kernel_that_resets_begins_again(#[case] code: &[u8]) {
    let Some(mut machine) = pc(IrqChip::Kernel, 1) else { return };
    assert_eq!(run(&mut machine, code), End::Reset);
    machine.reset().unwrap();
    // mov al, 4; out 0xf4, al; jmp $
    assert_eq!(run(&mut machine, &[0xb0, 0x04, 0xe6, 0xf4, 0xeb, 0xfe]), End::Exited { status: 9 });
}

#[test]
fn what_a_guest_writes_to_is_noted() {
    let Some(mut machine) = pc(IrqChip::Kernel, 1) else { return };
    // mov [0x200000], al; mov al, 0; out 0xf4, al; jmp $
    load(&mut machine, &boot(&[0xa2, 0, 0, 0x20, 0, 0xb0, 0, 0xe6, 0xf4, 0xeb, 0xfe])).unwrap();
    machine.track(true).unwrap();
    assert_eq!(machine.take_written().unwrap(), Vec::<u64>::new());
    machine.run(LIMIT).unwrap();
    machine.ram().write(0x30_0000, &[1]).unwrap();
    assert_eq!(machine.take_written().unwrap(), [0x20_0000, 0x30_0000]);
    assert_eq!(machine.take_written().unwrap(), Vec::<u64>::new());
}

#[rstest]
#[case::empty(&[], "boot kernel: it is empty")]
#[case::text(b"#!/bin/sh", "boot kernel: it is no bzImage, has no Multiboot header and is no ELF file")]
#[case::long(b"\x7fELF\x02", "boot kernel: it is no ELF file: ")]
#[case::short(b"\x7fELF\x01", "boot kernel: it is no ELF file: ")]
fn what_is_no_kernel_is_refused(#[case] contents: &[u8], #[case] why: &str) {
    let (_, hypervisor) = accel::open("qtest").unwrap();
    let mut machine = Builder::new(hypervisor, 0x10_0000).unwrap().build().unwrap();
    let kernel = File { name: "kernel".to_owned(), contents: contents.to_vec() };
    let boot = Boot { kernel, initrd: None, append: String::new(), entry: Entry::Best };
    let told = load(&mut machine, &boot).unwrap_err().to_string();
    assert!(told.starts_with(why), "{told}");
}

#[test]
fn a_kernel_that_does_not_fit_or_asks_for_more_is_refused() {
    let (_, hypervisor) = accel::open("qtest").unwrap();
    let mut machine = Builder::new(hypervisor, 0x10_0000).unwrap().build().unwrap();
    let mut told = |kernel: File| {
        let boot = Boot { kernel, initrd: None, append: String::new(), entry: Entry::Best };
        load(&mut machine, &boot).unwrap_err().to_string()
    };
    assert!(told(kernel(0, &[0xf4])).starts_with("load kernel: cannot reach "));
    assert_eq!(told(kernel(8, &[0xf4])), "boot kernel: its Multiboot header requires what is not here: 0x8");
}

/// A level-triggered line that stays high interrupts again after its end, also where the handler masks its pin meanwhile, as Linux
/// does when it moves an interrupt to another processor.
#[rstest]
#[case(IrqChip::Kernel)]
#[case(IrqChip::Split)]
#[case(IrqChip::User)]
fn a_level_that_is_masked_before_its_end_comes_again(#[case] irqchip: IrqChip) {
    const WINDOW: u32 = 0xfec0_0010;
    let Some(mut machine) = pc(irqchip, 1) else { return };
    let handler = stores(&[(WINDOW, 0x1_8040), (0xfee0_00b0, 0), (WINDOW, 0x8040)]);
    let words =
        [(0xfee0_00f0, 0x1ff), (0xfec0_0000, 0x1b), (WINDOW, 0), (0xfec0_0000, 0x1a), (WINDOW, 0x8040)];
    let setup = [outs(&[(0x21, 0xff), (0xa1, 0xff)]), stores(&words)].concat();
    let mut line = machine.wires().interrupts.line(5);
    line.set(true);
    load(&mut machine, &boot(&interrupt_kernel(3, &handler, &setup))).unwrap();
    let limit = Limit { time: Duration::from_secs(20), ..LIMIT };
    assert_eq!(machine.run(limit).unwrap(), End::Exited { status: 1 });
}

#[rstest]
#[case(IrqChip::Kernel)]
#[case(IrqChip::Split)]
#[case(IrqChip::User)]
fn a_reset_leaves_nothing_of_what_a_guest_has_set(#[case] irqchip: IrqChip) {
    let Some(mut machine) = pc(irqchip, 1) else { return };
    #[rustfmt::skip]
    let sets = &[
        0xb9, 0x76, 0x01, 0x00, 0x00,                   // mov ecx, 0x176 (IA32_SYSENTER_EIP)
        0xb8, 0x34, 0x12, 0x00, 0x00,                   // mov eax, 0x1234
        0x31, 0xd2, 0x0f, 0x30,                         // xor edx, edx; wrmsr
        0x0f, 0x23, 0xc0,                               // mov dr0, eax
        0xb0, 0x5a, 0xe6, 0x21,                         // mov al, 0x5a; out 0x21, al
        0xb0, 0x00, 0xe6, 0xf4, 0xeb, 0xfe,             // mov al, 0; out 0xf4, al; jmp $
    ];
    #[rustfmt::skip]
    let reads = &[
        0xb9, 0x76, 0x01, 0x00, 0x00, 0x0f, 0x32,       // mov ecx, 0x176; rdmsr
        0x0f, 0x21, 0xc3, 0x09, 0xc3,                   // mov ebx, dr0; or ebx, eax
        0x31, 0xc0, 0xe4, 0x21,                         // xor eax, eax; in al, 0x21
        0x09, 0xd8, 0xe7, 0xf4, 0xeb, 0xfe,             // or eax, ebx; out 0xf4, eax; jmp $
    ];
    assert_eq!(run(&mut machine, sets), End::Exited { status: 1 });
    assert_eq!(
        run(&mut machine, reads),
        End::Exited { status: 0x127e << 1 | 1 },
        "it is there before the reset"
    );
    machine.reset().unwrap();
    assert_eq!(run(&mut machine, reads), End::Exited { status: 1 });
}

#[test]
fn a_processor_that_has_halted_stays_halted_in_the_next_run() {
    let Some(mut machine) = pc(IrqChip::User, 1) else { return };
    // out 0xe9, al; hlt; mov al, 0; out 0xf4, al; jmp $
    load(&mut machine, &boot(&[0xe6, 0xe9, 0xf4, 0xb0, 0, 0xe6, 0xf4, 0xeb, 0xfe])).unwrap();
    assert_eq!(machine.run(Limit { exits: 2, ..LIMIT }).unwrap(), End::OutOfExits);
    let soon = Limit { time: Duration::from_millis(100), ..LIMIT };
    assert_eq!(machine.run(soon).unwrap(), End::OutOfTime);
    machine.reset().unwrap();
    assert_eq!(run(&mut machine, &[0xb0, 0, 0xe6, 0xf4, 0xeb, 0xfe]), End::Exited { status: 1 });
}

#[test]
fn an_interrupt_waits_until_registers_that_were_set_let_it_in() {
    let Some(mut machine) = pc(IrqChip::User, 1) else { return };
    // sti; nop; out 0xe9, al; jmp $
    load(&mut machine, &boot(&[0xfb, 0x90, 0xe6, 0xe9, 0xeb, 0xfe])).unwrap();
    assert_eq!(machine.run(Limit { exits: 1, ..LIMIT }).unwrap(), End::OutOfExits);
    let mut line = machine.wires().interrupts.line(1);
    line.set(true);
    // The registers of the next kernel have interrupts shut, and it has no table of them.
    assert_eq!(run(&mut machine, &[0xb0, 0, 0xe6, 0xf4, 0xeb, 0xfe]), End::Exited { status: 1 });
}
