//! The fields of `struct kvm_run` that every exit has, by name, and the host's answers to an exit: api.rst section 5.

use std::mem::offset_of;

use super::Exit;
use crate::kvm::{Mapping, abi};

/// The run page of a vCPU, field by field. What it writes, the next KVM_RUN takes.
#[derive(Clone, Copy, Debug)]
pub struct RunPage<'a>(&'a Mapping);

macro_rules! fields {
    ($($doc:literal $name:ident, $put:ident: $type:ty, $field:ident;)+) => {
        $(
            #[doc = $doc]
            pub fn $name(&self) -> $type {
                self.0.get(offset_of!(abi::kvm_run, $field))
            }

            #[doc = concat!("Writes `", stringify!($field), "`.")]
            pub fn $put(&self, value: $type) {
                self.0.put(offset_of!(abi::kvm_run, $field), value);
            }
        )+
    };
}

macro_rules! synced {
    ($($doc:literal $name:ident, $put:ident: $type:ty, $field:ident;)+) => {
        $(
            #[doc = $doc]
            pub fn $name(&self) -> $type {
                self.0.get(offset_of!(abi::kvm_run, s) + offset_of!(abi::kvm_sync_regs, $field))
            }

            #[doc = concat!("Writes the `", stringify!($field), "` that KVM_RUN takes if `kvm_dirty_regs` names them.")]
            pub fn $put(&self, value: $type) {
                self.0.put(offset_of!(abi::kvm_run, s) + offset_of!(abi::kvm_sync_regs, $field), value);
            }
        )+
    };
}

impl<'a> RunPage<'a> {
    /// The fields of this mapping, which begins with the run page.
    pub fn of(mapping: &'a Mapping) -> Self {
        Self(mapping)
    }

    fields! {
        "The exit reason, by number." reason, put_reason: u32, exit_reason;
        "KVM_RUN_X86_*: what else was so at the exit." flags, put_flags: u16, flags;
        "The guest's IF at the exit." if_flag, put_if_flag: u8, if_flag;
        "Whether an interrupt can be injected." ready_for_interrupt_injection, put_ready_for_interrupt_injection: u8, ready_for_interrupt_injection;
        "CR8, which KVM_RUN takes and gives." cr8, put_cr8: u64, cr8;
        "IA32_APIC_BASE." apic_base, put_apic_base: u64, apic_base;
        "Whether KVM_RUN comes back at once." immediate_exit, put_immediate_exit: u8, immediate_exit;
        "Whether KVM_RUN comes back once the guest can take an interrupt." request_interrupt_window, put_request_interrupt_window: u8, request_interrupt_window;
        "KVM_SYNC_X86_*: which registers KVM_RUN shows." valid_regs, put_valid_regs: u64, kvm_valid_regs;
        "KVM_SYNC_X86_*: which registers KVM_RUN takes." dirty_regs, put_dirty_regs: u64, kvm_dirty_regs;
    }

    synced! {
        "The registers that KVM_RUN showed." regs, put_regs: abi::kvm_regs, regs;
        "The special registers that KVM_RUN showed." sregs, put_sregs: abi::kvm_sregs, sregs;
        "The events that KVM_RUN showed." events, put_events: abi::kvm_vcpu_events, events;
    }

    /// Lays what the guest reads with IN or by MMIO. Says whether the exit has room for so many bytes.
    pub fn reply(&self, exit: &Exit, bytes: &[u8]) -> bool {
        let fits = |at: &usize| at.saturating_add(bytes.len()) <= self.0.len();
        let Some(at) = exit.reply_at().filter(fits) else { return false };
        for (offset, byte) in bytes.iter().enumerate() {
            self.0.put(at + offset, *byte);
        }
        true
    }

    /// Lays the answer to a hypercall of whatever kind, or what an MSR holds. Says whether the exit has room for one.
    pub fn answer(&self, exit: &Exit, value: u64) -> bool {
        exit.answer_at().map(|at| self.0.put(at, value)).is_some()
    }

    /// Says whether an access to an MSR fails: any value but zero gives the guest #GP. Says whether the exit is such an access.
    pub fn put_msr_error(&self, exit: &Exit, error: u8) -> bool {
        exit.error_at().map(|at| self.0.put(at, error)).is_some()
    }
}
