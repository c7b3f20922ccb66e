//! The state of a vCPU, saved and loaded as a VMM does that takes it elsewhere: api.rst 4, through each of the ioctls that there are
//! for the same registers.

use serde::{Deserialize, Serialize};

use crate::kvm::{
    Descriptor, KVM_CAP_NESTED_STATE, KVM_CAP_SREGS2, KVM_CAP_SYNC_REGS, KVM_CAP_XSAVE2, KVM_GET_DEBUGREGS,
    KVM_GET_FPU, KVM_GET_LAPIC, KVM_GET_MP_STATE, KVM_GET_MSR_INDEX_LIST, KVM_GET_MSRS, KVM_GET_NESTED_STATE,
    KVM_GET_SREGS2, KVM_GET_VCPU_EVENTS, KVM_GET_XCRS, KVM_GET_XSAVE, KVM_GET_XSAVE2, KVM_SET_DEBUGREGS,
    KVM_SET_FPU, KVM_SET_LAPIC, KVM_SET_MP_STATE, KVM_SET_MSRS, KVM_SET_NESTED_STATE, KVM_SET_SREGS2,
    KVM_SET_VCPU_EVENTS, KVM_SET_XCRS, KVM_SET_XSAVE, Kvm, List, MsrEntry, Vcpu, abi, list, list_over,
};
use crate::{Broken, Outcome, Stop};

/// How the special registers travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Special {
    /// KVM_GET_SREGS and KVM_SET_SREGS.
    #[default]
    Sregs,
    /// KVM_GET_SREGS2 and KVM_SET_SREGS2.
    Sregs2,
    /// The run page: KVM_CAP_SYNC_REGS.
    Page,
}

/// How x87, SSE and AVX registers travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Vectors {
    /// KVM_GET_XSAVE and KVM_SET_XSAVE.
    #[default]
    Xsave,
    /// KVM_GET_XSAVE2 and KVM_SET_XSAVE.
    Xsave2,
    /// KVM_GET_FPU and KVM_SET_FPU, which know nothing of AVX.
    Fpu,
}

/// The state of a vCPU.
#[derive(Clone, Debug)]
pub struct State {
    /// KVM_GET_REGS.
    pub regs: abi::kvm_regs,
    /// KVM_GET_SREGS.
    pub sregs: abi::kvm_sregs,
    /// KVM_GET_XSAVE.
    pub xsave: [u8; XSAVE],
    xcrs: Option<abi::kvm_xcrs>,
    debug: abi::kvm_debugregs,
    events: abi::kvm_vcpu_events,
    mp_state: abi::kvm_mp_state,
    /// What KVM_GET_MSR_INDEX_LIST names and KVM_GET_MSRS reads.
    pub msrs: Vec<MsrEntry>,
}

/// How long the header of a nested state is, with room for what either vendor lays behind it, in bytes.
const NESTED: u32 = 128 + 0x2000;
/// How long the area of KVM_GET_XSAVE is, in bytes.
pub const XSAVE: usize = 4096;

impl State {
    /// Everything that a vCPU holds.
    pub fn of(vcpu: &Vcpu) -> Result<Self, Stop> {
        Ok(Self {
            regs: vcpu.get_regs()?,
            sregs: vcpu.get_sregs()?,
            xsave: vcpu.read(KVM_GET_XSAVE)?,
            xcrs: vcpu.read(KVM_GET_XCRS).ok(),
            debug: vcpu.read(KVM_GET_DEBUGREGS)?,
            events: vcpu.read(KVM_GET_VCPU_EVENTS)?,
            mp_state: vcpu.read(KVM_GET_MP_STATE)?,
            msrs: msrs(vcpu)?,
        })
    }

    /// Loads the registers of x87, SSE and AVX, and what turns AVX on.
    pub(crate) fn load_vectors(&self, vcpu: &Vcpu) -> Outcome {
        if let Some(xcrs) = &self.xcrs {
            vcpu.write(KVM_SET_XCRS, xcrs)?;
        }
        vcpu.write(KVM_SET_XSAVE, &self.xsave)?;
        Ok(())
    }

    /// Loads the MSRs. One that is refused with the value that it has is left out: it is read-only here.
    pub(crate) fn load_msrs(&self, vcpu: &Vcpu) -> Outcome {
        let mut rest = &self.msrs[..];
        while !rest.is_empty() {
            let count = u32::try_from(rest.len()).unwrap_or(u32::MAX);
            let taken = list_over(vcpu, KVM_SET_MSRS, 8, count, rest).answer?;
            let (_, refused) = rest.split_at(usize::try_from(taken).unwrap_or(0).min(rest.len()));
            let Some((refused, left)) = refused.split_first() else { break };
            let List { answer, entries, .. } =
                list_over(vcpu, KVM_GET_MSRS, 8, 1, std::slice::from_ref(refused));
            let held = entries.first().map(|entry| entry.data).filter(|_| matches!(answer, Ok(1)));
            if held != Some(refused.data) {
                let why = format!("KVM_SET_MSRS refuses MSR {:#x} of what KVM_GET_MSRS gave", refused.index);
                let told = |value: Option<u64>| format!("{value:x?}");
                return Err(Broken::new(why).comparing(told(Some(refused.data)), told(held)).into());
            }
            rest = left;
        }
        Ok(())
    }

