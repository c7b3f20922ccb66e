//! All of a vCPU that its guest could tell, as it is saved and put back: `api.rst` 4.11 "KVM_GET_REGS" and its kin.
#![expect(
    unsafe_code,
    reason = "does two ioctls that the wrappers lack, and one whose size depends on what the process asked for, and reads and \
              fills in the arm of a union that its format names"
)]

use std::os::fd::AsRawFd;

use kvm_bindings::{
    CpuId, KVM_STATE_NESTED_FORMAT_SVM, KVM_STATE_NESTED_FORMAT_VMX, KVM_STATE_NESTED_GIF_SET,
    KVM_STATE_NESTED_GUEST_MODE, kvm_cpuid_entry2, kvm_debugregs, kvm_fpu, kvm_lapic_state, kvm_mp_state,
    kvm_msr_entry, kvm_regs, kvm_sregs, kvm_sregs2, kvm_vcpu_events, kvm_vmx_nested_state_hdr, kvm_xcrs,
    kvm_xsave,
};
use kvm_ioctls::{KvmNestedStateBuffer, VcpuFd};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::reset::{TSC, load_msrs, read_msrs};
use super::trace::{of_cpu, told};
use crate::accel::CpuError;

/// A vCPU between two instructions.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VcpuState {
    cpuid: Vec<kvm_cpuid_entry2>,
    /// How fast its time stamp counter counts, in kHz.
    tsc_frequency: Option<u32>,
    regs: kvm_regs,
    pub(super) sregs: kvm_sregs,
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
        // And this: an exception that waits is taken so far that it has written CR2 or DR6.
        let events = of_cpu("KVM_GET_VCPU_EVENTS", fd.get_vcpu_events())?;
        let sregs = of_cpu("KVM_GET_SREGS", fd.get_sregs())?;
        if has_guests(fd, sregs.efer).is_some() {
            return Err(CpuError::HasGuests);
        }
        Ok(Self {
            cpuid: cpuid.as_slice().to_vec(),
            tsc_frequency: told("KVM_GET_TSC_KHZ", fd.get_tsc_khz()).ok(),
            regs: of_cpu("KVM_GET_REGS", fd.get_regs())?,
            sregs,
            pdptrs: Pdptrs::of(fd),
            fpu: Fpu::of(&of_cpu("KVM_GET_FPU", fd.get_fpu())?),
            xsave: told("KVM_GET_XSAVE", fd.get_xsave()).ok().map(Box::new),
            xcrs: told("KVM_GET_XCRS", fd.get_xcrs()).ok(),
            msrs: read_msrs(fd, msrs).iter().map(|msr| Msr { index: msr.index, data: msr.data }).collect(),
            debug: told("KVM_GET_DEBUGREGS", fd.get_debug_regs()).ok(),
            events,
            apic: registers.map(Box::new).zip(mp_state),
            is_open,
            given: None,
        })
    }

    /// Why a vCPU made with these leaves and MSRs cannot have it, if it cannot.
    pub(super) fn misfit(&self, cpuid: &CpuId, msrs: &[u32], has_apic: bool) -> Option<String> {
        // All of it, strictly: where the kernel takes a leaf from the processor that it happens to be on, as some had it for the topology's
        // and for caches of hybrid processors, one host may refuse its own. What of those a guest may see change is not known here.
        if self.cpuid != cpuid.as_slice() {
            return Some("it is of another processor model, or of a host with other features".to_owned());
        }
        if self.apic.is_some() != has_apic {
            return Some("its local APIC is elsewhere".to_owned());
        }
        if self.msrs.iter().map(|msr| msr.index).eq(msrs.iter().copied()) {
            return None;
        }
        let unknown = self.msrs.iter().map(|msr| msr.index).find(|index| !msrs.contains(index));
        Some(unknown.map_or_else(
            || "it has not the MSRs that there are here".to_owned(),
            |index| format!("there is no MSR {index:#x} to be saved here"),
        ))
    }

    /// Puts it into the vCPU; the first of a machine is that by which the time stamp counters of the others go.
    pub(super) fn put(&self, fd: &VcpuFd, is_first: bool) -> Result<(), CpuError> {
        leave_guests(fd)?;
        self.put_frequency(fd)?;
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
        if let Some(counter) = msrs.iter().find(|msr| is_first && msr.index == TSC) {
            // KVM takes a time near that of the vCPU that was set last for the same time: so from far away.
            load_msrs(fd, &[kvm_msr_entry { data: counter.data ^ 1 << 62, ..*counter }])?;
        }
        load_msrs(fd, &msrs)?;
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

    /// Has the time stamp counter count as fast as it did. Where that cannot be set, it may differ by as much as KVM itself minds.
    fn put_frequency(&self, fd: &VcpuFd) -> Result<(), CpuError> {
        const TOLERATED: u64 = 250;
        let Some(wanted) = self.tsc_frequency else { return Ok(()) };
        let ours = told("KVM_GET_TSC_KHZ", fd.get_tsc_khz()).unwrap_or(0);
        let is_near = u64::from(ours.abs_diff(wanted)) * 1_000_000 <= u64::from(wanted) * TOLERATED;
        if ours == wanted || told("KVM_SET_TSC_KHZ", fd.set_tsc_khz(wanted)).is_ok() || is_near {
            return Ok(());
        }
        let why =
            format!("its time stamp counter counts at {wanted} kHz, and here it cannot but at {ours} kHz");
        Err(CpuError::OtherState(why))
    }
}

