//! All of a vCPU that its guest could tell, as it is saved and put back: `api.rst` 4.11 "KVM_GET_REGS" and its kin.
#![expect(
    unsafe_code,
    reason = "does two ioctls that the wrappers lack, and one whose size depends on what the process asked for"
)]

use std::os::fd::AsRawFd;

use kvm_bindings::{
    CpuId, kvm_cpuid_entry2, kvm_debugregs, kvm_fpu, kvm_lapic_state, kvm_mp_state, kvm_msr_entry, kvm_regs,
    kvm_sregs, kvm_sregs2, kvm_vcpu_events, kvm_xcrs, kvm_xsave,
};
use kvm_ioctls::VcpuFd;
use serde::{Deserialize, Serialize};

use super::reset::{read_msrs, write_msrs};
use super::trace::{of_cpu, told};
use crate::accel::CpuError;

/// A vCPU between two instructions.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VcpuState {
    cpuid: Vec<kvm_cpuid_entry2>,
    regs: kvm_regs,
    sregs: kvm_sregs,
    /// None where the kernel or the processor does not have it, as below.
    pdptrs: Option<Pdptrs>,
    fpu: Fpu,
    xsave: Option<Box<kvm_xsave>>,
    xcrs: Option<kvm_xcrs>,
    msrs: Vec<Msr>,
    debug: Option<kvm_debugregs>,
    events: kvm_vcpu_events,
    /// The kernel's local APIC and what the vCPU does, if these are the kernel's.
    apic: Option<(Box<kvm_lapic_state>, kvm_mp_state)>,
    /// Whether the run page says that the guest would take an interrupt.
    pub(super) is_open: bool,
    /// The interrupt that KVM was given and has not looked at yet.
    pub(super) given: Option<u8>,
}

/// What KVM_GET_SREGS2 adds: whether there are page-directory pointers in the processor, and which.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pdptrs {
    flags: u64,
    pdptrs: [u64; 4],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Msr {
    index: u32,
    data: u64,
}

/// What of the FPU is in every processor, where XSAVE is not.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fpu {
    fpr: [[u8; 16]; 8],
    fcw: u16,
    fsw: u16,
    ftwx: u8,
    last_opcode: u16,
    last_ip: u64,
    last_dp: u64,
    xmm: [[u8; 16]; 16],
    mxcsr: u32,
}

/// `_IOR(KVMIO, 0xcc, struct kvm_sregs2)` and `_IOW(KVMIO, 0xcd, struct kvm_sregs2)`.
const KVM_GET_SREGS2: libc::c_ulong = 0x8140_aecc;
const KVM_SET_SREGS2: libc::c_ulong = 0x4140_aecd;

impl VcpuState {
    /// What the vCPU has: `cpuid` and `msrs` are those that it was made with, `has_apic` is whether its local APIC is the kernel's.
    pub(super) fn of(
        fd: &VcpuFd,
        cpuid: &CpuId,
        msrs: &[u32],
        has_apic: bool,
        is_open: bool,
    ) -> Result<Self, CpuError> {
        // It may change what is read behind it: pending start-up messages are taken.
        let mp_state = has_apic.then(|| of_cpu("KVM_GET_MP_STATE", fd.get_mp_state())).transpose()?;
        let registers = has_apic.then(|| of_cpu("KVM_GET_LAPIC", fd.get_lapic())).transpose()?;
        Ok(Self {
            cpuid: cpuid.as_slice().to_vec(),
            regs: of_cpu("KVM_GET_REGS", fd.get_regs())?,
            sregs: of_cpu("KVM_GET_SREGS", fd.get_sregs())?,
            pdptrs: Pdptrs::of(fd),
            fpu: Fpu::of(&of_cpu("KVM_GET_FPU", fd.get_fpu())?),
            xsave: told("KVM_GET_XSAVE", fd.get_xsave()).ok().map(Box::new),
            xcrs: told("KVM_GET_XCRS", fd.get_xcrs()).ok(),
            msrs: read_msrs(fd, msrs).iter().map(|msr| Msr { index: msr.index, data: msr.data }).collect(),
            debug: told("KVM_GET_DEBUGREGS", fd.get_debug_regs()).ok(),
            events: of_cpu("KVM_GET_VCPU_EVENTS", fd.get_vcpu_events())?,
            apic: registers.map(Box::new).zip(mp_state),
            is_open,
            given: None,
        })
    }

    /// Why a vCPU made with these leaves and MSRs cannot have it, if it cannot.
    pub(super) fn misfit(&self, cpuid: &CpuId, msrs: &[u32], has_apic: bool) -> Option<String> {
        if self.cpuid != cpuid.as_slice() {
            return Some("it is of another processor model, or of a host with other features".to_owned());
        }
        if self.apic.is_some() != has_apic {
            return Some("its local APIC is elsewhere".to_owned());
        }
        let unknown = self.msrs.iter().find(|msr| !msrs.contains(&msr.index));
        unknown.map(|msr| format!("there is no MSR {:#x} to be saved here", msr.index))
    }

