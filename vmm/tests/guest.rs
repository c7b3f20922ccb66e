//! Guest code, byte by byte, on this host's KVM; without one each test says so and passes.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use rstest::rstest;
use vmm::virtio::SLOTS;
use vmm::{
    Access, Builder, Device, Doorbell, End, IrqChip, Limit, Link, Mac, Machine, MachineError, Nic, Region,
    Space, accel, machine_class, machine_classes,
};
use vmm_sys_util::eventfd::EventFd;

const CODE: u64 = 0x1000;
const RAM: u64 = 0x1_0000;

/// A bare machine in the making; none, with the reason printed, where there is no KVM.
fn bare() -> Option<Builder> {
    bare_of(1)
}

/// The same, of so many processors.
fn bare_of(cpus: u32) -> Option<Builder> {
    match accel::open("kvm") {
        Err(error) => {
            println!("skipped: cannot {error}");
            None
        }
        Ok((_, hypervisor)) => {
            let builder =
                Builder::with_cpus(hypervisor, RAM, cpus, IrqChip::None).expect("16 pages are to be had");
            let bare = machine_class("bare").expect("there is a bare machine");
            Some((bare.furnish)(builder).expect("its devices are apart"))
        }
    }
}

/// Lays code for each vCPU, 256 bytes apart, and lets each begin there in real mode.
fn boot(builder: Builder, codes: &[&[u8]]) -> Machine {
    let mut machine = builder.build().expect("KVM makes a VM");
    for (id, code) in codes.iter().enumerate() {
        let address = CODE + 0x100 * id as u64;
        machine.ram().write(address, code).expect("RAM reaches so far");
        let cpu = machine.cpu(id).expect("there are as many vCPUs");
        let mut sregs = cpu.sregs().expect("a vCPU has registers");
        (sregs.cs.base, sregs.cs.selector) = (0, 0);
        cpu.set_sregs(&sregs).expect("real mode is to be had");
        let regs = kvm_bindings::kvm_regs { rip: address, rflags: 2, ..Default::default() };
        cpu.set_regs(&regs).expect("registers can be set");
    }
    machine
}

/// What no test comes near, but a guest that never ends.
const LONG: Limit = Limit { time: Duration::from_secs(60), exits: u64::MAX };

#[rustfmt::skip]
const HELLO: &[u8] = &[
    0xb0, b'h', 0xe6, 0xe9, // mov al, 'h'; out 0xe9, al
    0xb0, b'i', 0xe6, 0xe9, // mov al, 'i'; out 0xe9, al
    0xb0, 0x15, 0xe6, 0xf4, // mov al, 0x15; out 0xf4, al
    0xeb, 0xfe,             // jmp $
];

#[test]
fn hello_is_heard_and_the_exit_port_ends_it_behind_the_instruction() {
    let Some(builder) = bare() else { return };
    let mut machine = boot(builder, &[HELLO]);
    assert_eq!(machine.run(LONG).unwrap(), End::Exited { status: 0x2b });
    assert_eq!(machine.console().take(), b"hi");
    assert_eq!(machine.cpu(0).unwrap().regs().unwrap().rip, CODE + 12);
}

#[rstest]
#[case::byte(&[0xe4, 0x70, 0xf4], 0xff)] // in al, 0x70
#[case::word(&[0xe5, 0x70, 0xf4], 0xffff)] // in ax, 0x70
#[case::double(&[0x66, 0xe5, 0x70, 0xf4], 0xffff_ffff)] // in eax, 0x70
#[case::debug_port(&[0xe4, 0xe9, 0xf4], 0xe9)] // in al, 0xe9
fn a_port_that_nobody_answers_reads_all_ones(#[case] code: &[u8], #[case] rax: u64) {
    let Some(builder) = bare() else { return };
    let mut machine = boot(builder, &[code]);
    assert_eq!(machine.run(LONG).unwrap(), End::Halted);
    let regs = machine.cpu(0).unwrap().regs().unwrap();
    assert_eq!((regs.rax, regs.rip), (rax, CODE + code.len() as u64));
}

#[test]
fn memory_that_nobody_answers_reads_all_ones_and_ram_keeps() {
    let Some(builder) = bare() else { return };
    #[rustfmt::skip]
    let code = &[
        0xb8, 0x00, 0xb0, 0x8e, 0xd8, // mov ax, 0xb000; mov ds, ax
        0xa3, 0x10, 0x00,             // mov [0x10], ax
        0xa1, 0x10, 0x00,             // mov ax, [0x10]
        0x26, 0xa3, 0x00, 0x80,       // mov es:[0x8000], ax
        0xf4,                         // hlt
    ];
    let mut machine = boot(builder, &[code]);
    assert_eq!(machine.run(LONG).unwrap(), End::Halted);
    let mut bytes = [0; 3];
    machine.ram().read(0x8000, &mut bytes).unwrap();
    assert_eq!(bytes, [0xff, 0xff, 0]);
}

