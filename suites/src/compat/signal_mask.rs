//! KVM_SET_SIGNAL_MASK for 32-bit callers: api.rst 4.21, `compat_sigset_t` is two words of 32 bits.

use harness::kvm::{
    Compat, CompatBuffer, Descriptor, EFAULT, EINTR, EINVAL, Exit, KVM_RUN, KVM_SET_SIGNAL_MASK,
};
use harness::signal::Pending;
use harness::{Outcome, Stop, claim, each, equal, fails, unchanged};
use libc::SIGUSR1;

use crate::vcpu::real_mode::RealMode;

/// A real-time signal, whose bit lies in the second word.
const REAL_TIME: i32 = 50;

/// A guest that only halts.
fn guest() -> Result<RealMode, Stop> {
    RealMode::running(&[0x90, 0xf4])
}

/// The set of every signal but one.
fn all_but(signal: i32) -> u64 {
    !(1 << (signal - 1))
}

/// KVM_SET_SIGNAL_MASK by a 32-bit caller: the length of the set, and its two words, the lower first.
fn set_mask(guest: &RealMode, set: u64) -> Outcome {
    let [a, b, c, d, e, f, g, h] = set.to_le_bytes();
    let mut bytes = CompatBuffer::holding([8, 0, 0, 0, a, b, c, d, e, f, g, h])?;
    equal(Compat.send(&guest.vcpu, KVM_SET_SIGNAL_MASK, &mut bytes)?, 0)
}

fn lets_signals_in() -> Outcome {
    each([SIGUSR1, REAL_TIME], |&signal| {
        let guest = guest()?;
        set_mask(&guest, all_but(signal))?;
        let pending = Pending::new(signal)?;
        unchanged(|| guest.vcpu.get_regs(), || fails(EINTR, guest.vcpu.value(KVM_RUN, 0)))?;
        drop(pending);
        equal(guest.run()?, Exit::Hlt)?;
        guest.ended(|_| ())
    })
}
claim!(
    lets_signals_in,
    "KVM_SET_SIGNAL_MASK of a 32-bit caller lets a signal of either half of the set end KVM_RUN",
    [Api("4.21 KVM_SET_SIGNAL_MASK"), Code("kvm_vcpu_compat_ioctl, virt/kvm/kvm_main.c")],
    Compat32,
);

fn keeps_signals_out() -> Outcome {
    each([SIGUSR1, REAL_TIME], |&signal| {
        let guest = guest()?;
        let _pending = Pending::new(signal)?;
        set_mask(&guest, all_but(signal))?;
        fails(EINTR, guest.vcpu.value(KVM_RUN, 0))?;
        set_mask(&guest, u64::MAX)?;
        equal(guest.run()?, Exit::Hlt)?;
        guest.ended(|_| ())
    })
}
claim!(
    keeps_signals_out,
    "KVM_SET_SIGNAL_MASK of a 32-bit caller keeps out of KVM_RUN every signal in the set",
    [Api("4.21 KVM_SET_SIGNAL_MASK"), Code("kvm_vcpu_compat_ioctl, virt/kvm/kvm_main.c")],
    Compat32,
);

fn is_taken_back_with_null() -> Outcome {
    let guest = guest()?;
    let _pending = Pending::new(SIGUSR1)?;
    set_mask(&guest, all_but(SIGUSR1))?;
    fails(EINTR, guest.vcpu.value(KVM_RUN, 0))?;
    equal(Compat.value(&guest.vcpu, KVM_SET_SIGNAL_MASK, 0)?, 0)?;
    equal(guest.run()?, Exit::Hlt)?;
    guest.ended(|_| ())
}
claim!(
    is_taken_back_with_null,
    "KVM_SET_SIGNAL_MASK of a 32-bit caller without a set takes the mask back, so that the thread's own counts",
    [Code("kvm_vcpu_compat_ioctl, virt/kvm/kvm_main.c")],
    Compat32,
);

fn other_lengths_are_refused() -> Outcome {
    let guest = guest()?;
    set_mask(&guest, u64::MAX)?;
    each([0u32, 4, 7, 9, 16, 128, u32::MAX], |&length| {
        let mut bytes = CompatBuffer::holding([length, 0, 0])?;
        fails(EINVAL, Compat.send(&guest.vcpu, KVM_SET_SIGNAL_MASK, &mut bytes))
    })?;
    let _pending = Pending::new(SIGUSR1)?;
    equal(guest.run()?, Exit::Hlt)?;
    guest.ended(|_| ())
}
claim!(
    other_lengths_are_refused,
    "KVM_SET_SIGNAL_MASK refuses a 32-bit caller's set of any length but 8 with EINVAL, and the mask stays",
    [Code("kvm_vcpu_compat_ioctl, virt/kvm/kvm_main.c")],
    Compat32,
);

fn sets_out_of_reach_are_refused() -> Outcome {
    let guest = guest()?;
    set_mask(&guest, u64::MAX)?;
    // No length; a length and no set; a length and half of a set.
    each([0usize, 4, 8], |&length| {
        let mut bytes = CompatBuffer::zeroed(length)?;
        if length > 0 {
            bytes.put(0, 8u32);
        }
        fails(EFAULT, Compat.send(&guest.vcpu, KVM_SET_SIGNAL_MASK, &mut bytes))
    })?;
    let _pending = Pending::new(SIGUSR1)?;
    equal(guest.run()?, Exit::Hlt)?;
    guest.ended(|_| ())
}
claim!(
    sets_out_of_reach_are_refused,
    "KVM_SET_SIGNAL_MASK refuses a 32-bit caller's set that cannot be read with EFAULT, and the mask stays",
    [Code("kvm_vcpu_compat_ioctl, virt/kvm/kvm_main.c")],
    Compat32,
);
