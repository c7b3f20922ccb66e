//! The bus finds who is at an address, splits what reaches over an end, and answers what nobody answers.

use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use rstest::rstest;
use vmm::{Access, Bus, Device, Ram, Region, RegionError, Space, StateError};

/// Each write that a device has seen: region, offset and data.
type Seen = Arc<Mutex<Vec<(usize, u64, Vec<u8>)>>>;

/// A device that keeps the last byte written to it, and refuses what is wider; it is read at its first offset alone.
#[derive(Default)]
struct Latch {
    held: u8,
    seen: Seen,
}

impl Device for Latch {
    fn read(&mut self, _: usize, offset: u64, data: &mut [u8]) -> Access {
        match offset {
            0 => data.fill(self.held),
            _ => return Access::NoRegister,
        }
        Access::Done
    }

    fn write(&mut self, region: usize, offset: u64, data: &[u8]) -> Access {
        self.seen.lock().expect("no test panics in here").push((region, offset, data.to_vec()));
        match data {
            [byte] => self.held = *byte,
            _ => return Access::BadWidth,
        }
        Access::Done
    }

    fn reset(&mut self) {
        self.held = 0;
    }

    fn state(&self) -> Result<serde_json::Value, serde_json::Error> {
        serde_json::to_value(self.held)
    }

    fn load(&mut self, state: serde_json::Value) -> Result<(), serde_json::Error> {
        self.held = serde_json::from_value(state)?;
        Ok(())
    }
}

const RAM: u64 = 0x1000;

fn bus(regions: &[Region]) -> (Bus, Seen) {
    let latch = Latch::default();
    let seen = Arc::clone(&latch.seen);
    let mut bus = Bus::new(Ram::new(RAM).expect("a page is to be had"));
    bus.add("latch", Box::new(latch), regions).expect("the regions are apart");
    (bus, seen)
}

fn memory(first: u64, length: u64) -> Region {
    Region::new(Space::Memory, first, length).expect("the region is in memory")
}

#[rstest]
#[case::no_address(Space::Ports, 0, 0)]
#[case::behind_the_ports(Space::Ports, 0xffff, 2)]
#[case::behind_memory(Space::Memory, u64::MAX, 2)]
#[case::far_too_long(Space::Ports, 1, u64::MAX)]
fn a_region_outside_of_its_space_is_refused(#[case] space: Space, #[case] first: u64, #[case] length: u64) {
    assert_eq!(Region::new(space, first, length), Err(RegionError::Impossible { space, first, length }));
}

#[rstest]
#[case::ram(&[memory(RAM - 1, 1)], "put new at memory 0xfff..=0xfff: RAM lies at memory 0x0..=0xfff")]
#[case::a_port(&[Region::ports(0x61, 0x61)], "put new at ports 0x61..=0x61: latch lies at ports 0x60..=0x63")]
#[case::all_ports(&[Region::ALL_PORTS], "put new at ports 0x0..=0xffff: latch lies at ports 0x60..=0x63")]
#[case::itself(&[Region::ports(1, 2), Region::ports(2, 3)], "put new at ports 0x2..=0x3: new lies at ports 0x1..=0x2")]
fn an_overlap_is_refused_and_changes_nothing(#[case] regions: &[Region], #[case] why: &str) {
    let (mut bus, _) = bus(&[Region::ports(0x60, 0x63)]);
    let refused = bus.add("new", Box::new(Latch::default()), regions).map_err(|error| error.to_string());
    assert_eq!(refused, Err(why.to_owned()));
    assert_eq!(bus.states().unwrap().len(), 1);
    assert!(bus.add("beside", Box::new(Latch::default()), &[Region::ports(1, 3), memory(RAM, 1)]).is_ok());
}

#[rstest]
#[case::nobody(Space::Ports, 0x70, 4, Access::NoRegister, &[])]
#[case::whole(Space::Ports, 0x60, 1, Access::Done, &[(0, 0, 1)])]
#[case::too_wide(Space::Ports, 0x60, 2, Access::BadWidth, &[(0, 0, 2)])]
#[case::over_the_beginning(Space::Ports, 0x5f, 2, Access::NoRegister, &[(0, 0, 1)])]
#[case::over_the_end(Space::Ports, 0x63, 4, Access::NoRegister, &[(0, 3, 1)])]
#[case::from_one_to_the_next(Space::Memory, 0x2003, 2, Access::Done, &[(1, 3, 1), (2, 0, 1)])]
#[case::the_last_address(Space::Memory, u64::MAX, 8, Access::NoRegister, &[(3, 0, 1)])]
fn writes_go_to_who_is_there(
    #[case] space: Space,
    #[case] address: u64,
    #[case] length: usize,
    #[case] became: Access,
    #[case] pieces: &[(usize, u64, usize)],
) {
    let regions = [Region::ports(0x60, 0x63), memory(0x2000, 4), memory(0x2004, 4), memory(u64::MAX, 1)];
    let (bus, seen) = bus(&regions);
    assert_eq!(bus.write(space, address, &vec![7; length]), became);
    let expected: Vec<_> =
        pieces.iter().map(|&(region, offset, length)| (region, offset, vec![7; length])).collect();
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[rstest]
#[case::nobody(0x70, &[0xff; 4], Access::NoRegister)]
#[case::no_register(0x61, &[0xff], Access::NoRegister)]
#[case::answered(0x60, &[0], Access::Done)]
#[case::in_part(0x5f, &[0xff, 0], Access::NoRegister)]
#[case::the_end_of_the_ports(0xffff, &[0xff; 2], Access::NoRegister)]
fn what_nobody_answers_is_all_ones(#[case] port: u64, #[case] answer: &[u8], #[case] became: Access) {
    let (bus, _) = bus(&[Region::ports(0x60, 0x63)]);
    let mut data = vec![0x55; answer.len()];
    assert_eq!(bus.read(Space::Ports, port, &mut data), became);
    assert_eq!(data, answer);
}

#[test]
fn state_is_reset_saved_and_loaded_by_name() {
    let (bus, _) = bus(&[Region::ports(0x60, 0x60)]);
    bus.write(Space::Ports, 0x60, &[7]);
    let saved = bus.states().unwrap();
    assert_eq!(saved, [("latch".to_owned(), serde_json::json!(7))]);
    bus.reset();
    assert_eq!(bus.states().unwrap()[0].1, serde_json::json!(0));
    bus.load("latch", saved[0].1.clone()).unwrap();
    assert!(matches!(bus.load("latch", serde_json::json!("seven")), Err(StateError::Form { .. })));
    assert!(matches!(bus.load("lock", serde_json::json!(7)), Err(StateError::NoDevice { .. })));
    assert_eq!(bus.states().unwrap(), saved);
}

proptest! {
    #[test]
    fn ram_keeps_what_is_in_it_and_loses_the_rest(address in 0..RAM + 8, data: [u8; 8]) {
        let (bus, _) = bus(&[]);
        bus.write(Space::Memory, address, &data);
        let mut read = [0; 8];
        bus.read(Space::Memory, address, &mut read);
        let left = usize::try_from(RAM.saturating_sub(address)).unwrap().min(8);
        prop_assert_eq!(&read[..left], &data[..left]);
        prop_assert!(read[left..].iter().all(|&byte| byte == 0xff));
    }
}
