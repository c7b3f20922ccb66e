//! The provocations: each makes a claim of each property in [`provoked`](super::provoked).

provoked! {
    out_byte, "OUT of a byte", "5. The kvm_run structure, KVM_EXIT_IO", crate::exits::io::out_byte;
    in_doubleword, "IN of a doubleword", "5. The kvm_run structure, KVM_EXIT_IO", crate::exits::io::in_doubleword;
    in_string, "REP INSB", "5. The kvm_run structure, KVM_EXIT_IO", crate::exits::io::in_string;
    out_string, "OUTSB", "5. The kvm_run structure, KVM_EXIT_IO", crate::exits::io::out_string;
    hlt, "HLT", "5. The kvm_run structure, KVM_EXIT_HLT", crate::exits::hlt::halt;
}
