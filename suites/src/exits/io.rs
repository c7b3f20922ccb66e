//! KVM_EXIT_IO: what port instructions leave, and what they take back.

told! {
    "5 The kvm_run structure, KVM_EXIT_IO",
    out_imm8_in_real_mode, "port_io::out_imm8::real", "In real mode, OUT imm8 of 1, 2 and 4 bytes leaves one KVM_EXIT_IO each, with port, width and data";
    out_imm8_in_protected_mode, "port_io::out_imm8::protected", "In protected mode, OUT imm8 of 1, 2 and 4 bytes leaves one KVM_EXIT_IO each, with port, width and data";
    out_imm8_in_long_mode, "port_io::out_imm8::long", "In long mode, OUT imm8 of 1, 2 and 4 bytes leaves one KVM_EXIT_IO each, with port, width and data";
    out_dx_in_real_mode, "port_io::out_dx::real", "In real mode, OUT DX of 1, 2 and 4 bytes leaves one KVM_EXIT_IO each, with port, width and data";
    out_dx_in_protected_mode, "port_io::out_dx::protected", "In protected mode, OUT DX of 1, 2 and 4 bytes leaves one KVM_EXIT_IO each, with port, width and data";
    out_dx_in_long_mode, "port_io::out_dx::long", "In long mode, OUT DX of 1, 2 and 4 bytes leaves one KVM_EXIT_IO each, with port, width and data";
    in_imm8_in_real_mode, "port_io::in_imm8::real", "In real mode, IN imm8 takes its 1, 2 or 4 bytes from the host, and no more of the register";
    in_imm8_in_protected_mode, "port_io::in_imm8::protected", "In protected mode, IN imm8 takes its 1, 2 or 4 bytes from the host, and no more of the register";
    in_imm8_in_long_mode, "port_io::in_imm8::long", "In long mode, IN imm8 takes its 1, 2 or 4 bytes from the host, and clears the upper half with the last";
    in_dx_in_real_mode, "port_io::in_dx::real", "In real mode, IN DX takes its 1, 2 or 4 bytes from the host, and no more of the register";
    in_dx_in_protected_mode, "port_io::in_dx::protected", "In protected mode, IN DX takes its 1, 2 or 4 bytes from the host, and no more of the register";
    in_dx_in_long_mode, "port_io::in_dx::long", "In long mode, IN DX takes its 1, 2 or 4 bytes from the host, and clears the upper half with the last";
    hello_in_real_mode, "hello::hello::real", "In real mode, what a guest reads from one port it can store and write to another";
    hello_in_protected_mode, "hello::hello::protected", "In protected mode, what a guest reads from one port it can store and write to another";
    hello_in_long_mode, "hello::hello::long", "In long mode, what a guest reads from one port it can store and write to another";
}