    /// Takes everything from one vCPU to another that was never run, in the order in which VMMs do.
    pub fn carry(from: &Vcpu, to: &Vcpu, special: Special, vectors: Vectors) -> Outcome {
        let state = Self::of(from)?;
        match special {
            Special::Sregs => to.set_sregs(&state.sregs)?,
            Special::Sregs2 => {
                let sregs: abi::kvm_sregs2 = from.read(KVM_GET_SREGS2)?;
                to.write(KVM_SET_SREGS2, &sregs).map(drop)?;
            }
            Special::Page => {}
        }
        if let Some(xcrs) = &state.xcrs {
            to.write(KVM_SET_XCRS, xcrs)?;
        }
        match vectors {
            Vectors::Xsave => drop(to.write(KVM_SET_XSAVE, &state.xsave)?),
            Vectors::Xsave2 => {
                let xsave: [u8; XSAVE] = from.read(KVM_GET_XSAVE2)?;
                to.write(KVM_SET_XSAVE, &xsave)?;
            }
            Vectors::Fpu => {
                let fpu: abi::kvm_fpu = from.read(KVM_GET_FPU)?;
                to.write(KVM_SET_FPU, &fpu)?;
            }
        }
        state.load_msrs(to)?;
        if has_nested_state()? {
            let mut nested = [0u8; NESTED as usize];
            nested[4..8].copy_from_slice(&NESTED.to_le_bytes());
            from.update(KVM_GET_NESTED_STATE, &mut nested)?;
            to.write(KVM_SET_NESTED_STATE, &nested)?;
        }
        to.write(KVM_SET_DEBUGREGS, &state.debug)?;
        if let Ok(lapic) = from.read::<abi::kvm_lapic_state>(KVM_GET_LAPIC) {
            to.write(KVM_SET_LAPIC, &lapic)?;
        }
        to.write(KVM_SET_MP_STATE, &state.mp_state)?;
        if special == Special::Page {
            let page = to.fields()?;
            page.put_regs(state.regs);
            page.put_sregs(state.sregs);
            page.put_events(state.events);
            page.put_dirty_regs(abi::KVM_SYNC_X86_VALID_FIELDS.into());
            return Ok(());
        }
        to.set_regs(&state.regs)?;
        to.write(KVM_SET_VCPU_EVENTS, &state.events)?;
        Ok(())
    }
}

impl Special {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::Sregs, Self::Sregs2, Self::Page];

    /// Whether this KVM has it.
    pub fn is_offered(self) -> Result<bool, Stop> {
        let kvm = Kvm::open()?;
        Ok(match self {
            Self::Sregs => true,
            Self::Sregs2 => kvm.check_extension(KVM_CAP_SREGS2)? > 0,
            Self::Page => kvm.check_extension(KVM_CAP_SYNC_REGS)? >= 7,
        })
    }
}

impl Vectors {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::Xsave, Self::Xsave2, Self::Fpu];

    /// Whether this KVM has it, and it brings everything: all but FPU do, which brings no AVX.
    pub fn is_offered(self, avx: bool) -> Result<bool, Stop> {
        Ok(match self {
            Self::Xsave => true,
            // A longer area has registers that only permission makes usable, and no code of ours has.
            Self::Xsave2 => Kvm::open()?.check_extension(KVM_CAP_XSAVE2)? == 4096,
            Self::Fpu => !avx,
        })
    }
}

fn msrs(vcpu: &Vcpu) -> Result<Vec<MsrEntry>, Stop> {
    let kvm = Kvm::open()?;
    let List { answer, count, entries, .. } = list::<u32>(&kvm, KVM_GET_MSR_INDEX_LIST, 4, 1024, 1024);
    answer?;
    let asked: Vec<_> = entries
        .into_iter()
        .take(count as usize)
        // Time goes on.
        .filter(|index| *index != 0x10)
        .map(|index| MsrEntry { index, ..Default::default() })
        .collect();
    let mut rest = &asked[..];
    let mut read = Vec::new();
    while !rest.is_empty() {
        let count = u32::try_from(rest.len()).unwrap_or(u32::MAX);
        let List { answer, entries, .. } = list_over(vcpu, KVM_GET_MSRS, 8, count, rest);
        let taken = usize::try_from(answer?).unwrap_or(0);
        read.extend(entries.into_iter().take(taken));
        rest = rest.get(taken + 1..).unwrap_or_default();
    }
    Ok(read)
}

/// Whether KVM has KVM_GET_NESTED_STATE.
fn has_nested_state() -> Result<bool, Stop> {
    Ok(Kvm::open()?.check_extension(KVM_CAP_NESTED_STATE)? > 0)
}
