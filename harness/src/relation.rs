//! Relations that need no oracle: the same program run in two ways, between which nothing may differ but what the relation says.
//!
//! A way of running takes an image and returns what was [`Seen`]; [`alike`] compares two of them: the events, every register that the
//! mode has, and memory. What each relation adds stands in a file of its own.

mod accesses;
mod interrupted;
mod nested;
mod slots;
mod stepped;
mod travels;

use guests::strategies::{Place, WINDOW};
use guests::{Event, Image, Story, TRAP};

pub use accesses::{Emulated, asks_exactly};
pub use interrupted::{Interruption, Interruptions, interrupted};
pub use nested::{as_guest_of_a_guest, back_in_the_hypervisor, travelling_as_guest_of_a_guest};
pub use slots::{Layout, Log, Logged, logs_exactly, logs_what_is_written, on_known_slots, on_slots};
pub use stepped::{Watch, stepped, watched};
pub use travels::{Cut, Luggage, travelling};

use crate::guest::answer;
use crate::kvm::{Descriptor, Exit, KVM_GET_XSAVE, abi};
use crate::state::XSAVE;
use crate::testbed::{Setting, Testbed};
use crate::{Broken, Outcome, Stop, check};

/// After so many returns from KVM_RUN a guest will not come to its end by itself any more.
const RETURNS: usize = 20_000;
/// How the event of KVM_EXIT_INTERNAL_ERROR begins; the sub-error follows.
const INTERNAL_ERROR: &str = "InternalError of suberror ";
/// The port at which code ends that must not halt, because a kernel with a local APIC would wait there for an interrupt.
pub const END: u8 = 0xf1;
/// OUT of AL to that port.
const AT_END: [u8; 2] = [0xe6, END];

/// Everything that a run made visible.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// The events, the general registers and RAM.
    pub story: Story,
    /// The special registers.
    pub special: abi::kvm_sregs,
    /// The registers of x87, SSE and AVX, where the code touches them.
    pub vectors: Vec<u8>,
    /// What the window holds in the end.
    pub window: Vec<u8>,
}

/// A way of running an image.
pub type Way<'a> = &'a mut dyn FnMut(&Image) -> Result<Seen, Stop>;

/// Runs the image on a testbed of this setting, without anything else.
pub fn plainly(setting: &Setting, image: &Image) -> Result<Seen, Stop> {
    let mut run = Run::on(setting, image)?;
    while !run.is_over() {
        run.plain_turn()?;
    }
    run.finish()
}

/// Runs the image on a testbed that nobody has used, but for the image before it, if there is one.
pub fn following(setting: &Setting, before: Option<&Image>, image: &Image) -> Result<Seen, Stop> {
    let mut testbed = Testbed::new(setting, image)?;
    if let Some(before) = before {
        (_, testbed) = upon(testbed, before)?;
    }
    upon(testbed, image).map(|(seen, _)| seen)
}

/// Lays the image out there and runs it; the testbed comes with what was seen.
fn upon(mut testbed: Testbed, image: &Image) -> Result<(Seen, Testbed), Stop> {
    testbed.lay(image)?;
    let mut run = Run::upon(testbed, image);
    while !run.is_over() {
        run.plain_turn()?;
    }
    run.leave()
}

/// Both ways make the same visible. Flags of arithmetic in `undefined` are the processor's own matter, and are left out.
#[track_caller]
pub fn alike(image: &Image, undefined: u64, one: Way<'_>, other: Way<'_>) -> Outcome {
    same(image, undefined, &one(image)?, &other(image)?)
}

/// What was seen is what is expected.
#[track_caller]
pub fn same(image: &Image, undefined: u64, expected: &Seen, seen: &Seen) -> Outcome {
    check::count();
    same_uncounted(image, undefined, expected, seen)
}

/// The same of a case that shows nothing of what it is about: one that never came to it is not counted, and yet must end as it should.
#[track_caller]
pub fn same_uncounted(image: &Image, undefined: u64, expected: &Seen, seen: &Seen) -> Outcome {
    let defined = |seen: &Seen| {
        let mut story = seen.story.clone();
        story.ending.registers.rflags &= !undefined;
        story
    };
    let (one, other) = (defined(expected), defined(seen));
    let mut difference = one.difference(&other);
    difference.extend(special_difference(&expected.special, &seen.special));
    difference.extend(bytes_differ("vector registers", &expected.vectors, &seen.vectors));
    difference.extend(bytes_differ("the window", &expected.window, &seen.window));
    if difference.is_empty() {
        return Ok(());
    }
    Err(witness(image, &difference, expected, seen))
}