#[test]
fn a_string_instruction_arrives_byte_by_byte() {
    let Some(builder) = bare() else { return };
    // mov si, 0x2000; mov cx, 5; mov dx, 0xe9; rep outsb; hlt
    let code = &[0xbe, 0x00, 0x20, 0xb9, 0x05, 0x00, 0xba, 0xe9, 0x00, 0xf3, 0x6e, 0xf4];
    let mut machine = boot(builder, &[code]);
    machine.ram().write(0x2000, b"story").unwrap();
    assert_eq!(machine.run(LONG).unwrap(), End::Halted);
    assert_eq!(machine.console().take(), b"story");
}

const SPIN: &[u8] = &[0xeb, 0xfe]; // jmp $

#[test]
fn a_guest_that_spins_is_out_of_time_and_can_go_on() {
    let Some(builder) = bare() else { return };
    let mut machine = boot(builder, &[SPIN]);
    for micros in [0, 1, 10, 100, 1000, 10_000] {
        let soon = Limit { time: Duration::from_micros(micros), ..LONG };
        assert_eq!(machine.run(soon).unwrap(), End::OutOfTime);
        assert_eq!(machine.cpu(0).unwrap().regs().unwrap().rip, CODE);
    }
    machine.ram().write(CODE, &[0xf4]).unwrap();
    assert_eq!(machine.run(LONG).unwrap(), End::Halted);
}

#[test]
fn a_stop_that_comes_first_is_not_lost() {
    let Some(builder) = bare() else { return };
    let mut machine = boot(builder, &[SPIN]);
    machine.stop().stop();
    assert_eq!(machine.run(LONG).unwrap(), End::Stopped);
}

#[test]
fn the_wires_of_a_builder_are_those_of_its_machine() {
    let Some(builder) = bare() else { return };
    let wires = builder.wires().clone();
    let mut machine = boot(builder, &[SPIN]);
    wires.console.put(b'!');
    wires.power.ask(End::Exited { status: 7 });
    assert_eq!(machine.run(LONG).unwrap(), End::Exited { status: 7 });
    assert_eq!(machine.console().take(), b"!");
}

#[test]
fn a_stop_outlives_its_machine() {
    let Some(builder) = bare() else { return };
    let machine = boot(builder, &[SPIN]);
    let stop = machine.stop();
    drop(machine);
    stop.stop();
}

/// A device that tells of each write.
struct Bell(Sender<()>);

impl Device for Bell {
    fn read(&mut self, _: usize, _: u64, _: &mut [u8]) -> Access {
        Access::NoRegister
    }

    fn write(&mut self, _: usize, _: u64, _: &[u8]) -> Access {
        if self.0.send(()).is_ok() { Access::Done } else { Access::NoRegister }
    }

    fn reset(&mut self) {}

    fn state(&self) -> Result<serde_json::Value, serde_json::Error> {
        serde_json::to_value(())
    }

    fn load(&mut self, state: serde_json::Value) -> Result<(), serde_json::Error> {
        serde_json::from_value(state)
    }
}

#[test]
fn a_guest_that_spins_is_stopped_from_another_thread() {
    let Some(builder) = bare() else { return };
    let (bell, rung) = channel();
    let builder = builder.device("bell", Box::new(Bell(bell)), &[Region::ports(0x80, 0x80)]).unwrap();
    let mut machine = boot(builder, &[&[0xe6, 0x80, 0xeb, 0xfe]]); // out 0x80, al; jmp $
    let stop = machine.stop();
    let stopper = std::thread::spawn(move || rung.recv().map(|()| stop.stop()));
    assert_eq!(machine.run(LONG).unwrap(), End::Stopped);
    stopper.join().unwrap().unwrap();
    assert_eq!(machine.cpu(0).unwrap().regs().unwrap().rip, CODE + 2);
}

#[test]
fn out_of_exits_is_behind_the_instruction_that_made_the_last() {
    let Some(builder) = bare() else { return };
    let mut machine = boot(builder, &[&[0xe4, 0xe9, 0xeb, 0xfc]]); // in al, 0xe9; jmp back to it
    assert_eq!(machine.run(Limit { exits: 100, ..LONG }).unwrap(), End::OutOfExits);
    let regs = machine.cpu(0).unwrap().regs().unwrap();
    assert_eq!((regs.rax, regs.rip), (0xe9, CODE + 2));
}

#[test]
fn one_vcpu_that_exits_ends_the_other() {
    let Some(builder) = bare_of(2) else { return };
    let mut machine = boot(builder, &[SPIN, HELLO]);
    assert_eq!(machine.run(LONG).unwrap(), End::Exited { status: 0x2b });
    assert_eq!(machine.cpu(0).unwrap().regs().unwrap().rip, CODE);
    assert!(matches!(machine.cpu(2), Err(MachineError::NoCpu { id: 2, count: 2 })));
}

#[test]
fn an_exit_that_nobody_handles_is_named() {
    let Some(builder) = bare() else { return };
    let mut machine = boot(builder, &[&[0xea, 0x00, 0x00, 0x00, 0xb0]]); // jmp 0xb000:0, where no RAM is
    let told = machine.run(LONG).map_err(|error| error.to_string()).unwrap_err();
    assert!(told.starts_with("run vCPU 0: cannot handle KVM_EXIT_INTERNAL_ERROR with suberror "), "{told}");
}

