//! A machine that is saved goes on elsewhere as it would have here, a reset machine is a fresh one, and no file does any harm.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod small;

use proptest::prelude::*;
use rstest::rstest;
use serde_json::Value;
use small::{LIMIT, boot, clock_kernel, interrupt_kernel, outs, pc, run, timer_kernel};
use vmm::boot::load;
use vmm::{Builder, End, IrqChip, Limit, Machine, SNAPSHOT_FORMAT, SnapshotError, accel, machine_class};

fn saved(machine: &Machine) -> Vec<u8> {
    let mut file = Vec::new();
    machine.save(&mut file).unwrap();
    file
}

/// The same PC, made anew, that goes on where this one was left. What the guest has said goes with it.
fn handed_on(old: &Machine, irqchip: IrqChip, cpus: u32) -> Machine {
    let mut new = pc(irqchip, cpus).unwrap();
    new.restore(&mut saved(old).as_slice()).unwrap();
    old.console().take().into_iter().for_each(|byte| new.console().put(byte));
    new
}

/// Always has an interrupt due by the time its machine is saved.
#[rstest]
fn a_kernel_goes_from_machine_to_machine_again_and_again(
    #[values(IrqChip::Kernel, IrqChip::Split, IrqChip::User)] irqchip: IrqChip,
    #[values(timer_kernel(), clock_kernel())] kernel: Vec<u8>,
) {
    let Some(mut machine) = pc(irqchip, 1) else { return };
    load(&mut machine, &boot(&kernel)).unwrap();
    let mut moves = 0;
    let end = loop {
        // A new machine's first entry may come back at once to look for interrupts, and the next for room for one.
        match machine.run(Limit { exits: 3, ..LIMIT }).unwrap() {
            End::OutOfExits => machine = handed_on(&machine, irqchip, 1),
            end => break end,
        }
        moves += 1;
        assert!(moves < 1000, "it does not come to its end");
    };
    assert_eq!(end, End::Exited { status: 1 });
    assert_eq!(machine.console().take(), b"!!!!!");
    // Of the interrupts, and of the ports of whatever is not in the kernel.
    assert!(moves >= if irqchip == IrqChip::Kernel { 1 } else { 8 }, "{moves}");
}

#[rstest]
#[case(IrqChip::Kernel)]
#[case(IrqChip::Split)]
#[case(IrqChip::User)]
fn a_second_processor_comes_along(#[case] irqchip: IrqChip) {
    let Some(mut machine) = pc(irqchip, 2) else { return };
    // mov al, 'A'; out 0xe9, al; mov al, 0; out 0xf4, al; hlt
    machine.ram().write(0x8000, &[0xb0, b'A', 0xe6, 0xe9, 0xb0, 0x00, 0xe6, 0xf4, 0xf4]).unwrap();
    #[rustfmt::skip]
    let code = &[
        0xb8, 0x00, 0x00, 0xe0, 0xfe,                   // mov eax, 0xfee00000
        0xc7, 0x80, 0xf0, 0, 0, 0, 0xff, 0x01, 0, 0,    // mov dword [eax + 0xf0], 0x1ff
        0xc7, 0x80, 0x00, 3, 0, 0, 0x00, 0x45, 0x0c, 0, // mov dword [eax + 0x300], INIT to all others
        0xe6, 0x80,                                     // out 0x80, al
        0xc7, 0x80, 0x00, 3, 0, 0, 0x08, 0x46, 0x0c, 0, // mov dword [eax + 0x300], start-up at page 8
        0xeb, 0xfe,                                     // jmp $
    ];
    load(&mut machine, &boot(code)).unwrap();
    let exits = if irqchip == IrqChip::User { 3 } else { 1 };
    assert_eq!(machine.run(Limit { exits, ..LIMIT }).unwrap(), End::OutOfExits);
    let mut machine = handed_on(&machine, irqchip, 2);
    assert_eq!(machine.run(LIMIT).unwrap(), End::Exited { status: 1 });
    assert_eq!(machine.console().take(), b"A");
}

#[test]
fn what_the_saved_machine_had_not_written_is_zero() {
    let Some(old) = pc(IrqChip::Kernel, 1) else { return };
    old.ram().write(0x12_3456, b"kept").unwrap();
    let mut new = pc(IrqChip::Kernel, 1).unwrap();
    new.ram().write(0x20_0000, &[0xcc; 0x2000]).unwrap();
    let file = saved(&old);
    assert!(file.len() < 0x2_0000, "zeroes are left out, and it has {} bytes", file.len());
    new.restore(&mut file.as_slice()).unwrap();
    assert!(new.ram().contents().unwrap() == old.ram().contents().unwrap());
}

/// What passes by itself between two looks: the time to the next second and what the periodic interrupt has told, the power
/// management's timer, the clock of the guest, the time stamp counter. And the address of the MC146818, which a reset leaves.
const PASSES: [&str; 8] =
    ["update", "periodic", "polled", "cells[12]", "time", "clock", "msrs[16]", "selected"];

