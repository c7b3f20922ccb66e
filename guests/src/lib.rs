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

mod builder;
mod code;
mod command;
mod event;
mod feature;
mod handlers;
mod image;
mod listing;
mod map;
mod memory;
mod mode;
mod monitor;
pub mod nested;
mod paging;
mod payload;
mod payloads;
pub mod protocol;
mod puppet;
mod registers;
pub mod script;
mod segment;
mod state;
mod story;
pub mod strategies;
pub mod tables;
mod whole;

pub use builder::Builder;
pub use code::{Code, CodeError, code};
pub use command::{Act, Command, Control, Done, Width};
pub use event::Event;
pub use feature::{Answer, Feature};
pub use handlers::{After, Handlers};
pub use image::{Image, ImageError, hole, scratch};
pub use listing::disassemble;
pub use map::{CODE, MMIO_HOLE, PROTOCOL, RAM, SCRATCH, STACK, TRAP, VCPUS};
pub use memory::{Change, Memory};
pub use mode::Mode;
pub use paging::{Levels, Page, Paging};
pub use payload::{PAYLOADS, Payload, payload, payloads};
pub use protocol::Report;
pub use puppet::{Puppet, PuppetError};
pub use registers::Registers;
pub use segment::{Segment, Table};
pub use state::EntryState;
pub use story::{Beginning, Ending, Story};
pub use whole::Whole;

#[doc(hidden)]
pub use {iced_x86, linkme};
