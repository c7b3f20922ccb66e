//! The local APIC of each processor, as memory (xAPIC) and as MSRs (x2APIC): Intel SDM volume 3, chapter 12 "Advanced
//! programmable interrupt controller".

mod apic;
mod face;
mod messages;
mod registers;
mod timer;

pub(crate) use apic::BASE;
pub use apic::{Event, LocalApic};
pub use messages::{Command, Delivery, Destination};
pub use registers::{Effect, NoRegister, TSC_DEADLINE};
