//! Subjects: what runs a payload and tells its story. Whatever runs guest code can be one, and every payload is tried on each.

use std::fmt::Debug;

use guests::{Image, Payload, Story};

use crate::{Broken, HostFault, Outcome, Stop, check};

/// Every subject that is linked in.
#[linkme::distributed_slice]
pub static SUBJECTS: [Subject];

/// Something that runs a payload and tells its story.
#[derive(Debug)]
pub struct Subject {
    /// Its name.
    pub name: &'static str,
    /// What it is, in a few words.
    pub about: &'static str,
    /// Runs an image, gives these answers to its reads in order and all ones after the last, and tells what happened.
    pub tell: fn(&Image, &mut dyn Iterator<Item = Vec<u8>>) -> Result<Story, Stop>,
}

/// Every subject that is linked in, sorted by name.
pub fn subjects() -> Vec<&'static Subject> {
    let mut subjects: Vec<_> = SUBJECTS.iter().collect();
    subjects.sort_by_key(|subject| subject.name);
    subjects
}

/// Registers a subject: its name, what it is, and the function that runs an image.
#[macro_export]
macro_rules! subject {
    ($name:expr, $about:expr, $tell:path) => {
        const _: () = {
            #[$crate::linkme::distributed_slice($crate::SUBJECTS)]
            #[linkme(crate = $crate::linkme)]
            static SUBJECT: $crate::Subject = $crate::Subject { name: $name, about: $about, tell: $tell };
        };
    };
}

/// On the subject, the payload tells the story that it should tell.
#[track_caller]
pub fn tells(subject: &Subject, payload: &Payload) -> Outcome {
    let image = payload.code().map_err(fault).and_then(|code| Image::of(&code).map_err(fault))?;
    let expected = (payload.story)(&image);
    let seen = (subject.tell)(&image, &mut expected.replies().map(<[u8]>::to_vec))?;
    check::count();
    let difference = expected.difference(&seen);
    if difference.is_empty() {
        return Ok(());
    }
    let broken = Broken::new(format!("{} tells another story: {}", payload.name(), difference[0]));
    let listing = image.code.around(seen.ending.registers.rip);
    let told = seen.to_string();
    Err(broken
        .comparing(first(&difference, "expected"), first(&difference, "seen"))
        .with(difference)
        .with([format!("the story on {}:", subject.name)])
        .with(told.lines().map(str::to_owned))
        .with(["around RIP:".to_owned()])
        .with(listing)
        .into())
}

/// What the first difference says behind a word: `rax: expected 0x1, seen 0x2` behind both, `memory: seen 0x1000 …` behind one.
fn first(difference: &[String], word: &str) -> String {
    let (_, told) = difference.first().and_then(|line| line.split_once(": ")).unwrap_or_default();
    let mut parts = told.split(", seen ").enumerate().map(|(index, part)| match index {
        0 => part.split_once(' ').unwrap_or(("", part)),
        _ => ("seen", part),
    });
    parts
        .find(|(said, _)| *said == word)
        .map_or_else(|| "nothing of it".to_owned(), |(_, part)| part.to_owned())
}

/// A payload that cannot be made is the suite's fault.
pub(crate) fn fault(error: impl Debug) -> Stop {
    Stop::HostFault(HostFault(format!("cannot make the guest's image: {error:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_side_of_a_difference_is_told() {
        let line = |text: &str| vec![text.to_owned()];
        let both = line("event 1: expected OUT 0x80 <- 0x1, seen Shutdown");
        assert_eq!(
            (first(&both, "expected").as_str(), first(&both, "seen").as_str()),
            ("OUT 0x80 <- 0x1", "Shutdown")
        );
        let seen = line("memory: seen 0x12000..0x12001 changed to 21");
        assert_eq!(first(&seen, "expected"), "nothing of it");
        assert_eq!(first(&seen, "seen"), "0x12000..0x12001 changed to 21");
    }
}
