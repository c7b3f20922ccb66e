//! What a processor is after power-up and after an INIT: SDM volume 3, table 10-1 "IA-32 and Intel 64 processor states".

use kvm_bindings::{
    KVM_VCPUEVENT_VALID_NMI_PENDING, KVM_VCPUEVENT_VALID_SHADOW, KVM_VCPUEVENT_VALID_SMM, Msrs,
    kvm_debugregs, kvm_dtable, kvm_fpu, kvm_lapic_state, kvm_mp_state, kvm_msr_entry, kvm_regs, kvm_segment,
    kvm_sregs, kvm_vcpu_events, kvm_xcrs, kvm_xsave,
};
use kvm_ioctls::VcpuFd;

use super::trace::{of_accel, of_cpu, told};
use crate::accel::{AccelError, CpuError};

/// What a vCPU has that the registers of [`regs`] leave out, as it was when it was made.
pub(super) struct PowerUp {
    msrs: Vec<kvm_msr_entry>,
    fpu: kvm_fpu,
    /// None where the kernel or the processor does not have it, as in the two below.
    pub(super) xsave: Option<Box<kvm_xsave>>,
    xcrs: Option<kvm_xcrs>,
    debug: Option<kvm_debugregs>,
    /// Kernels differ in what is accessed already: it is theirs that a reset puts back.
    pub(super) sregs: kvm_sregs,
    /// The kernel's local APIC, and whether the vCPU waits for a start-up message, if these are the kernel's.
    apic: Option<(Box<kvm_lapic_state>, kvm_mp_state)>,
}

/// IA32_TIME_STAMP_COUNTER.
pub(super) const TSC: u32 = 0x10;

impl PowerUp {
    /// What a vCPU that has just been made has, with those of these MSRs that can be read.
    pub(super) fn of(fd: &VcpuFd, msrs: &[u32], has_apic: bool) -> Result<Self, AccelError> {
        let apic = |fd: &VcpuFd| -> Result<_, AccelError> {
            let registers = of_accel("KVM_GET_LAPIC", fd.get_lapic())?;
            Ok((Box::new(registers), of_accel("KVM_GET_MP_STATE", fd.get_mp_state())?))
        };
        let mut msrs = read_msrs(fd, msrs);
        for counter in msrs.iter_mut().filter(|msr| msr.index == TSC) {
            // KVM takes a time near that of the vCPU that was set last for the same time, and zero for no time at all.
            counter.data = 1;
        }
        Ok(Self {
            msrs,
            fpu: of_accel("KVM_GET_FPU", fd.get_fpu())?,
            xsave: told("KVM_GET_XSAVE", fd.get_xsave()).ok().map(Box::new),
            xcrs: told("KVM_GET_XCRS", fd.get_xcrs()).ok(),
            debug: told("KVM_GET_DEBUGREGS", fd.get_debug_regs()).ok(),
            sregs: of_accel("KVM_GET_SREGS", fd.get_sregs())?,
            apic: has_apic.then(|| apic(fd)).transpose()?,
        })
    }

    /// The MSRs that there are, in the order in which they are saved.
    pub(super) fn msrs(&self) -> Vec<u32> {
        self.msrs.iter().map(|msr| msr.index).collect()
    }

    /// Gives it back to the vCPU, but for what XSAVE has.
    pub(super) fn put_back(&self, fd: &VcpuFd) -> Result<(), CpuError> {
        write_msrs(fd, &self.msrs);
        of_cpu("KVM_SET_FPU", fd.set_fpu(&self.fpu))?;
        if let Some(xcrs) = &self.xcrs {
            of_cpu("KVM_SET_XCRS", fd.set_xcrs(xcrs))?;
        }
        if let Some((registers, mp_state)) = &self.apic {
            of_cpu("KVM_SET_LAPIC", fd.set_lapic(registers))?;
            of_cpu("KVM_SET_MP_STATE", fd.set_mp_state(*mp_state))?;
        }
        self.put_back_debug_registers(fd)
    }

    /// Gives the debug registers back, which an INIT resets as well.
    pub(super) fn put_back_debug_registers(&self, fd: &VcpuFd) -> Result<(), CpuError> {
        self.debug.as_ref().map_or(Ok(()), |debug| of_cpu("KVM_SET_DEBUGREGS", fd.set_debug_regs(debug)))
    }
}

/// The MSRs that a vCPU may have and KVM does not list: the memory type ranges, and for each bank of machine checks four.
pub(super) fn unlisted_msrs(fd: &VcpuFd) -> Vec<u32> {
    const MCG_CAP: u32 = 0x179;
    const BANKS: u32 = 0x400;
    const MOST_BANKS: u64 = 32;
    let types = [0x2ff, 0x250, 0x258, 0x259].into_iter().chain(0x268..0x270).chain(0x200..0x210);
    let banks = read_msrs(fd, &[MCG_CAP]).first().map_or(0, |msr| msr.data & 0xff).min(MOST_BANKS) as u32;
    types.chain(BANKS..BANKS + 4 * banks).collect()
}

/// How many MSRs are read or written at once; the kernel takes 255 at most.
const AT_ONCE: usize = 128;

