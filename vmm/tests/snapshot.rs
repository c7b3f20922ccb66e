//! A machine that is saved goes on elsewhere as it would have here, a reset machine is a fresh one, and no file does any harm.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod small;

use proptest::prelude::*;
use rstest::rstest;
use serde_json::Value;
use small::{LIMIT, boot, clock_kernel, interrupt_kernel, outs, pc, run, timer_kernel};
use vmm::boot::load;
use vmm::{
    Builder, Disk, End, IrqChip, Limit, Machine, Region, SNAPSHOT_FORMAT, SnapshotError, Space, accel,
    machine_class,
};

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

/// What passes by itself between two looks, by its whole path: the clock of the guest and its time stamp counter, how long ago the
/// kernel's timer was loaded, and two of Hyper-V's,
/// what our timers and the calendar count. And the address of the MC146818, which a reset leaves.
const PASSES: &[&str] = &[
    ".accel.clock",
    ".accel.chips.timer.ages[0]",
    ".accel.chips.timer.ages[1]",
    ".accel.chips.timer.ages[2]",
    ".cpus[0].registers.msrs[16].data",
    ".cpus[0].registers.msrs[1073741840].data",
    ".cpus[0].registers.msrs[1073741856].data",
    ".devices[i8254].state.polled",
    ".devices[i8254].state.counters[1].since",
    ".devices[mc146818].state.time",
    ".devices[mc146818].state.registers.update",
    ".devices[mc146818].state.registers.periodic",
    ".devices[mc146818].state.registers.selected",
    ".devices[mc146818].state.registers.cells[0]",
    ".devices[mc146818].state.registers.cells[2]",
    ".devices[mc146818].state.registers.cells[4]",
    ".devices[mc146818].state.registers.cells[6]",
    ".devices[mc146818].state.registers.cells[7]",
    ".devices[mc146818].state.registers.cells[8]",
    ".devices[mc146818].state.registers.cells[9]",
    ".devices[mc146818].state.registers.cells[12]",
    ".devices[mc146818].state.registers.cells[50]",
    ".devices[piix4-pm].state.time",
    ".devices[piix4-pm].state.registers.overflows",
    ".devices[piix4-pm].state.registers.status",
];

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
    name.split_once(": ").is_some_and(|(path, _)| PASSES.contains(&path))
}

/// Sets an MSR.
fn wrmsr(msr: u32, low: u32) -> Vec<u8> {
    // mov ecx, msr; mov eax, low; xor edx, edx; wrmsr
    [&[0xb9], &msr.to_le_bytes()[..], &[0xb8], &low.to_le_bytes(), &[0x31, 0xd2, 0x0f, 0x30]].concat()
}

/// A machine whose vCPU has something everywhere: MSRs and debug registers by its guest, the rest as if by one.
fn full(irqchip: IrqChip) -> Option<Machine> {
    let mut machine = pc(irqchip, 1)?;
    let msrs = [(0x174, 8), (0x175, 0x5678), (0x176, 0x1234), (0x277, 0x0007_0106)];
    let mut sets = msrs.iter().flat_map(|(msr, low)| wrmsr(*msr, *low)).collect::<Vec<_>>();
    sets.extend([0xb8, 0x02, 0x04, 0x00, 0x00]); // mov eax, 0x402
    sets.extend([0x0f, 0x23, 0xc0, 0x0f, 0x23, 0xd8, 0x0f, 0x23, 0xf8]); // mov dr0, eax; mov dr3, eax; mov dr7, eax
    sets.extend(outs(&[(0x43, 0x74), (0x41, 0x10), (0x41, 0x10), (0x21, 0x5a), (0xf4, 0)]));
    assert_eq!(run(&mut machine, &interrupt_kernel(1, &[], &sets)), End::Exited { status: 1 });
    // A table of page directories, and another that the processor has not seen.
    machine.ram().write(0x8000, &[0x01, 0x90, 0, 0]).unwrap();
    let cpu = machine.cpu(0).unwrap();
    let mut sregs = cpu.sregs().unwrap();
    (sregs.cr0, sregs.cr2, sregs.cr3) = (sregs.cr0 | 1 << 31, 0x1234_5000, 0x8000);
    (sregs.cr4, sregs.cr8) = (sregs.cr4 | 1 << 5, 5);
    cpu.set_sregs(&sregs).unwrap();
    let mut regs = cpu.regs().unwrap();
    (regs.rbx, regs.rbp) = (0x1122_3344, 0x5566_7788);
    cpu.set_regs(&regs).unwrap();
    let mut fpu = cpu.fpu().unwrap();
    (fpu.xmm[3], fpu.fpr[2], fpu.mxcsr) = ([7; 16], [5; 16], 0x1fa0);
    cpu.set_fpu(&fpu).unwrap();
    cpu.nmi().unwrap();
    machine.ram().write(0x8000, &[0x01, 0xa0, 0, 0]).unwrap();
    Some(machine)
}

