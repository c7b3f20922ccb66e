//! A payload: guest code, the mode that it starts in, and the story that it should tell.

use std::fmt;

use iced_x86::IcedError;
use iced_x86::code_asm::CodeAssembler;

use crate::{Code, CodeError, Image, Mode, Story, code};

/// Every payload that is linked in, in no order; [`payloads`] sorts them.
#[linkme::distributed_slice]
pub static PAYLOADS: [Payload];

/// Guest code, the mode that it starts in, and the story that it should tell.
pub struct Payload {
    /// The module that it stands in, as `module_path!` says it.
    pub module: &'static str,
    /// What its module calls it.
    pub short: &'static str,
    /// What its code does, in a few words.
    pub about: &'static str,
    /// The mode that it starts in.
    pub mode: Mode,
    /// Writes the code.
    pub write: fn(&mut CodeAssembler, Mode) -> Result<(), IcedError>,
    /// The story that running the image must tell.
    pub story: fn(&Image) -> Story,
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl Payload {
    /// Its name, which no other payload has: topic, what its module calls it, and mode.
    pub fn name(&self) -> String {
        let topic = self.module.rsplit("::").next().unwrap_or_default();
        format!("{topic}::{}::{}", self.short, self.mode)
    }

    /// Its code.
    pub fn code(&self) -> Result<Code, CodeError> {
        code(self.mode, |a| (self.write)(a, self.mode))
    }
}

/// Every payload that is linked in, sorted by name.
pub fn payloads() -> Vec<&'static Payload> {
    let mut payloads: Vec<_> = PAYLOADS.iter().collect();
    payloads.sort_by_cached_key(|payload| payload.name());
    payloads
}

/// The payload of this name.
pub fn payload(name: &str) -> Option<&'static Payload> {
    PAYLOADS.iter().find(|payload| payload.name() == name)
}

/// Adds one [`Payload`] for each mode: what to call it, what its code does, the modes, the function that writes the code, and the
/// one that tells the story.
///
/// ```
/// use guests::iced_x86::{IcedError, code_asm::CodeAssembler};
/// use guests::{Event, Image, Memory, Mode, Story, payload};
///
/// fn write(a: &mut CodeAssembler, _: Mode) -> Result<(), IcedError> {
///     a.nop()?;
///     a.hlt()
/// }
/// fn story(image: &Image) -> Story {
///     Story::of([Event::Halt]).ending(image.halted(), Memory::Unchanged)
/// }
/// payload!("idle", "does nothing, then halts", [Real, Long], write, story);
/// # assert_eq!(guests::payloads().iter().filter(|payload| payload.short == "idle").count(), 2);
/// ```
#[macro_export]
macro_rules! payload {
    ($short:literal, $about:literal, [$($mode:ident),+ $(,)?], $write:path, $story:path $(,)?) => {
        $(#[allow(unsafe_code, reason = "linkme places the entry in the slice's link section")]
        const _: () = {
            #[$crate::linkme::distributed_slice($crate::PAYLOADS)]
            #[linkme(crate = $crate::linkme)]
            static PAYLOAD: $crate::Payload = $crate::Payload {
                module: module_path!(),
                short: $short,
                about: $about,
                mode: $crate::Mode::$mode,
                write: $write,
                story: $story,
            };
        };)+
    };
}