/// Reads those of these MSRs that the vCPU has: KVM lists more than each vCPU has.
pub(super) fn read_msrs(fd: &VcpuFd, indices: &[u32]) -> Vec<kvm_msr_entry> {
    let mut read = Vec::new();
    let mut rest = indices;
    while !rest.is_empty() {
        let part = rest.iter().take(AT_ONCE);
        let entries: Vec<_> =
            part.map(|index| kvm_msr_entry { index: *index, ..Default::default() }).collect();
        let Ok(mut msrs) = Msrs::from_entries(&entries) else { return read };
        let count = told("KVM_GET_MSRS", fd.get_msrs(&mut msrs)).unwrap_or(0).min(entries.len());
        read.extend_from_slice(&msrs.as_slice()[..count]);
        // It stops at the first that cannot be read.
        let refused = usize::from(count < entries.len());
        rest = rest.get(count + refused..).unwrap_or_default();
    }
    read
}

/// Gives MSRs their values back, where they have others. One that cannot be set has changed by itself, as counters do: it is the
/// processor's own affair, and the trace tells.
pub(super) fn write_msrs(fd: &VcpuFd, wanted: &[kvm_msr_entry]) {
    let indices: Vec<u32> = wanted.iter().map(|msr| msr.index).collect();
    let now = read_msrs(fd, &indices);
    let is_so = |msr: &kvm_msr_entry| now.iter().any(|now| (now.index, now.data) == (msr.index, msr.data));
    let changed: Vec<_> = wanted.iter().filter(|msr| !is_so(msr)).copied().collect();
    set_msrs(fd, &changed, |_| true);
}

/// Gives every one of these MSRs its value, also one that has it already: setting another may change it. One that cannot be set must
/// have it.
pub(super) fn load_msrs(fd: &VcpuFd, wanted: &[kvm_msr_entry]) -> Result<(), CpuError> {
    let has_it = |wanted: &kvm_msr_entry| {
        read_msrs(fd, &[wanted.index]).first().is_some_and(|msr| msr.data == wanted.data)
    };
    match set_msrs(fd, wanted, has_it) {
        None => Ok(()),
        Some(msr) => {
            let why = format!("its MSR {:#x} is {:#x}, which it cannot be here", msr.index, msr.data);
            Err(CpuError::OtherState(why))
        }
    }
}

/// Sets MSRs, in this order, and passes over those that are refused as long as `passes` says so: the first for which it does not.
fn set_msrs(
    fd: &VcpuFd,
    wanted: &[kvm_msr_entry],
    passes: impl Fn(&kvm_msr_entry) -> bool,
) -> Option<kvm_msr_entry> {
    let mut rest = wanted;
    while !rest.is_empty() {
        let part = &rest[..rest.len().min(AT_ONCE)];
        let msrs = Msrs::from_entries(part).ok();
        let set = msrs.and_then(|msrs| told("KVM_SET_MSRS", fd.set_msrs(&msrs)).ok());
        let count = set.unwrap_or(0).min(part.len());
        match part.get(count) {
            Some(refused) if !passes(refused) => return Some(*refused),
            Some(_) => rest = &rest[count + 1..],
            None => rest = &rest[count..],
        }
    }
    None
}

/// Nothing pending and nothing blocked, of what a vCPU with these can have.
pub(super) fn events(before: kvm_vcpu_events) -> kvm_vcpu_events {
    let always = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
    kvm_vcpu_events { flags: always | before.flags & KVM_VCPUEVENT_VALID_SMM, ..Default::default() }
}

/// The general registers: execution begins at the last 16 bytes of the first segment.
pub(super) fn regs() -> kvm_regs {
    // RDX has the family, model and stepping of nothing that anybody looks for.
    kvm_regs { rip: 0xfff0, rflags: 2, rdx: 0x600, ..Default::default() }
}

/// The segments, tables and control registers after power-up, with this base address of the local APIC.
fn sregs(apic_base: u64) -> kvm_sregs {
    let data = kvm_segment { limit: 0xffff, type_: 3, present: 1, s: 1, unusable: 0, ..Default::default() };
    let table = kvm_dtable { limit: 0xffff, ..Default::default() };
    kvm_sregs {
        cs: kvm_segment { base: 0xffff_0000, selector: 0xf000, type_: 0xb, ..data },
        ds: data,
        es: data,
        fs: data,
        gs: data,
        ss: data,
        tr: kvm_segment { type_: 0xb, s: 0, ..data },
        ldt: kvm_segment { type_: 2, s: 0, ..data },
        gdt: table,
        idt: table,
        cr0: CACHES | 0x10,
        apic_base,
        ..Default::default()
    }
}

/// The same after an INIT, which leaves the base address of the local APIC and whether caches are used.
pub(super) fn sregs_of_init(before: kvm_sregs) -> kvm_sregs {
    let fresh = sregs(before.apic_base);
    kvm_sregs { cr0: fresh.cr0 & !CACHES | before.cr0 & CACHES, ..fresh }
}

/// CR0.CD and CR0.NW.
const CACHES: u64 = 0x6000_0000;
