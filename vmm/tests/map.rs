//! Mappings lie over each other by priority, are shown elsewhere as well, and can ring.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use rstest::rstest;
use vmm::{Access, Bus, Doorbell, Map, Ram, Range, Region, Space, Target};
use vmm_sys_util::eventfd::EventFd;

fn device(index: usize) -> Target {
    Target::Device { index, region: 0, offset: 0 }
}

fn memory(first: u64, last: u64) -> Region {
    Region::memory(first, last)
}

/// The ranges of memory, as first, last and index of the device.
fn seen(map: &Map) -> Vec<(u64, u64, usize)> {
    let index = |range: &Range| match range.target {
        Target::Device { index, .. } => index,
        Target::Ram { .. } => usize::MAX,
    };
    map.view(Space::Memory).ranges().iter().map(|range| (range.first, range.last, index(range))).collect()
}

#[test]
fn the_higher_priority_is_seen_and_can_be_hidden() {
    let map = Map::default();
    map.add("below", 0, &[(memory(0, 99), device(0))]).unwrap();
    let above = map.add("above", 1, &[(memory(40, 59), device(1))]).unwrap();
    assert_eq!(seen(&map), [(0, 39, 0), (40, 59, 1), (60, 99, 0)]);
    map.enable(above[0], false).unwrap();
    assert_eq!(seen(&map), [(0, 99, 0)]);
    map.enable(above[0], true).unwrap();
    assert_eq!(seen(&map).len(), 3);
}

#[test]
fn what_is_seen_behind_something_keeps_its_offset() {
    let map = Map::default();
    map.add("below", 0, &[(memory(0x1000, 0x1fff), device(0))]).unwrap();
    map.add("above", 1, &[(memory(0x1000, 0x17ff), device(1))]).unwrap();
    let view = map.view(Space::Memory);
    assert_eq!(view.ranges()[1].target, Target::Device { index: 0, region: 0, offset: 0x800 });
}

#[rstest]
#[case::part(0x1800, memory(0x8000, 0x87ff), true)]
#[case::before(0x0fff, memory(0x8000, 0x87ff), false)]
#[case::too_long(0x1801, memory(0x8000, 0x87ff), false)]
fn an_alias_shows_a_part_elsewhere(#[case] from: u64, #[case] at: Region, #[case] works: bool) {
    let map = Map::default();
    let of = map.add("device", 0, &[(memory(0x1000, 0x1fff), device(3))]).unwrap();
    let alias = map.alias(of[0], from, at, 0);
    assert_eq!(alias.is_ok(), works);
    if works {
        let target = map.view(Space::Memory).ranges()[1].target;
        assert_eq!(target, Target::Device { index: 3, region: 0, offset: 0x800 });
    }
}

#[test]
fn ram_can_be_protected() {
    let ram = Ram::new(0x2000).unwrap();
    let target = Target::Ram { block: 0, offset: 0x1000, writable: true };
    let bus = Bus::new(ram);
    let shadow = bus.map().add("shadow", 0, &[(memory(0xf_0000, 0xf_0fff), target)]).unwrap();
    bus.write(Space::Memory, 0xf_0004, &[1]);
    bus.map().protect(shadow[0], false).unwrap();
    assert_eq!(bus.write(Space::Memory, 0xf_0004, &[2]), Access::NoRegister);
    let mut read = [0; 2];
    bus.read(Space::Memory, 0xf_0004, &mut read[..1]);
    bus.read(Space::Memory, 0x1004, &mut read[1..]);
    assert_eq!(read, [1, 1]);
}

#[rstest]
#[case::any(None, 4, &[7, 0, 0, 0], 1)]
#[case::the_same(Some(7), 4, &[7, 0, 0, 0], 1)]
#[case::another(Some(8), 4, &[7, 0, 0, 0], 0)]
#[case::narrower(Some(7), 4, &[7], 0)]
fn a_doorbell_rings(
    #[case] data: Option<u64>,
    #[case] width: usize,
    #[case] written: &[u8],
    #[case] rung: u64,
) {
    let bus = Bus::new(Ram::new(0x1000).unwrap());
    let fd = EventFd::new(libc::EFD_NONBLOCK).unwrap();
    let bell = fd.try_clone().unwrap();
    let address = 0xe000_0000;
    bus.map().ring_at(Doorbell { space: Space::Memory, address, width, data, fd }).unwrap();
    bus.write(Space::Memory, address, written);
    assert_eq!(bell.read().unwrap_or(0), rung);
}

proptest! {
    #[test]
    fn every_address_has_the_owner_of_the_highest_priority(
        mappings in proptest::collection::vec((0..64_u64, 0..16_u64), 0..12),
    ) {
        let map = Map::default();
        for (index, &(first, more)) in (0_i32..).zip(&mappings) {
            let target = device(usize::try_from(index).unwrap());
            map.add("one", index, &[(memory(first, first + more), target)]).unwrap();
        }
        let ranges = seen(&map);
        prop_assert!(ranges.windows(2).all(|pair| pair[0].1 < pair[1].0));
        for address in 0..80 {
            let owner = ranges.iter().find(|range| (range.0..=range.1).contains(&address)).map(|range| range.2);
            let expected = mappings.iter().rposition(|&(first, more)| (first..=first + more).contains(&address));
            prop_assert_eq!(owner, expected, "at {}", address);
        }
    }
}
