//! Subjects that tell another story than the payload's: with a wrong event, a wrong register, a wrong byte of memory; and a guest that
//! never comes to its end.

use guests::{Event, Image, Memory, Mode, Story, code, payload};
use harness::{Guest, HostFault, Outcome, Stop, Subject, claim, holds, tells};
use reports::{Entry, Verdict};

use crate::stage::tried;

crate::tests!(
    a_wrong_event_is_a_fail,
    a_wrong_register_is_a_fail,
    a_wrong_byte_is_a_fail,
    an_event_that_is_missing_is_a_fail,
    the_right_story_holds;
    with_kvm: a_guest_that_goes_on_for_ever_is_a_hang,
);

const PAYLOAD: &str = "port_io::out_imm8::long";

/// The story that the payload should tell, spoilt.
fn spoilt(image: &Image, spoil: impl FnOnce(&mut Story)) -> Result<Story, Stop> {
    let payload = payload(PAYLOAD).ok_or_else(|| Stop::HostFault(HostFault("no payload".into())))?;
    let mut story = (payload.story)(image);
    spoil(&mut story);
    Ok(story)
}

macro_rules! liars {
    ($($claim:ident: $spoil:expr;)*) => {
        $(
            fn $claim() -> Outcome {
                let subject = Subject {
                    name: "a liar",
                    about: "tells another story",
                    tell: |image, _| spoilt(image, $spoil),
                };
                tells(&subject, payload(PAYLOAD).ok_or_else(|| Stop::HostFault(HostFault("no payload".into())))?)
            }
            claim!($claim, concat!("a story with ", stringify!($claim)), [Observed("nowhere")]);
        )*
    };
}

liars! {
    nothing_spoilt: |_| ();
    event_spoilt: |story| story.events[1] = Event::out(0x81, [0x11, 0x23]);
    event_missing: |story| drop(story.events.pop());
    register_spoilt: |story| story.ending.registers.rbx = 7;
    memory_spoilt: |story| {
        story.ending.memory = Memory::Changed(vec![guests::Change { address: 0x4000, bytes: vec![0] }]);
    };
}

fn failed(liar: &str, difference: &str) -> Entry {
    let entry = tried(&format!("stories::{liar}"));
    let why = format!("{PAYLOAD} tells another story: {difference}");
    assert_eq!((entry.verdict, entry.why.as_deref()), (Verdict::Fail, Some(why.as_str())));
    entry
}

fn a_wrong_event_is_a_fail() {
    let entry = failed("event_spoilt", "event 2: expected OUT 0x81 <- 0x2211, seen OUT 0x81 <- 0x2311");
    let witness = entry.witness.expect("a witness");
    assert_eq!(witness.expected.as_deref(), Some("OUT 0x81 <- 0x2211"));
    assert_eq!(witness.seen.as_deref(), Some("OUT 0x81 <- 0x2311"));
    assert!(
        witness.detail.iter().any(|line| line.contains("out 0x81, ax")),
        "no listing: {:?}",
        witness.detail
    );
}

fn an_event_that_is_missing_is_a_fail() {
    failed("event_missing", "event 4: expected HLT, seen nothing more");
}

fn a_wrong_register_is_a_fail() {
    failed("register_spoilt", "rbx: expected 0x0, seen 0x7");
}

fn a_wrong_byte_is_a_fail() {
    let entry = tried("stories::memory_spoilt");
    assert_eq!(entry.verdict, Verdict::Fail);
    assert!(entry.why.is_some_and(|why| why.contains("0x4000")), "the address is not told");
}

fn the_right_story_holds() {
    assert_eq!(tried("stories::nothing_spoilt").verdict, Verdict::Pass);
}

fn goes_on_for_ever() -> Outcome {
    let fault = |error: &dyn std::fmt::Debug| Stop::HostFault(HostFault(format!("{error:?}")));
    let again = code(Mode::Real, |a| {
        let mut again = a.create_label();
        a.set_label(&mut again)?;
        a.out(0x80_u32, guests::iced_x86::code_asm::al)?;
        a.jmp(again)
    });
    let image = Image::of(&again.map_err(|error| fault(&error))?).map_err(|error| fault(&error))?;
    Guest::of(&image)?.tell(&mut std::iter::empty())?;
    holds(true, "the guest came to its end")
}
claim!(goes_on_for_ever, "every guest comes to its end", [Observed("nowhere")]);

fn a_guest_that_goes_on_for_ever_is_a_hang() {
    let entry = tried("stories::goes_on_for_ever");
    assert_eq!(entry.verdict, Verdict::Hang);
    let why = entry.why.unwrap_or_default();
    assert!(why.contains("within 1000 exits") && why.contains("OUT 0x80"), "{why}");
    let detail = entry.witness.map(|witness| witness.detail).unwrap_or_default();
    assert!(detail.iter().any(|line| line.contains("out 0x80, al")), "no listing: {detail:?}");
}
