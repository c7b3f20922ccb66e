//! The device models, driven over a bus without any vCPU.

use rstest::rstest;
use vmm::{Access, Bus, Console, End, Ram, Space, Wires, device_class, device_classes};

fn bus() -> (Bus, Wires) {
    let wires = Wires::default();
    let mut bus = Bus::new(Ram::new(0x1000).expect("a page is to be had"));
    for class in device_classes() {
        bus.add(class.name, (class.make)(&wires), class.regions).expect("a PC has them apart");
    }
    (bus, wires)
}

#[test]
fn each_is_found_by_its_name() {
    let names: Vec<&str> = device_classes().iter().map(|class| class.name).collect();
    assert_eq!(names, ["debug-port", "exit-port"]);
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

#[test]
fn neither_has_state() {
    let (bus, _) = bus();
    bus.reset();
    for (name, state) in bus.states().unwrap() {
        assert!(state.is_null());
        bus.load(&name, state).unwrap();
        assert!(bus.load(&name, serde_json::json!(1)).is_err());
    }
}
