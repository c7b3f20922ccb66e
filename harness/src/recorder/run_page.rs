//! Why KVM_RUN came back: the exit reason in the run page, and what stands beside it. `api.rst` 5 "The kvm_run structure".
#![expect(unsafe_code, reason = "reads a structure that the kernel writes, field by field")]

use std::mem::offset_of;
use std::ptr;

use super::ioctl::last_run;
use super::table::Table;
use crate::kvm::{EFAULT, EHWPOISON, EINTR, Errno, Mapping, abi};

/// What the run page tells beside the exit reason, each with a bit of its own.
pub(super) const DETAILS: [&str; 26] = [
    "KVM_RUN_X86_SMM",
    "KVM_RUN_X86_BUS_LOCK",
    "KVM_RUN_X86_GUEST_MODE",
    "immediate_exit",
    "ready_for_interrupt_injection",
    "kvm_valid_regs",
    "KVM_INTERNAL_ERROR_EMULATION",
    "KVM_INTERNAL_ERROR_SIMUL_EX",
    "KVM_INTERNAL_ERROR_DELIVERY_EV",
    "KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON",
    "KVM_SYSTEM_EVENT_RESET",
    "KVM_SYSTEM_EVENT_CRASH",
    "KVM_EXIT_HYPERV_SYNIC",
    "KVM_EXIT_HYPERV_HCALL",
    "KVM_EXIT_HYPERV_SYNDBG",
    "KVM_EXIT_XEN_HCALL",
    "KVM_GUESTDBG_SINGLESTEP",
    "KVM_GUESTDBG_USE_SW_BP",
    "KVM_GUESTDBG_USE_HW_BP/execute",
    "KVM_GUESTDBG_USE_HW_BP/data",
    "KVM_GUESTDBG_USE_HW_BP/general-detect",
    "KVM_MSR_EXIT_REASON_INVAL",
    "KVM_MSR_EXIT_REASON_UNKNOWN",
    "KVM_MSR_EXIT_REASON_FILTER",
    "KVM_EXIT_MEMORY_FAULT/shared",
    "KVM_MEMORY_EXIT_FLAG_PRIVATE",
];

/// Where the fields begin that belong to the exit reason.
const UNION: usize = offset_of!(abi::kvm_run, __bindgen_anon_1);
/// DR6.BS: a single step.
const DR6_STEP: u64 = 1 << 14;
/// DR6.BD: an access to a debug register.
const DR6_ACCESS: u64 = 1 << 13;

/// A run page that can be read.
trait Page {
    fn u32(&self, offset: usize) -> u32;

    fn u64(&self, offset: usize) -> u64 {
        u64::from(self.u32(offset)) | u64::from(self.u32(offset + 4)) << 32
    }

    fn u8(&self, offset: usize) -> u8 {
        self.u32(offset & !3).to_le_bytes()[offset & 3]
    }
}

impl Page for Mapping {
    fn u32(&self, offset: usize) -> u32 {
        self.get(offset)
    }
}

impl Page for abi::kvm_run {
    fn u32(&self, offset: usize) -> u32 {
        assert!(offset + 4 <= size_of::<Self>(), "offset {offset:#x} lies past the run page");
        // SAFETY: within the structure, of which every byte may be read; another vCPU thread's kernel may be writing to it.
        unsafe { ptr::from_ref(self).cast::<u8>().add(offset).cast::<u32>().read_unaligned() }
    }
}

/// Writes down why KVM_RUN came back, from the page that it wrote that to.
pub(crate) fn came_back(page: &Mapping, answer: Result<i32, Errno>) {
    record(page, answer);
}

/// Writes down why KVM_RUN came back to somebody else's vCPU, from its run page: for what runs guests without this crate.
pub fn ran(page: &abi::kvm_run) {
    record(page, Ok(0));
}

fn record(page: &impl Page, answer: Result<i32, Errno>) {
    let Some(table) = Table::shared() else { return };
    let reason = page.u32(offset_of!(abi::kvm_run, exit_reason));
    let asked_to_leave = page.u8(offset_of!(abi::kvm_run, immediate_exit)) != 0;
    match answer {
        Ok(_) | Err(EFAULT | EHWPOISON) => table.exited(reason, last_run(), details(page, reason)),
        // What stands there is older, but for the one reason that comes with this error.
        Err(EINTR) if asked_to_leave => table.detailed(bit("immediate_exit")),
        Err(EINTR) if reason == abi::KVM_EXIT_INTR => table.exited(reason, last_run(), 0),
        Err(_) => {}
    }
}

