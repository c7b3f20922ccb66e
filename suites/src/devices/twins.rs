//! Who answers a device's scripts: the kernel's, and ours.

/// The kernel's device, ours with all of the interrupt controllers in user space, and ours with the kernel's local APIC: three twins
/// whose states are the parts with this word in their names.
macro_rules! twins {
    ($device:literal) => {
        const KERNEL: harness::twins::Twin = harness::twins::Twin {
            name: "the kernel's",
            answer: |script| $crate::devices::kernel::answer(script, $device),
        };
        const USER: harness::twins::Twin = harness::twins::Twin {
            name: "ours",
            answer: |script| $crate::devices::ours::answer(script, $device, vmm::IrqChip::User),
        };
    };
    ($device:literal, split) => {
        $crate::devices::twins::twins!($device);
        const SPLIT: harness::twins::Twin = harness::twins::Twin {
            name: "ours with the kernel's local APIC",
            answer: |script| $crate::devices::ours::answer(script, $device, vmm::IrqChip::Split),
        };
    };
}
pub(super) use twins;
