//! A story reads well, and names what differs from another.

use guests::{Change, Event, Image, Memory, Mode, RAM, Registers, SCRATCH, Story, TRAP, code};
use proptest::prelude::*;
use rstest::rstest;

fn image() -> Image {
    let code = code(Mode::Real, |a| a.hlt()).expect("HLT is in every mode");
    Image::of(&code).expect("one byte has room")
}

fn story() -> Story {
    Story::of([Event::read(0x60, [0x41]), Event::Halt]).ending(Registers::default(), Memory::Unchanged)
}

#[rstest]
#[case(Event::out(0xe9, [0x41]), "OUT 0xe9 <- 0x41")]
#[case(Event::read(0x60, [1, 2]), "IN 0x60 -> 0x0201")]
#[case(Event::Out { port: 1, size: 2, data: vec![1, 2, 3, 4] }, "OUT 0x1 <- 0x0201, 0x0403")]
#[case(Event::Out { port: 1, size: 0, data: vec![1] }, "OUT 0x1 <- 0x01")]
#[case(Event::mmio_write(0xb0000, [1, 2, 3, 4]), "MMIO 0xb0000 <- 0x04030201")]
#[case(Event::mmio_read(0xb0000, [1]), "MMIO 0xb0000 -> 0x01")]
#[case(Event::Halt, "HLT")]
#[case(Event::Exit("KVM_EXIT_SHUTDOWN".to_owned()), "KVM_EXIT_SHUTDOWN")]
fn an_event_is_one_line(#[case] event: Event, #[case] line: &str) {
    assert_eq!(event.to_string(), line);
}

#[test]
fn a_story_is_readable() {
    let text = story().to_string();
    assert!(text.starts_with("  1  IN 0x60 -> 0x41\n  2  HLT\n     rax    0000000000000000 rbx "), "{text}");
    assert!(text.ends_with("\n     memory unchanged"), "{text}");
}

#[rstest]
#[case::value(vec![Event::read(0x60, [0x42]), Event::Halt], "event 1: expected IN 0x60 -> 0x41, seen IN 0x60 -> 0x42")]
#[case::missing(vec![Event::read(0x60, [0x41])], "event 2: expected HLT, seen nothing more")]
#[case::more(vec![Event::read(0x60, [0x41]), Event::Halt, Event::Halt], "event 3: expected nothing more, seen HLT")]
fn the_first_event_that_differs_is_named(#[case] events: Vec<Event>, #[case] line: &str) {
    let seen = Story { events, ..story() };
    assert_eq!(story().difference(&seen), [line]);
}

#[test]
fn registers_and_memory_are_named_behind_the_event() {
    let mut seen = story();
    seen.events.clear();
    seen.ending.registers.rax = 2;
    seen.ending.registers.rflags = 0x46;
    seen.ending.memory = Memory::after(&image(), &[(SCRATCH, &[1, 2])]);
    let lines = story().difference(&seen);
    let behind = [
        "rax: expected 0x0, seen 0x2",
        "rflags: expected 0x0, seen 0x46",
        "memory: seen 0x8000..0x8002 changed to 01 02",
    ];
    assert!(lines[0].starts_with("event 1: "));
    assert_eq!(lines[1..], behind);
    assert_eq!(seen.difference(&story())[3], "memory: expected 0x8000..0x8002 changed to 01 02");
}

#[test]
fn a_long_change_is_cut_in_the_text_alone() {
    let memory = Memory::after(&image(), &[(SCRATCH, &[7; 17])]);
    assert_eq!(memory.changes()[0].bytes.len(), 17);
    assert!(memory.to_string().ends_with(" 07 …"));
}

#[rstest]
#[case::none(&[], &[])]
#[case::the_same(&[(SCRATCH, &[TRAP, TRAP][..])], &[])]
#[case::joined(&[(SCRATCH + 1, &[2][..]), (SCRATCH, &[1])], &[(SCRATCH, &[1, 2][..])])]
#[case::split_by_an_equal_byte(&[(SCRATCH, &[1, TRAP, 3][..])], &[(SCRATCH, &[1][..]), (SCRATCH + 2, &[3])])]
#[case::out_of_ram(&[(RAM - 1, &[1, 2][..]), (u64::MAX, &[1, 2])], &[(RAM - 1, &[1][..])])]
fn changes_are_ranges(#[case] writes: &[(u64, &[u8])], #[case] expected: &[(u64, &[u8])]) {
    let memory = Memory::after(&image(), writes);
    let changes: Vec<Change> =
        expected.iter().map(|(address, bytes)| Change { address: *address, bytes: bytes.to_vec() }).collect();
    assert_eq!(memory.changes(), changes);
    assert_eq!(memory == Memory::Unchanged, changes.is_empty());
}

#[test]
fn ram_of_another_length_has_changed() {
    let ram = image().ram();
    assert_eq!(Memory::compare(&image(), &ram), Memory::Unchanged);
    assert_ne!(Memory::compare(&image(), &ram[1..]), Memory::Unchanged);
    assert_ne!(Memory::compare(&image(), &[&ram[..], &[0]].concat()), Memory::Unchanged);
}

fn any_story() -> impl Strategy<Value = Story> {
    let data = || proptest::collection::vec(any::<u8>(), 1..9);
    let event = prop_oneof![
        (any::<u16>(), data()).prop_map(|(port, data)| Event::out(port, data)),
        (any::<u16>(), data()).prop_map(|(port, data)| Event::read(port, data)),
        (any::<u64>(), data()).prop_map(|(address, data)| Event::mmio_write(address, data)),
        (any::<u64>(), data()).prop_map(|(address, data)| Event::mmio_read(address, data)),
        Just(Event::Halt),
    ];
    let writes = proptest::option::of((0..RAM, any::<u8>()));
    (proptest::collection::vec(event, 0..6), any::<u64>(), writes).prop_map(|(events, rax, write)| {
        let memory = write.map_or(Memory::Unchanged, |(at, byte)| Memory::after(&image(), &[(at, &[byte])]));
        Story::of(events).ending(Registers { rax, ..Registers::default() }, memory)
    })
}

proptest! {
    #[test]
    fn no_difference_means_equal(one in any_story(), other in any_story()) {
        prop_assert!(one.difference(&one).is_empty());
        prop_assert_eq!(one.difference(&other).is_empty(), one == other);
    }

    #[test]
    fn a_story_survives_being_written_down(story in any_story()) {
        let text = serde_json::to_string(&story).unwrap();
        prop_assert_eq!(serde_json::from_str::<Story>(&text).unwrap(), story);
    }
}
