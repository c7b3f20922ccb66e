//! Machines in the making: whatever the order in which they get what they have, they have it, and what makes no sense is refused.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use rstest::rstest;
use vmm::{Builder, IrqChip, Space, accel, machine_class};

fn builder(machine: &str) -> Builder {
    let (_, hypervisor) = accel::open("qtest").unwrap();
    let builder = Builder::with_cpus(hypervisor, 16 << 20, 1, IrqChip::User).unwrap();
    (machine_class(machine).unwrap().furnish)(builder).unwrap()
}

#[test]
fn firmware_is_seen_below_one_mebibyte_also_where_it_comes_last() {
    let mut image = vec![0xb5; 0x1_0000];
    image[0xfff0] = 0xea;
    let machine = builder("pc").firmware(&image).and_then(Builder::build).unwrap();
    let mut byte = [0];
    machine.bus().read(Space::Memory, 0xf_fff0, &mut byte);
    assert_eq!(byte, [0xea]);
}

#[test]
fn each_device_has_a_name_of_its_own() {
    let builder = builder("pc").model("pci-testdev").and_then(|builder| builder.model("pci-testdev"));
    let machine = builder.and_then(Builder::build).unwrap();
    let mut names: Vec<_> = machine.bus().states().unwrap().into_iter().map(|(name, _)| name).collect();
    assert!(names.contains(&"pci-testdev".to_owned()) && names.contains(&"pci-testdev@2".to_owned()));
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[rstest]
#[case("virtio-rng-pci", "add a virtio-rng: the machine has no PCI bus")]
#[case("pci-testdev", "add a pci-testdev: the machine has no PCI bus")]
fn without_a_bus_there_is_no_function(#[case] name: &str, #[case] why: &str) {
    assert_eq!(builder("bare").model(name).err().map(|error| error.to_string()).as_deref(), Some(why));
}
