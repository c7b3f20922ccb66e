//! What a debugger asks for, in KVM's terms: `api.rst` 4.87 "KVM_SET_GUEST_DEBUG" and 5, KVM_EXIT_DEBUG.

use kvm_bindings::{
    KVM_GUESTDBG_ENABLE, KVM_GUESTDBG_INJECT_BP, KVM_GUESTDBG_SINGLESTEP, KVM_GUESTDBG_USE_HW_BP,
    KVM_GUESTDBG_USE_SW_BP, kvm_debug_exit_arch, kvm_guest_debug,
};

use crate::accel::{Debugging, Stopped};

const BREAKPOINT: u32 = 3;
/// Of DR6: which debug registers have matched.
const MATCHED: u64 = 0b1111;

/// What KVM is told.
pub(super) fn control(how: &Debugging) -> kvm_guest_debug {
    let mut debug = kvm_guest_debug::default();
    if !how.is_on() {
        return debug;
    }
    debug.control = KVM_GUESTDBG_ENABLE;
    let flags = [
        (how.steps, KVM_GUESTDBG_SINGLESTEP),
        (how.breaks, KVM_GUESTDBG_USE_SW_BP),
        (how.gives_back, KVM_GUESTDBG_INJECT_BP),
        (how.watches.iter().any(Option::is_some), KVM_GUESTDBG_USE_HW_BP),
    ];
    debug.control |= flags.iter().filter(|(on, _)| *on).fold(0, |flags, (_, flag)| flags | flag);
    for (register, watch) in debug.arch.debugreg.iter_mut().zip(how.watches) {
        *register = watch.map_or(0, |watch| watch.address);
    }
    debug.arch.debugreg[7] = how.control();
    debug
}

/// What KVM tells.
pub(super) fn stopped(exit: &kvm_debug_exit_arch) -> Stopped {
    match exit.dr6 & MATCHED {
        _ if exit.exception == BREAKPOINT => Stopped::Break,
        0 => Stopped::Step,
        matched => Stopped::Watch(matched.trailing_zeros() as usize),
    }
}