#[rstest]
#[case(IrqChip::Kernel)]
#[case(IrqChip::Split)]
#[case(IrqChip::User)]
fn a_restored_machine_is_the_saved_one_field_by_field(#[case] irqchip: IrqChip) {
    let Some(old) = full(irqchip) else { return };
    let before = serde_json::to_value(old.state().unwrap()).unwrap();
    let file = saved(&old);
    let mut new = pc(irqchip, 1).unwrap();
    let fresh = serde_json::to_value(new.state().unwrap()).unwrap();
    new.restore(&mut file.as_slice()).unwrap();
    let after = serde_json::to_value(new.state().unwrap()).unwrap();
    let (mut found, mut set) = (Vec::new(), Vec::new());
    differences("", &before, &after, &mut found);
    found.retain(|name| !passes(name));
    assert!(found.is_empty(), "{found:#?}");
    differences("", &fresh, &before, &mut set);
    for part in ["sregs", "regs", "fpu", "msrs", "debug", "events"] {
        let path = format!(".cpus[0].registers.{part}");
        assert!(set.iter().any(|name| name.starts_with(&path)), "nothing was set in {part}");
    }
    let clock = |state: &Value| state["accel"]["clock"].as_u64();
    assert!(clock(&after) >= clock(&before), "the guest's clock goes back");
}

/// The state of a machine, spoilt: why it is refused.
fn refused_state(spoil: impl FnOnce(&mut Value)) -> Option<String> {
    let mut machine = pc(IrqChip::Kernel, 1)?;
    let mut state = serde_json::to_value(machine.state().unwrap()).unwrap();
    spoil(&mut state);
    let refused = machine.load_state(serde_json::from_value(state).unwrap()).unwrap_err();
    machine.reset().unwrap();
    Some(refused.to_string())
}

#[rstest]
#[case::registers("/cpus/0/registers/regs", "another length")]
#[case::local_apic("/cpus/0/registers/apic/0", "another length")]
#[case::timer("/accel/chips/timer/registers", "another length")]
#[case::msrs("/cpus/0/registers/msrs", "it has not the MSRs that there are here")]
fn what_is_cut_in_a_state_is_told(#[case] path: &str, #[case] why: &str) {
    let cut = |state: &mut Value| {
        let part = state.pointer_mut(path).unwrap().as_array_mut().unwrap();
        part.truncate(part.len() - 1);
    };
    let Some(told) = refused_state(cut) else { return };
    assert!(told.contains(why), "{told}");
}

/// The names of the fields in which two states differ.
fn differences(name: &str, one: &Value, other: &Value, found: &mut Vec<String>) {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) if one.keys().eq(other.keys()) => {
            one.iter()
                .for_each(|(key, value)| differences(&format!("{name}.{key}"), value, &other[key], found));
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            let named = |part: &Value, index: usize| match (&part["index"], &part["name"]) {
                (Value::Number(msr), _) => msr.to_string(),
                (_, Value::String(device)) => device.clone(),
                _ => index.to_string(),
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
    assert_eq!(refused(&[&file[..], b"more"].concat()), "it is damaged: there is something behind its end");
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

/// A PC with a disk, and with a debug port where it is asked for.
fn with_disk(sectors: usize, is_read_only: bool, port: u16) -> Machine {
    let (_, hypervisor) = accel::open("qtest").unwrap();
    let builder = Builder::with_cpus(hypervisor, SMALL, 1, IrqChip::User).unwrap();
    let builder = (machine_class("pc").unwrap().furnish)(builder).unwrap();
    let builder = builder.disk(Disk::in_memory(vec![0; 512 * sectors], is_read_only)).unwrap();
    let place = [Region::ports(port, port)];
    builder.model_at("isa-debug-exit", "isa-debug-exit", &place).and_then(Builder::build).unwrap()
}

#[rstest]
#[case::size(
    with_disk(7, false, 0x501),
    "take the state of virtio-blk@0: it has another size or other features"
)]
#[case::read_only(
    with_disk(8, true, 0x501),
    "take the state of virtio-blk@0: it has another size or other features"
)]
#[case::place(
    with_disk(8, false, 0xf4),
    "it is of another machine: its device: isa-debug-exit at ports 0x501..=0x501; here: isa-debug-exit at ports 0xf4..=0xf4"
)]
fn a_machine_with_another_disk_or_port_is_refused(#[case] mut machine: Machine, #[case] why: &str) {
    let file = saved(&with_disk(8, false, 0x501));
    with_disk(8, false, 0x501).restore(&mut file.as_slice()).unwrap();
    let told = machine.restore(&mut file.as_slice()).unwrap_err().to_string();
    assert!(told.contains(why), "{told}");
}

#[test]
fn two_devices_of_one_name_have_each_their_own_state() {
    let two = || {
        let (_, hypervisor) = accel::open("qtest").unwrap();
        let builder = Builder::with_cpus(hypervisor, SMALL, 1, IrqChip::User).unwrap();
        let builder = (machine_class("pc").unwrap().furnish)(builder).unwrap();
        let second = [Region::ports(0x280, 0x287).by(1)];
        builder.model_at("com1", "com1", &second).and_then(Builder::build).unwrap()
    };
    let (old, mut new) = (two(), two());
    for (port, byte) in [(0x3ff, 0x11), (0x287, 0x22)] {
        old.bus().write(Space::Ports, port, &[byte]);
    }
    new.restore(&mut saved(&old).as_slice()).unwrap();
    let mut bytes = [[0]; 2];
    new.bus().read(Space::Ports, 0x3ff, &mut bytes[0]);
    new.bus().read(Space::Ports, 0x287, &mut bytes[1]);
    assert_eq!(bytes, [[0x11], [0x22]]);
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
