//! Every payload builds, and tells a story that its own code can tell.

use std::collections::BTreeSet;

use guests::{Event, Image, Mode, payload, payloads};

#[test]
fn each_builds_for_its_mode_and_ends_with_a_halt() {
    for payload in payloads() {
        let code = payload.code().unwrap();
        let image = Image::of(&code).unwrap();
        let story = (payload.story)(&image);
        assert_eq!(code.mode, payload.mode);
        assert_eq!(story.events.last(), Some(&Event::Halt), "{}", payload.name());
        let (halted, _) = image.ends(image.halted(), &[]);
        assert_eq!(story.ending.registers.rip, halted.rip, "{}", payload.name());
        assert!(code.disassemble().last().unwrap().ends_with("hlt"), "{}", payload.name());
    }
}

#[test]
fn names_are_unique_and_find_their_payload() {
    let names: BTreeSet<String> = payloads().iter().map(|payload| payload.name()).collect();
    assert_eq!(names.len(), payloads().len());
    for name in &names {
        assert_eq!(payload(name).unwrap().name(), *name);
    }
    assert!(payload("port_io::out_dx").is_none(), "a name says the mode");
}

#[test]
fn each_topic_is_there_in_each_mode() {
    for mode in [Mode::Real, Mode::Protected, Mode::Long] {
        for topic in [
            "halt::at_once",
            "hello::hello",
            "mmio::read",
            "mmio::write",
            "port_io::in_dx",
            "port_io::out_imm8",
        ] {
            assert!(payload(&format!("{topic}::{mode}")).is_some(), "{topic} in {mode}");
        }
    }
}

#[test]
fn the_tour_is_there_in_every_mode() {
    for mode in Mode::ALL {
        assert!(payload(&format!("modes::tour::{mode}")).is_some(), "{mode}");
    }
}

#[test]
fn the_names_are_sorted() {
    assert!(payloads().is_sorted_by_key(|payload| payload.name()));
}

#[test]
fn long_mode_reads_eight_bytes_and_the_others_four() {
    for (mode, widths) in [("real", 3), ("protected", 3), ("long", 4)] {
        let payload = payload(&format!("mmio::read::{mode}")).unwrap();
        let story = (payload.story)(&Image::of(&payload.code().unwrap()).unwrap());
        let replies: Vec<usize> = story.replies().map(<[u8]>::len).collect();
        assert_eq!(replies, [1, 2, 4, 8][..widths]);
    }
}