/// What this is a state of, if it has all of it: the bindings take what is too short as if zeroes were behind it.
pub(super) fn whole<T: Serialize + DeserializeOwned>(state: &Value) -> Result<T, serde_json::Error> {
    let loaded = T::deserialize(state)?;
    match serde_json::to_value(&loaded)? == *state {
        true => Ok(loaded),
        false => Err(serde_json::Error::custom("a part of it has another length")),
    }
}

/// What a vCPU has of guests of its guest's own, if there is anything: `api.rst` 4.114 "KVM_GET_NESTED_STATE".
fn has_guests(fd: &VcpuFd, efer: u64) -> Option<KvmNestedStateBuffer> {
    const SVME: u64 = 1 << 12;
    let mut state = KvmNestedStateBuffer::empty();
    told("KVM_GET_NESTED_STATE", fd.nested_state(&mut state)).ok()?;
    let flags = u32::from(state.flags);
    let is_closed = efer & SVME != 0 && flags & KVM_STATE_NESTED_GIF_SET == 0;
    let is_at_work = match u32::from(state.format) {
        // SAFETY: every arm of the union is made of integers; the format names this one.
        KVM_STATE_NESTED_FORMAT_VMX => unsafe { state.hdr.vmx }.vmxon_pa != NOWHERE,
        KVM_STATE_NESTED_FORMAT_SVM => is_closed,
        _ => false,
    };
    (is_at_work || flags & KVM_STATE_NESTED_GUEST_MODE != 0).then_some(state)
}

/// How long it is without anything behind it.
const HEADER: u32 = 128;
/// The address of nothing.
const NOWHERE: u64 = u64::MAX;

/// Has a vCPU be out of its guest's guests, with nothing of them left.
pub(super) fn leave_guests(fd: &VcpuFd) -> Result<(), CpuError> {
    let efer = of_cpu("KVM_GET_SREGS", fd.get_sregs())?.efer;
    let Some(mut state) = has_guests(fd, efer) else { return Ok(()) };
    let is_svm = u32::from(state.format) == KVM_STATE_NESTED_FORMAT_SVM;
    state.flags = if is_svm { (KVM_STATE_NESTED_GIF_SET & 0xffff) as u16 } else { 0 };
    state.size = HEADER;
    if !is_svm {
        state.hdr.vmx =
            kvm_vmx_nested_state_hdr { vmxon_pa: NOWHERE, vmcs12_pa: NOWHERE, ..Default::default() };
    }
    of_cpu("KVM_SET_NESTED_STATE", fd.set_nested_state(&state))
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
