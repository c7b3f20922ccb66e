//! The same code on RAM and on MMIO: there the processor reaches memory by itself, here KVM's emulator asks user space for each piece.

use guests::strategies::{Access, Place, WINDOW, accesses};
use guests::{Event, Image};

use super::{INTERNAL_ERROR, Seen, Way, same, same_uncounted, witness};
use crate::{Outcome, Stop, check};

/// KVM_INTERNAL_ERROR_EMULATION.
const EMULATION: u32 = 1;

/// What became of code on MMIO.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Emulated {
    /// All of it was emulated, with so many exits to the window.
    Wholly(usize),
    /// KVM refuses to emulate the instruction of this name.
    Refused(String),
}

/// The code ends alike on RAM and on MMIO, and on MMIO asks for exactly the pieces that its accesses come to. Where KVM refuses an
/// instruction, what came before it is checked, and the instruction is counted by its name.
#[track_caller]
pub fn asks_exactly(image: &Image, undefined: u64, ram: Way<'_>, mmio: Way<'_>) -> Result<Emulated, Stop> {
    let mut seen = mmio(image)?;
    let window = Place::Mmio.address()..Place::Mmio.address() + WINDOW;
    let mut expected: Vec<Access> =
        accesses(image, window.clone()).into_iter().flat_map(Access::pieces).collect();
    let is_access = |event: &Event| match event {
        Event::MmioRead { address, .. } | Event::MmioWrite { address, .. } => window.contains(address),
        _ => false,
    };
    let (asked, rest): (Vec<Event>, Vec<Event>) = seen.story.events.drain(..).partition(is_access);
    let refused = rest.last().and_then(|event| refused(image, &seen, event));
    if refused.is_some() {
        // Of the instruction itself, what it reads may be asked for before it is looked at.
        let rip = seen.story.ending.registers.rip;
        let before = expected.iter().filter(|access| access.rip < rip).count();
        expected.retain(|access| access.rip < rip || access.rip == rip && !access.write);
        expected.truncate(before.max(asked.len()));
    }
    exits(image, &expected, &asked, &seen)?;
    seen.story.events = rest;
    if let Some(name) = refused {
        check::tally(format!("KVM refuses to emulate {name}"));
        return Ok(Emulated::Refused(name));
    }
    // A program that reaches nothing shows nothing of the emulator.
    if asked.is_empty() {
        same_uncounted(image, undefined, &ram(image)?, &seen)?;
        return Ok(Emulated::Wholly(0));
    }
    same(image, undefined, &ram(image)?, &seen)?;
    Ok(Emulated::Wholly(asked.len()))
}

fn refused(image: &Image, seen: &Seen, last: &Event) -> Option<String> {
    match last {
        Event::Exit(exit) if *exit == format!("{INTERNAL_ERROR}{EMULATION}") => {
            image.code.named_at(seen.story.ending.registers.rip)
        }
        _ => None,
    }
}

/// The exits are those of the accesses, each in its place.
#[track_caller]
fn exits(image: &Image, expected: &[Access], asked: &[Event], seen: &Seen) -> Outcome {
    let told = |event: &Event| match event {
        Event::MmioRead { address, data } => (false, *address, data.len() as u64),
        Event::MmioWrite { address, data } => (true, *address, data.len() as u64),
        _ => (false, 0, 0),
    };
    let wanted = |access: &Access| (access.write, access.address, access.length);
    let length = expected.len().max(asked.len());
    let differs = |at: &usize| expected.get(*at).map(wanted) != asked.get(*at).map(told);
    let Some(at) = (0..length).find(differs) else { return Ok(()) };
    let one = expected.get(at).map_or("nothing more".to_owned(), |access| format!("{access:x?}"));
    let other = asked.get(at).map_or("nothing more".to_owned(), Event::to_string);
    Err(witness(image, &[format!("access {}: expected {one}, seen {other}", at + 1)], seen, seen))
}