/// The break that these differences are, with both stories and the code around where they ended.
#[track_caller]
fn witness(image: &Image, difference: &[String], expected: &Seen, seen: &Seen) -> Stop {
    let first = difference.first().cloned().unwrap_or_default();
    let told = |seen: &Seen| seen.story.to_string().lines().map(str::to_owned).collect::<Vec<_>>();
    Broken::new(format!("the two ways differ: {first}"))
        .comparing("no difference", difference.join("; "))
        .with([format!("in {} mode:", image.code.mode)])
        .with(image.code.disassemble())
        .with(["expected:".to_owned()])
        .with(told(expected))
        .with(["seen:".to_owned()])
        .with(told(seen))
        .with(["around RIP in the end:".to_owned()])
        .with(image.code.around(seen.story.ending.registers.rip))
        .into()
}

fn special_difference(expected: &abi::kvm_sregs, seen: &abi::kvm_sregs) -> Vec<String> {
    macro_rules! fields {
        ($($field:ident)+) => {
            [$((stringify!($field), format!("{:x?}", expected.$field), format!("{:x?}", seen.$field))),+]
        };
    }
    fields!(cs ds es fs gs ss tr ldt gdt idt cr0 cr2 cr3 cr4 cr8 efer apic_base interrupt_bitmap)
        .into_iter()
        .filter(|(_, expected, seen)| expected != seen)
        .map(|(name, expected, seen)| format!("{name}: expected {expected}, seen {seen}"))
        .collect()
}

/// The first byte that differs.
fn bytes_differ(what: &str, expected: &[u8], seen: &[u8]) -> Option<String> {
    let at = (0..expected.len().max(seen.len())).find(|&at| expected.get(at) != seen.get(at))?;
    let byte = |bytes: &[u8]| bytes.get(at).map_or("nothing".to_owned(), |byte| format!("{byte:#04x}"));
    Some(format!("{what} at {at:#x}: expected {}, seen {}", byte(expected), byte(seen)))
}

/// A run under way, turn by turn.
#[derive(Debug)]
pub struct Run<'a> {
    image: &'a Image,
    testbed: Testbed,
    events: Vec<Event>,
    window: Vec<u8>,
    returns: usize,
    is_over: bool,
}

/// Why KVM_RUN came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The guest did something, which now stands in the story.
    Told,
    /// Something else than the guest ended it.
    Interrupted,
    /// KVM_EXIT_DEBUG, with the linear address of the instruction that comes next.
    Debug(u64),
    /// KVM_EXIT_DIRTY_RING_FULL.
    RingFull,
}

impl<'a> Run<'a> {
    /// Lays the image out on a testbed of this setting.
    pub fn on(setting: &Setting, image: &'a Image) -> Result<Self, Stop> {
        Ok(Self::upon(Testbed::with(setting, image)?, image))
    }

    /// The same on a testbed that the image is laid out on.
    pub fn upon(testbed: Testbed, image: &'a Image) -> Self {
        let window = vec![TRAP; usize::try_from(WINDOW).unwrap_or(0)];
        Self { image, testbed, events: Vec::new(), window, returns: 0, is_over: false }
    }

    /// KVM_RUN once, and what it came back with is answered.
    pub fn turn(&mut self) -> Result<Turn, Stop> {
        self.returns += 1;
        if self.returns > RETURNS {
            return Err(self.hung()?);
        }
        let Some(exit) = self.testbed.run()? else { return Ok(Turn::Interrupted) };
        match exit {
            Exit::Debug { pc, .. } => return Ok(Turn::Debug(pc)),
            Exit::DirtyRingFull => return Ok(Turn::RingFull),
            _ => {}
        }
        let reply = self.reply(&exit);
        let event = match &exit {
            // What its data say is for whoever debugs KVM, and differs with the way that led there: uapi/linux/kvm.h at `internal`.
            Exit::InternalError { suberror, .. } => Event::Exit(format!("{INTERNAL_ERROR}{suberror}")),
            _ => answer(self.testbed.vcpu(), &exit, &mut std::iter::once(reply))?,
        };
        self.is_over = match &event {
            Event::Halt | Event::Exit(_) => true,
            Event::Out { port, .. } => *port == u16::from(END) && self.image.code.bytes.ends_with(&AT_END),
            _ => false,
        };
        self.events.push(event);
        Ok(Turn::Told)
    }

    /// The same where nobody asked for steps, breakpoints or a ring, so that it must not come back for them.
    pub fn plain_turn(&mut self) -> Result<Turn, Stop> {
        match self.turn()? {
            turn @ (Turn::Debug(_) | Turn::RingFull) => {
                let rip = self.testbed.registers()?.rip;
                let broken = Broken::new(format!("KVM_RUN came back for {turn:x?}, which nobody asked for"));
                Err(broken.with(self.image.code.around(rip)).into())
            }
            turn => Ok(turn),
        }
    }

