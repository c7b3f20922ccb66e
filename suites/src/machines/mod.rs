//! Claims about whole machines, and our own machine as a subject.

mod bare;
mod boot;
mod dirty_log;
mod ioeventfd;
mod irqfd;
mod signal_msi;
