//! What a chipset shows and hides of RAM while processors run, on this host's KVM; without KVM each test says so and passes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod small;

use rstest::rstest;
use small::{LIMIT, boot, run};
use vmm::boot::load;
use vmm::{Builder, End, IrqChip, Machine, Space, accel, machine_class};

/// A PC that notes writes in rings of so many entries, or in bitmaps; none where there is no KVM, or no rings.
fn pc(cpus: u32, rings: Option<u32>) -> Option<Machine> {
    let (_, hypervisor) = accel::open("kvm").inspect_err(|error| println!("skipped: cannot {error}")).ok()?;
    let builder = Builder::with_cpus(hypervisor, 4 << 20, cpus, IrqChip::Kernel).unwrap();
    let builder = match rings {
        Some(entries) => builder.dirty_rings(entries),
        None => Ok(builder),
    };
    let builder = builder.inspect_err(|error| println!("skipped: cannot {error}")).ok()?;
    let builder = (machine_class("pc").unwrap().furnish)(builder).unwrap();
    Some(builder.model("isa-debug-exit").and_then(Builder::build).unwrap())
}

/// Has the segments at 0xd0000 be RAM, or not.
fn show(machine: &Machine, bits: u8) {
    machine.bus().write(Space::Configuration, 0x5c, &[bits]);
}

#[rstest]
#[case::bitmaps(None)]
#[case::rings(Some(4096))]
fn what_was_written_is_told_also_once_it_is_hidden(#[case] rings: Option<u32>) {
    let Some(mut machine) = pc(1, rings) else { return };
    // mov [0x200000], al; mov [0xd0000], al; mov [0xd4000], al; mov al, 0; out 0xf4, al; jmp $
    let code =
        &[0xa2, 0, 0, 0x20, 0, 0xa2, 0, 0, 0x0d, 0, 0xa2, 0, 0x40, 0x0d, 0, 0xb0, 0, 0xe6, 0xf4, 0xeb, 0xfe];
    load(&mut machine, &boot(code)).unwrap();
    machine.track(true).unwrap();
    machine.run(LIMIT).unwrap();
    show(&machine, 0x00);
    machine.ram().write(0xd_1000, &[1]).unwrap();
    assert_eq!(machine.take_written().unwrap(), [0xd_0000, 0xd_1000, 0xd_4000, 0x20_0000]);
    show(&machine, 0x33);
    assert_eq!(machine.take_written().unwrap(), Vec::<u64>::new());
}

#[test]
fn other_processors_run_on_while_ram_is_shown_and_hidden() {
    let Some(mut machine) = pc(2, None) else { return };
    // jmp $
    machine.ram().write(0x8000, &[0xeb, 0xfe]).unwrap();
    #[rustfmt::skip]
    let code = &[
        0xb8, 0x00, 0x00, 0xe0, 0xfe,                   // mov eax, 0xfee00000
        0xc7, 0x80, 0xf0, 0, 0, 0, 0xff, 0x01, 0, 0,    // mov dword [eax + 0xf0], 0x1ff
        0xc7, 0x80, 0x00, 3, 0, 0, 0x00, 0x45, 0x0c, 0, // mov dword [eax + 0x300], INIT to all others
        0xc7, 0x80, 0x00, 3, 0, 0, 0x08, 0x46, 0x0c, 0, // mov dword [eax + 0x300], start-up at page 8
        0x66, 0xba, 0xf8, 0x0c,                         // mov dx, 0xcf8
        0xb8, 0x58, 0x00, 0x00, 0x80, 0xef,             // mov eax, 0x80000058; out dx, eax
        0x66, 0xba, 0xfd, 0x0c,                         // mov dx, 0xcfd
        0xb9, 0x00, 0x01, 0x00, 0x00,                   // mov ecx, 256
        0xb0, 0x00, 0xee, 0xb0, 0x30, 0xee,             // mov al, 0; out dx, al; mov al, 0x30; out dx, al
        0xe2, 0xf8,                                     // loop
        0xb0, 0x00, 0xe6, 0xf4, 0xeb, 0xfe,             // mov al, 0; out 0xf4, al; jmp $
    ];
    assert_eq!(run(&mut machine, code), End::Exited { status: 1 });
}
