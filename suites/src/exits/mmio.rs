//! KVM_EXIT_MMIO: what moves to and from addresses without RAM leave, and what they take back.

told! {
    "5 The kvm_run structure, KVM_EXIT_MMIO",
    writes_in_real_mode, "mmio::write::real", "In real mode, a MOV of each width to an address without a slot leaves one KVM_EXIT_MMIO with its data";
    writes_in_protected_mode, "mmio::write::protected", "In protected mode, a MOV of each width to an address without a slot leaves one KVM_EXIT_MMIO with its data";
    writes_in_long_mode, "mmio::write::long", "In long mode, a MOV of each width up to 8 bytes to an address without a slot leaves one KVM_EXIT_MMIO with its data";
    reads_in_real_mode, "mmio::read::real", "In real mode, a MOV of each width from an address without a slot takes what the host lays into the run page";
    reads_in_protected_mode, "mmio::read::protected", "In protected mode, a MOV of each width from an address without a slot takes what the host lays into the run page";
    reads_in_long_mode, "mmio::read::long", "In long mode, a MOV of each width up to 8 bytes from an address without a slot takes what the host lays into the run page";
}
