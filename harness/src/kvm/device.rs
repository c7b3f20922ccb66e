//! The lesser descriptors: in-kernel devices, guest memory, statistics.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::{Descriptor, Kind};

macro_rules! descriptors {
    ($($(#[$doc:meta])* $name:ident)*) => {
        $(
            $(#[$doc])*
            #[derive(Debug)]
            pub struct $name(pub(super) OwnedFd);

            impl AsFd for $name {
                fn as_fd(&self) -> BorrowedFd<'_> {
                    self.0.as_fd()
                }
            }

            impl Descriptor for $name {
                fn kind(&self) -> Kind {
                    Kind::$name
                }
            }
        )*
    };
}

descriptors! {
    /// An in-kernel device, made by KVM_CREATE_DEVICE.
    Device
    /// Memory that only the guest reaches, made by KVM_CREATE_GUEST_MEMFD.
    GuestMemfd
    /// The statistics of a VM or vCPU, opened by KVM_GET_STATS_FD.
    Stats
}
