//! The device models, driven over a bus without any vCPU.

use rstest::rstest;
use vmm::clock::Clock;
use vmm::{Access, Bus, Console, End, Ram, Space, Wires, device_class, device_classes};

fn bus() -> (Bus, Wires) {
    let wires = Wires::new(Ram::new(0x1000).expect("a page is to be had"), Clock::stepped(), 1);
    let mut bus = Bus::new(wires.ram.clone());
    // pc-testdev lies where the debug port does: no PC has both.
    for class in device_classes().into_iter().filter(|class| class.name != "pc-testdev") {
        bus.add(class.name, (class.make)(&wires), class.regions).expect("a PC has them apart");
    }
    (bus, wires)
}

#[test]
fn each_is_found_by_its_name() {
    let names: Vec<&str> = device_classes().iter().map(|class| class.name).collect();
    assert!(names.is_sorted() && names.contains(&"isa-debugcon"));
    assert!(names.iter().all(|name| device_class(name).is_some_and(|class| class.name == *name)));
    assert!(device_class("debug").is_none());
}

#[test]
fn the_debug_port_says_that_it_is_there_and_takes_bytes_alone() {
    let (bus, wires) = bus();
    let mut byte = [0];
    assert_eq!((bus.read(Space::Ports, 0xe9, &mut byte), byte), (Access::Done, [0xe9]));
    assert_eq!(bus.write(Space::Ports, 0xe9, b"a"), Access::Done);
    assert_eq!(wires.console.take(), b"a");
    assert_eq!(wires.console.take(), b"", "taken once");
}

#[test]
fn the_console_keeps_the_newest() {
    let console = Console::default();
    console.put(b'x');
    (0..Console::ROOM).for_each(|_| console.put(b'y'));
    assert_eq!(console.take(), vec![b'y'; Console::ROOM]);
}

#[rstest]
#[case::zero(&[0], Access::Done, Some(1))]
#[case::byte(&[0x21], Access::Done, Some(0x43))]
#[case::word(&[0x21, 0x43], Access::Done, Some(0x8643))]
#[case::double(&[1, 0, 0, 0x80], Access::Done, Some(3))]
#[case::three(&[1, 2, 3], Access::BadWidth, None)]
fn the_exit_port_makes_an_odd_status(
    #[case] data: &[u8],
    #[case] became: Access,
    #[case] status: Option<u32>,
) {
    let (bus, wires) = bus();
    assert_eq!(bus.write(Space::Ports, 0xf4, data), became);
    assert_eq!(wires.power.asked(), status.map(|status| End::Exited { status }));
}

#[test]
fn the_first_exit_counts_and_reading_is_none() {
    let (bus, wires) = bus();
    let mut data = [7; 4];
    assert_eq!((bus.read(Space::Ports, 0xf4, &mut data), data), (Access::Done, [0; 4]));
    assert_eq!(wires.power.asked(), None);
    bus.write(Space::Ports, 0xf4, &[1]);
    bus.write(Space::Ports, 0xf4, &[2]);
    assert_eq!(wires.power.asked(), Some(End::Exited { status: 3 }));
}

#[rstest]
#[case("isa-debugcon")]
#[case("isa-debug-exit")]
#[case("pvpanic")]
fn some_have_no_state(#[case] name: &str) {
    let (bus, _) = bus();
    let states = bus.states().unwrap();
    assert!(states.iter().any(|(held, state)| held == name && state.is_null()));
    assert!(bus.load(name, serde_json::json!(1)).is_err());
}

#[rstest]
#[case::port_92(0x92, 0x03, Some(End::Reset))]
#[case::port_92_without_reset(0x92, 0x02, None)]
#[case::panic(0x505, 0x01, Some(End::Panicked))]
#[case::panic_of_a_kernel_that_goes_on(0x505, 0x02, None)]
fn small_ports_end_the_machine(#[case] port: u64, #[case] byte: u8, #[case] end: Option<End>) {
    let (bus, wires) = bus();
    bus.write(Space::Ports, port, &[byte]);
    assert_eq!(wires.power.asked(), end);
}

#[rstest]
#[case::diagnostic(0x80, 0x5a, 0x5a)]
#[case::address_line_20(0x92, 0x00, 0x00)]
#[case::panic(0x505, 0x00, 0x03)]
fn small_ports_keep_what_they_have(#[case] port: u64, #[case] written: u8, #[case] read: u8) {
    let (bus, _) = bus();
    let mut byte = [0];
    bus.write(Space::Ports, port, &[written]);
    bus.read(Space::Ports, port, &mut byte);
    assert_eq!(byte, [read]);
}