    /// Puts it into the vCPU.
    pub(super) fn put(&self, fd: &VcpuFd) -> Result<(), CpuError> {
        of_cpu("KVM_SET_SREGS", fd.set_sregs(&self.sregs))?;
        if let Some(pdptrs) = &self.pdptrs {
            pdptrs.put(fd, &self.sregs)?;
        }
        of_cpu("KVM_SET_REGS", fd.set_regs(&self.regs))?;
        of_cpu("KVM_SET_FPU", fd.set_fpu(&self.fpu.whole()))?;
        if let Some(xcrs) = &self.xcrs {
            of_cpu("KVM_SET_XCRS", fd.set_xcrs(xcrs))?;
        }
        if let Some(xsave) = &self.xsave {
            // SAFETY: the kernel reads more than the structure has only where the process has asked for states that are off by
            // default, which this program does not.
            of_cpu("KVM_SET_XSAVE", unsafe { fd.set_xsave(xsave) })?;
        }
        if let Some((registers, _)) = &self.apic {
            of_cpu("KVM_SET_LAPIC", fd.set_lapic(registers))?;
        }
        // The deadline of the local APIC's timer counts only in the mode that its registers say.
        let msrs: Vec<_> = self.msrs.iter().map(Msr::whole).collect();
        write_msrs(fd, &msrs);
        of_cpu("KVM_SET_VCPU_EVENTS", fd.set_vcpu_events(&self.events))?;
        if let Some((_, mp_state)) = &self.apic {
            of_cpu("KVM_SET_MP_STATE", fd.set_mp_state(*mp_state))?;
        }
        if let Some(debug) = &self.debug {
            of_cpu("KVM_SET_DEBUGREGS", fd.set_debug_regs(debug))?;
        }
        // A guest with a clock of KVM's is told that it stood still; one without has nothing to be told.
        let _ = told("KVM_KVMCLOCK_CTRL", fd.kvmclock_ctrl());
        Ok(())
    }
}

impl Msr {
    fn whole(&self) -> kvm_msr_entry {
        kvm_msr_entry { index: self.index, data: self.data, ..Default::default() }
    }
}

impl Pdptrs {
    fn of(fd: &VcpuFd) -> Option<Self> {
        let mut sregs = kvm_sregs2::default();
        // SAFETY: the descriptor is a vCPU's, and the kernel writes the structure alone.
        let answer = unsafe { libc::ioctl(fd.as_raw_fd(), KVM_GET_SREGS2, &raw mut sregs) };
        let answer = if answer < 0 { Err(kvm_ioctls::Error::last()) } else { Ok(()) };
        told("KVM_GET_SREGS2", answer).ok()?;
        Some(Self { flags: sregs.flags, pdptrs: sregs.pdptrs })
    }

    /// Puts them back, with the other registers that go with them.
    fn put(&self, fd: &VcpuFd, sregs: &kvm_sregs) -> Result<(), CpuError> {
        let all = kvm_sregs2 {
            cs: sregs.cs,
            ds: sregs.ds,
            es: sregs.es,
            fs: sregs.fs,
            gs: sregs.gs,
            ss: sregs.ss,
            tr: sregs.tr,
            ldt: sregs.ldt,
            gdt: sregs.gdt,
            idt: sregs.idt,
            cr0: sregs.cr0,
            cr2: sregs.cr2,
            cr3: sregs.cr3,
            cr4: sregs.cr4,
            cr8: sregs.cr8,
            efer: sregs.efer,
            apic_base: sregs.apic_base,
            flags: self.flags,
            pdptrs: self.pdptrs,
        };
        // SAFETY: the descriptor is a vCPU's, and the kernel reads the structure alone.
        let answer = unsafe { libc::ioctl(fd.as_raw_fd(), KVM_SET_SREGS2, &raw const all) };
        of_cpu("KVM_SET_SREGS2", if answer < 0 { Err(kvm_ioctls::Error::last()) } else { Ok(()) })
    }
}

impl Fpu {
    fn of(fpu: &kvm_fpu) -> Self {
        let kvm_fpu { fpr, fcw, fsw, ftwx, last_opcode, last_ip, last_dp, xmm, mxcsr, .. } = *fpu;
        Self { fpr, fcw, fsw, ftwx, last_opcode, last_ip, last_dp, xmm, mxcsr }
    }

    fn whole(&self) -> kvm_fpu {
        let Self { fpr, fcw, fsw, ftwx, last_opcode, last_ip, last_dp, xmm, mxcsr } = *self;
        kvm_fpu { fpr, fcw, fsw, ftwx, last_opcode, last_ip, last_dp, xmm, mxcsr, ..Default::default() }
    }
}