#[test]
fn a_doorbell_rings_for_its_own_width_alone() {
    let Some(builder) = bare() else { return };
    let (bell, rung) = channel();
    let builder = builder.device("bell", Box::new(Bell(bell)), &[Region::ports(0x80, 0x81)]).unwrap();
    let mut machine = boot(builder, &[&[0xe7, 0x80, 0xe6, 0x80, 0xf4]]); // out 0x80, ax; out 0x80, al; hlt
    let fd = EventFd::new(libc::EFD_NONBLOCK).unwrap();
    let doorbell =
        Doorbell { space: Space::Ports, address: 0x80, width: 1, data: None, fd: fd.try_clone().unwrap() };
    machine.bus().map().ring_at(doorbell).unwrap();
    assert_eq!(machine.run(LONG).unwrap(), End::Halted);
    assert_eq!((fd.read().unwrap(), rung.try_iter().count()), (1, 1));
}

/// A device that has a bug.
struct Buggy;

impl Device for Buggy {
    fn read(&mut self, _: usize, _: u64, _: &mut [u8]) -> Access {
        Access::NoRegister
    }

    fn write(&mut self, _: usize, _: u64, _: &[u8]) -> Access {
        panic!("the bug of a device")
    }

    fn reset(&mut self) {}

    fn state(&self) -> Result<serde_json::Value, serde_json::Error> {
        serde_json::to_value(())
    }

    fn load(&mut self, state: serde_json::Value) -> Result<(), serde_json::Error> {
        serde_json::from_value(state)
    }
}

#[test]
fn a_device_that_panics_ends_the_run_with_what_it_says() {
    let Some(builder) = bare_of(2) else { return };
    let builder = builder.device("buggy", Box::new(Buggy), &[Region::ports(0x80, 0x80)]).unwrap();
    let mut machine = boot(builder, &[SPIN, &[0xe6, 0x80, 0xf4]]); // out 0x80, al; hlt
    let told = machine.run(LONG).map_err(|error| error.to_string()).unwrap_err();
    assert!(told.starts_with("run vCPU 1: cannot go on: its thread panicked"), "{told}");
    assert!(told.ends_with(": the bug of a device"), "{told}");
}

#[test]
fn the_machines_are_sorted_and_there_is_a_bare_one() {
    assert!(machine_classes().is_sorted_by(|one, other| one.name < other.name));
    assert!(machine_class("bare").is_some());
    assert!(machine_class("pc-9801").is_none());
}

#[test]
fn a_device_that_is_not_known_is_told_with_those_that_are() {
    let Some(builder) = bare() else { return };
    let told = builder.model("floppy").err().map(|error| error.to_string());
    let told = told.expect("there is no such device");
    assert!(told.starts_with("make a device \"floppy\": there is com1, com2, "), "{told}");
}

/// Memory of a virtio-net that has one buffer to receive into, of which the guest waits for the first byte of a frame.
#[test]
fn the_main_loop_has_a_network_card_receive() {
    let Some(builder) = bare() else { return };
    let (near, mut far) = UnixStream::pair().unwrap();
    builder.wires().nics.add(Nic { link: Link::stream(near).unwrap(), mac: Mac::of_number(0) });
    #[rustfmt::skip]
    let code = [
        0xa0, 0x0c, 0x50, // mov al, [0x500c]
        0x84, 0xc0,       // test al, al
        0x74, 0xf9,       // jz to the beginning
        0xe6, 0xf4,       // out 0xf4, al
    ];
    let mut machine = boot(builder.virtio("virtio-net").unwrap(), &[&code]);
    let descriptor = [&0x5000_u64.to_le_bytes()[..], &0x600_u32.to_le_bytes(), &[2, 0, 0, 0]].concat();
    machine.ram().write(0x2000, &descriptor).unwrap();
    machine.ram().write(0x3000, &[0, 0, 1, 0, 0, 0]).unwrap();
    // Reset, acknowledged, a driver; the first version; one queue of eight; all is ready.
    let registers = [(0x70, 0), (0x70, 3), (0x24, 1), (0x20, 1), (0x70, 0xb), (0x30, 0), (0x38, 8)];
    let rings = [(0x80, 0x2000), (0x90, 0x3000), (0xa0, 0x4000), (0x44, 1), (0x70, 0xf), (0x50, 0)];
    for (register, value) in registers.into_iter().chain(rings) {
        let address = u64::from(SLOTS[0].address) + register;
        machine.bus().write(Space::Memory, address, &u32::to_le_bytes(value));
    }
    let frame = [&60_u32.to_be_bytes()[..], &[0x11; 60]].concat();
    let end = std::thread::scope(|scope| {
        scope.spawn(|| {
            for piece in frame.chunks(16) {
                std::thread::sleep(Duration::from_millis(20));
                far.write_all(piece).unwrap();
            }
        });
        machine.run(LONG).unwrap()
    });
    assert_eq!(end, End::Exited { status: 0x23 });
}