    /// What the guest reads: what the window holds there, and elsewhere something that tells one address from the next. What it
    /// writes to the window stays there.
    fn reply(&mut self, exit: &Exit) -> Vec<u8> {
        match exit {
            Exit::Mmio { write, address, data } => {
                let place =
                    address.checked_sub(Place::Mmio.address()).and_then(|at| usize::try_from(at).ok());
                let place = place.and_then(|at| self.window.get_mut(at..at.checked_add(data.len())?));
                match place {
                    Some(place) if *write => place.copy_from_slice(data),
                    Some(place) => return place.to_vec(),
                    None => {}
                }
                vec![address.to_le_bytes()[0]; data.len()]
            }
            Exit::Io { port, size, count, .. } => {
                vec![port.to_le_bytes()[0] ^ 0x5a; usize::from(*size) * *count as usize]
            }
            _ => Vec::new(),
        }
    }

    /// Lets KVM finish what the last answer was for, without a further instruction: api.rst 5, `immediate_exit`.
    pub fn settle(&mut self) -> Outcome {
        self.testbed.vcpu().fields()?.put_immediate_exit(1);
        let settled = loop {
            match self.turn() {
                Ok(Turn::Interrupted) => break Ok(()),
                // An instruction that reaches memory twice asks twice.
                Ok(_) => {}
                Err(stop) => break Err(stop),
            }
        };
        self.testbed.vcpu().fields()?.put_immediate_exit(0);
        settled
    }

    /// Whether the guest came to its end.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// How many events there were so far.
    pub fn told(&self) -> usize {
        self.events.len()
    }

    /// Where it runs.
    pub fn testbed(&self) -> &Testbed {
        &self.testbed
    }

    /// Goes on elsewhere.
    pub fn move_to(&mut self, testbed: Testbed) {
        self.testbed = testbed;
    }

    /// The image that runs.
    pub fn image(&self) -> &Image {
        self.image
    }

    /// What the run made visible. A testbed on which it ended as usual is left to the next case.
    pub fn finish(self) -> Result<Seen, Stop> {
        let halted = self.image.halted().rip;
        let (seen, testbed) = self.leave()?;
        let is_usual = !matches!(seen.story.events.last(), Some(Event::Exit(_)) | None);
        if is_usual && seen.story.ending.registers.rip == halted {
            testbed.give_back();
        }
        Ok(seen)
    }

    /// What the run made visible, and the testbed.
    pub fn leave(mut self) -> Result<(Seen, Testbed), Stop> {
        if matches!(self.events.last(), Some(Event::Out { .. })) {
            self.settle()?;
        }
        let registers = self.testbed.registers()?;
        let special = self.testbed.special()?;
        let vectors = if self.testbed.has_vectors() { vectors(&self.testbed)? } else { Vec::new() };
        let memory = self.testbed.changes()?;
        let window = self.testbed.window()?.unwrap_or(self.window);
        let story = Story { events: self.events, ending: guests::Ending { registers, memory } };
        Ok((Seen { story, special, vectors, window }, self.testbed))
    }

    fn hung(&self) -> Result<Stop, Stop> {
        let rip = self.testbed.registers()?.rip;
        let last = self.events.last().map(ToString::to_string).unwrap_or_default();
        let why =
            format!("the guest did not come to its end within {RETURNS} returns; the last exit was {last}");
        Ok(Stop::Hung(Box::new(Broken::new(why).with(self.image.code.around(rip)))))
    }
}

/// The legacy area without what software keeps there, and the upper halves of the AVX registers.
fn vectors(testbed: &Testbed) -> Result<Vec<u8>, Stop> {
    const LEGACY: usize = 416;
    const AVX: std::ops::Range<usize> = 576..832;
    const HEADER: usize = 512;
    let xsave: [u8; XSAVE] = testbed.vcpu().read(KVM_GET_XSAVE)?;
    let has_avx = xsave[HEADER] & 4 != 0;
    let upper = if has_avx { xsave[AVX].to_vec() } else { vec![0; AVX.len()] };
    Ok(xsave[..LEGACY].iter().copied().chain(upper).collect())
}

/// The image with an OUT to [`END`] in place of the HLT at its end, for testbeds whose kernel has a local APIC.
#[must_use]
pub fn without_halt(image: &Image) -> Image {
    let mut image = image.clone();
    let address = image.code.address();
    image.code.bytes.pop();
    image.code.bytes.extend(AT_END);
    if let Some((_, bytes)) = image.pieces.iter_mut().find(|(at, _)| *at == address) {
        bytes.clone_from(&image.code.bytes);
    }
    image
}
