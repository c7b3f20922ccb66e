//! Claims about VMs and their descriptors.

mod lifetime;
