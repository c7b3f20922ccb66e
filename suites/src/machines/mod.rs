//! Claims about whole machines, and our own machine as a subject.

mod bare;
mod boot;
mod exits;
mod guest_init;
mod linux;
