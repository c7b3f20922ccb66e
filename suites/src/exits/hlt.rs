//! KVM_EXIT_HLT: without an in-kernel local APIC, HLT leaves to the host.

told! {
    "5 The kvm_run structure, KVM_EXIT_HLT",
    in_real_mode, "halt::at_once::real", "In real mode, HLT leaves KVM_EXIT_HLT with RIP behind it and nothing else changed";
    in_protected_mode, "halt::at_once::protected", "In protected mode, HLT leaves KVM_EXIT_HLT with RIP behind it and nothing else changed";
    in_long_mode, "halt::at_once::long", "In long mode, HLT leaves KVM_EXIT_HLT with RIP behind it and nothing else changed";
    after_moves_in_real_mode, "halt::after_moves::real", "In real mode, the registers that a guest set stand at KVM_EXIT_HLT as it set them";
    after_moves_in_protected_mode, "halt::after_moves::protected", "In protected mode, the registers that a guest set stand at KVM_EXIT_HLT as it set them";
    after_moves_in_long_mode, "halt::after_moves::long", "In long mode, the registers that a guest set stand at KVM_EXIT_HLT as it set them";
}
