//! Claims about the life of a VM: who may use it, what keeps it, what frees it, and what it shares with others.

mod close_order;
mod counting_guest;
mod descriptor_limit;
mod device_lifetime;
mod duplicates;
mod fork;
mod freed;
mod hand;
mod independence;
mod many_vms;
mod scm_rights;
mod thread;
mod uevent;
mod vcpu_id;
