//! A script becomes one program, and its answers are found in what the program tells.

use guests::protocol::REPORT_PORT;
use guests::script::{ANSWER_PORT, END_PORT, Op, Said, Script};
use guests::{Event, Mode};

#[test]
fn a_script_is_one_program_that_tells_its_end() {
    let script = Script(vec![Op::Out(0x20, 0x0a), Op::In(0x20), Op::Line(5, true), Op::Take]);
    let image = script.image().unwrap();
    assert_eq!(image.code.mode, Mode::Long);
    let listing = image.code.disassemble().join("\n");
    for part in ["mov edx, 0x20", "mov al, 0xa", "in al, dx", "mov edx, 0x2005", "sti", "mov edx, 0xf4"] {
        assert!(listing.to_lowercase().contains(part), "{part} in {listing}");
    }
}

#[test]
fn answers_belong_to_the_steps_that_say_anything() {
    let script =
        Script(vec![Op::Out(0x20, 1), Op::In(0x20), Op::Rdmsr(0x1b), Op::Wrmsr(0x1b, 0), Op::Take, Op::Take]);
    let word = |value: u32| Event::out(ANSWER_PORT, value.to_le_bytes());
    let mut events = vec![word(7), word(0xfee0_0900), word(1), Event::out(REPORT_PORT, [13])];
    events.extend([Event::out(ANSWER_PORT, [0]), Event::out(REPORT_PORT, [0x35]), Event::out(END_PORT, [0])]);
    let said = [
        (1, Said::Value(7)),
        (2, Said::Value(0x1_fee0_0900)),
        (3, Said::Raised(13)),
        (4, Said::Done),
        (5, Said::Raised(0x35)),
    ];
    assert_eq!(script.said(&events).as_deref(), Some(&said[..]));
    assert_eq!(script.said(&events[1..]), None, "an answer is missing");
    assert_eq!(Script(script.0[..5].to_vec()).said(&events), None, "there is one too many");
}

#[test]
fn scripts_are_written_down() {
    let script = Script(vec![Op::Read(0xfec0_0000), Op::Line(3, false), Op::Take]);
    let text = serde_json::to_string(&script).unwrap();
    assert_eq!(text, r#"[{"read":4273995776},{"line":[3,false]},"take"]"#);
    assert_eq!(serde_json::from_str::<Script>(&text).unwrap(), script);
}