#[rstest]
#[case(IrqChip::Kernel)]
#[case(IrqChip::Split)]
#[case(IrqChip::User)]
fn a_machine_that_is_reset_is_a_fresh_one(#[case] irqchip: IrqChip) {
    let Some(fresh) = pc(irqchip, 1) else { return };
    let fresh = serde_json::to_value(fresh.state().unwrap()).unwrap();
    let mut machine = pc(irqchip, 1).unwrap();
    #[rustfmt::skip]
    let sets = [
        &[0xb9, 0x76, 0x01, 0x00, 0x00][..],            // mov ecx, 0x176 (IA32_SYSENTER_EIP)
        &[0xb8, 0x34, 0x12, 0x00, 0x00],                // mov eax, 0x1234
        &[0x31, 0xd2, 0x0f, 0x30],                      // xor edx, edx; wrmsr
        &[0x0f, 0x23, 0xc0],                            // mov dr0, eax
        &outs(&[(0x21, 0x5a), (0x43, 0x74), (0x41, 0x10), (0x41, 0x10), (0x70, 0x0b), (0x71, 0x42), (0x92, 2)]),
    ].concat();
    assert_eq!(
        run(&mut machine, &interrupt_kernel(1, &[], &[&sets[..], &outs(&[(0xf4, 0)])].concat())),
        End::Exited { status: 1 }
    );
    let mut changed = Vec::new();
    differences("", &fresh, &serde_json::to_value(machine.state().unwrap()).unwrap(), &mut changed);
    assert!(
        changed.iter().filter(|name| !passes(name)).count() > 8,
        "the guest does too little: {changed:?}"
    );
    machine.reset().unwrap();
    let mut left = Vec::new();
    differences("", &fresh, &serde_json::to_value(machine.state().unwrap()).unwrap(), &mut left);
    left.retain(|name| !passes(name));
    assert!(left.is_empty(), "{left:#?}");
}

fn passes(name: &str) -> bool {
    PASSES.iter().any(|word| name.contains(&format!(".{word}")))
}

/// The names of the fields in which two states differ.
fn differences(name: &str, one: &Value, other: &Value, found: &mut Vec<String>) {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) if one.keys().eq(other.keys()) => {
            one.iter()
                .for_each(|(key, value)| differences(&format!("{name}.{key}"), value, &other[key], found));
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            let named = |part: &Value, index: usize| {
                part["index"].as_u64().map_or(index.to_string(), |msr| msr.to_string())
            };
            for (index, (one, other)) in one.iter().zip(other).enumerate() {
                differences(&format!("{name}[{}]", named(one, index)), one, other, found);
            }
        }
        _ if one != other => found.push(format!("{name}: {one} is now {other}")),
        _ => {}
    }
}

/// A PC without a processor that runs.
fn still(memory: u64, cpus: u32) -> Machine {
    let (_, hypervisor) = accel::open("qtest").unwrap();
    let builder = Builder::with_cpus(hypervisor, memory, cpus, IrqChip::User).unwrap();
    (machine_class("pc").unwrap().furnish)(builder).and_then(Builder::build).unwrap()
}

const SMALL: u64 = 1 << 20;

fn refused(file: &[u8]) -> String {
    still(SMALL, 1).restore(&mut &*file).map_err(|error| error.to_string()).unwrap_err()
}

#[test]
fn what_is_no_snapshot_of_this_machine_is_refused_with_the_reason() {
    let file = saved(&still(SMALL, 1));
    still(SMALL, 1).restore(&mut file.as_slice()).unwrap();
    assert_eq!(refused(b""), "it is no snapshot");
    assert_eq!(refused(b"\x7fELF and so on for a while"), "it is no snapshot");
    assert_eq!(refused(b"Assay snapshot of mine\n"), "it is no snapshot");
    assert_eq!(
        refused(b"Assay snapshot 977\n{}"),
        format!("it has format 977, and this program reads {SNAPSHOT_FORMAT} alone")
    );
    for length in [17, 20, 30, 200, file.len() - 1] {
        assert_eq!(refused(&file[..length]), "it is cut off", "{length}");
    }
    assert_eq!(
        refused(&saved(&still(2 * SMALL, 1))),
        "it is of another machine: its memory: 2 MiB; here: 1 MiB"
    );
    assert_eq!(refused(&saved(&still(SMALL, 2))), "it is of another machine: its processors: 2; here: 1");
    let (_, hypervisor) = accel::open("qtest").unwrap();
    let bare = Builder::new(hypervisor, SMALL).unwrap().build().unwrap();
    let told = refused(&saved(&bare));
    assert!(
        told.starts_with("it is of another machine: its interrupt controllers: none; here: user"),
        "{told}"
    );
}

#[test]
fn a_processor_of_another_model_is_refused() {
    let Some(old) = pc(IrqChip::Kernel, 1) else { return };
    let (_, hypervisor) = accel::open("kvm").unwrap();
    let builder = Builder::with_cpus(hypervisor, 4 << 20, 1, IrqChip::Kernel)
        .unwrap()
        .processor("qemu64".parse().unwrap());
    let builder = (machine_class("pc").unwrap().furnish)(builder).unwrap();
    let builder = builder.model("isa-debug-exit").and_then(|builder| builder.model("isa-debugcon")).unwrap();
    let told = builder.build().unwrap().restore(&mut saved(&old).as_slice()).unwrap_err().to_string();
    assert!(told.ends_with("it is of another processor model, or of a host with other features"), "{told}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn no_file_does_any_harm(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        length in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
        behind in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        let machine = still(SMALL, 1);
        machine.ram().write(0x5000, &[1; 0x1800]).unwrap();
        let mut file = saved(&machine);
        for (place, byte) in changes {
            let place = place.index(file.len());
            file[place] = byte;
        }
        if is_cut {
            file.truncate(length.index(file.len()));
            file.extend(behind);
        }
        let mut machine = still(SMALL, 1);
        let restored = machine.restore(&mut file.as_slice());
        if matches!(restored, Err(SnapshotError::NoSnapshot | SnapshotError::OtherFormat(_) | SnapshotError::OtherMachine { .. })) {
            prop_assert!(machine.ram().contents().unwrap().iter().max() == Some(&0));
        }
        machine.bus().poll();
        machine.reset().unwrap();
        machine.restore(&mut saved(&still(SMALL, 1)).as_slice()).unwrap();
    }
}
