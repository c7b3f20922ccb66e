//! Builders of the tables that a processor reads by itself: descriptors, interrupt gates and task state segments.

mod gdt;
mod idt;
mod tss;

pub use gdt::{Gdt, selector};
pub use idt::{Gate, Idt};
pub use tss::Tss;