/// The bits of what the page tells beside the reason.
fn details(page: &impl Page, reason: u32) -> u64 {
    let mut found = 0;
    let mut see = |is_so: bool, name: &str| {
        if is_so {
            found |= bit(name);
        }
    };
    // Sixteen bits, which lie beside the state of the guest's IF.
    let flags = page.u8(offset_of!(abi::kvm_run, flags));
    see(flags & 1 != 0, "KVM_RUN_X86_SMM");
    see(flags & 2 != 0, "KVM_RUN_X86_BUS_LOCK");
    see(flags & 4 != 0, "KVM_RUN_X86_GUEST_MODE");
    let ready = offset_of!(abi::kvm_run, ready_for_interrupt_injection);
    see(page.u8(ready) != 0, "ready_for_interrupt_injection");
    see(page.u64(offset_of!(abi::kvm_run, kvm_valid_regs)) != 0, "kvm_valid_regs");
    let first = page.u32(UNION);
    match reason {
        abi::KVM_EXIT_INTERNAL_ERROR => see_one(&mut see, first, &INTERNAL_ERRORS),
        abi::KVM_EXIT_SYSTEM_EVENT => see_one(&mut see, first, &SYSTEM_EVENTS),
        abi::KVM_EXIT_HYPERV => see_one(&mut see, first, &HYPERV),
        abi::KVM_EXIT_XEN => see_one(&mut see, first, &[(1, "KVM_EXIT_XEN_HCALL")]),
        abi::KVM_EXIT_X86_RDMSR | abi::KVM_EXIT_X86_WRMSR => see_one(&mut see, page.u32(UNION + 8), &MSRS),
        abi::KVM_EXIT_MEMORY_FAULT => {
            let is_private = page.u64(UNION) & 8 != 0;
            see(is_private, "KVM_MEMORY_EXIT_FLAG_PRIVATE");
            see(!is_private, "KVM_EXIT_MEMORY_FAULT/shared");
        }
        abi::KVM_EXIT_DEBUG => debug(&mut see, first, page.u64(UNION + 16), page.u64(UNION + 24)),
        _ => {}
    }
    found
}

const INTERNAL_ERRORS: [(u32, &str); 4] = [
    (1, "KVM_INTERNAL_ERROR_EMULATION"),
    (2, "KVM_INTERNAL_ERROR_SIMUL_EX"),
    (3, "KVM_INTERNAL_ERROR_DELIVERY_EV"),
    (4, "KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON"),
];
const SYSTEM_EVENTS: [(u32, &str); 2] = [(2, "KVM_SYSTEM_EVENT_RESET"), (3, "KVM_SYSTEM_EVENT_CRASH")];
const HYPERV: [(u32, &str); 3] =
    [(1, "KVM_EXIT_HYPERV_SYNIC"), (2, "KVM_EXIT_HYPERV_HCALL"), (3, "KVM_EXIT_HYPERV_SYNDBG")];
const MSRS: [(u32, &str); 3] =
    [(1, "KVM_MSR_EXIT_REASON_INVAL"), (2, "KVM_MSR_EXIT_REASON_UNKNOWN"), (4, "KVM_MSR_EXIT_REASON_FILTER")];

fn see_one(see: &mut impl FnMut(bool, &str), value: u32, names: &[(u32, &str)]) {
    for (number, name) in names {
        see(value == *number, name);
    }
}

/// Which of the kinds of debugging a #DB or #BP is of, by the debug registers that come with it.
fn debug(see: &mut impl FnMut(bool, &str), exception: u32, dr6: u64, dr7: u64) {
    if exception == 3 {
        return see(true, "KVM_GUESTDBG_USE_SW_BP");
    }
    see(dr6 & DR6_STEP != 0, "KVM_GUESTDBG_SINGLESTEP");
    see(dr6 & DR6_ACCESS != 0, "KVM_GUESTDBG_USE_HW_BP/general-detect");
    for breakpoint in (0..4).filter(|breakpoint| dr6 >> breakpoint & 1 != 0) {
        let is_data = dr7 >> (16 + 4 * breakpoint) & 3 != 0;
        let name = if is_data { "KVM_GUESTDBG_USE_HW_BP/data" } else { "KVM_GUESTDBG_USE_HW_BP/execute" };
        see(true, name);
    }
}

/// The bit of a detail.
fn bit(name: &str) -> u64 {
    DETAILS.iter().position(|detail| *detail == name).map_or(0, |position| 1 << position)
}
