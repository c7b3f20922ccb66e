//! Claims about whole machines, and our own machine as a subject.

mod bare;
mod boot;
mod dirty_log;
mod exits;
mod firmware;
mod guest_init;
mod ioeventfd;
mod irqfd;
mod linux;
mod reboot;
mod signal_msi;
mod snapshot;
