//! Guest code, the state that it starts in, and the story that it should tell: plain data, on any machine, with or without KVM.
//!
//! A [`Payload`] is [`Code`] for one [`Mode`] and the [`Story`] that running it must tell. An [`Image`] is that code laid out
//! in guest RAM with the [`EntryState`] that enters it; a [`Memory`] is what a run made of that RAM.
//!
//! ```
//! use guests::{Event, Image, Memory, Mode, Registers, Story, code};
//! use guests::iced_x86::code_asm::al;
//!
//! let code = code(Mode::Real, |a| {
//!     a.mov(al, 7)?;
//!     a.out(0xe9, al)?;
//!     a.hlt()
//! })?;
//! let image = Image::of(&code)?;
//! let after = Registers { rax: 7, ..image.halted() };
//! let expected = Story::of([Event::out(0xe9, [7]), Event::Halt]).ending(after, Memory::Unchanged);
//! assert_eq!(expected.difference(&expected), Vec::<String>::new());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod code;
mod event;
mod image;
mod listing;
mod memory;
mod mode;
mod payload;
mod payloads;
mod registers;
mod segment;
mod state;
mod story;
mod tables;
mod whole;

pub use code::{Code, CodeError, code};
pub use event::Event;
pub use image::{CODE, Image, ImageError, MMIO_HOLE, RAM, SCRATCH, TRAP, hole};
pub use listing::disassemble;
pub use memory::{Change, Memory};
pub use mode::Mode;
pub use payload::{PAYLOADS, Payload, payload, payloads};
pub use registers::Registers;
pub use segment::{Segment, Table};
pub use state::{EntryState, STACK};
pub use story::{Beginning, Ending, Story};
pub use whole::Whole;

#[doc(hidden)]
pub use {iced_x86, linkme};
