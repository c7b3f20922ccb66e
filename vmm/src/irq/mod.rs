//! Interrupts: lines that devices share, where they are routed to, and the controllers that are not the kernel's, which are found
//! among the devices.

mod chips;
mod kind;
mod line;
mod route;
mod trigger;

pub use crate::devices::i8259::I8259;
pub use crate::devices::ioapic::{IoApic, Message};
pub use crate::devices::local_apic::{
    Command, Delivery, Destination, Effect, Event, LocalApic, NoRegister, TSC_DEADLINE,
};
pub use chips::{Apics, Chips, Wake};
pub use kind::IrqChip;
pub use line::{Controller, Interrupts, Line};
pub use route::{GSIS, Route, pc_routes};
pub use trigger::{Ends, Trigger};
