//! A VM: `api.rst` 4.2 "KVM_CREATE_VM", and what is the whole VM's.

use std::sync::Arc;

use kvm_bindings::{
    CpuId, KVM_CAP_X86_USER_SPACE_MSR, KVM_MSR_EXIT_REASON_FILTER, KVM_MSR_EXIT_REASON_INVAL,
    KVM_MSR_EXIT_REASON_UNKNOWN, kvm_clock_data, kvm_enable_cap,
};
use kvm_ioctls::{Cap, Kvm, MsrFilterDefaultAction, MsrFilterRange, MsrFilterRangeFlags, VmFd};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::cpu::KvmCpu;
use super::cpuid;
use super::irqchip::{ChipsState, KernelApics, KernelChips, TimerState};
use super::levels;
use super::reset::unlisted_msrs;
use super::shown::{KvmListener, Shown};
use super::state::whole;
use super::trace::{of_accel, told};
use crate::accel::{AccelError, Cpu, Hypervisor, InAccel};
use crate::devices::local_apic::TSC_DEADLINE;
use crate::map::Listener;
use crate::{CpuModel, IrqChip, Ram};

/// A VM.
pub(super) struct KvmVm {
    kvm: Kvm,
    shown: Arc<Shown>,
    /// All that its guests could see, and what they do.
    cpuid: CpuId,
    model: CpuModel,
    irqchip: IrqChip,
    has_deadline: bool,
    /// The kernel's interrupt controllers before any guest reached them, if there are any.
    fresh: Option<ChipsState>,
    /// What has been loaded and is to go on once the vCPUs have their states.
    standing: Option<Standing>,
    /// The MSRs that a vCPU's reset puts back.
    msrs: Vec<u32>,
}

/// What counts the time.
struct Standing {
    timer: Option<TimerState>,
    clock: Option<u64>,
}

/// What is the whole VM's of a saved state.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct VmState {
    chips: Option<ChipsState>,
    /// Nanoseconds of the guest's clock.
    clock: Option<u64>,
}

impl KvmVm {
    pub(super) fn new(kvm: Kvm, fd: VmFd, cpuid: CpuId) -> Self {
        let (shown, model) = (Arc::new(Shown::new(fd)), CpuModel::default());
        let (irqchip, has_deadline) = (IrqChip::None, false);
        let (fresh, standing) = (None, None);
        Self { kvm, shown, cpuid, model, irqchip, has_deadline, fresh, standing, msrs: Vec::new() }
    }

    /// Has the MSRs of the local APIC come to this program, where the kernel can send them.
    fn take_msrs(&mut self) -> Result<(), AccelError> {
        if !self.kvm.check_extension(Cap::X86UserSpaceMsr) {
            return Ok(());
        }
        let mut cap = kvm_enable_cap { cap: KVM_CAP_X86_USER_SPACE_MSR, ..Default::default() };
        let reasons = KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_UNKNOWN | KVM_MSR_EXIT_REASON_FILTER;
        cap.args[0] = reasons.into();
        of_accel("KVM_ENABLE_CAP", self.shown.fd.enable_cap(&cap))?;
        if self.kvm.check_extension(Cap::X86MsrFilter) {
            let deadline = MsrFilterRange {
                flags: MsrFilterRangeFlags::READ | MsrFilterRangeFlags::WRITE,
                base: TSC_DEADLINE,
                msr_count: 1,
                bitmap: &[0],
            };
            let filter = self.shown.fd.set_msr_filter(MsrFilterDefaultAction::ALLOW, &[deadline]);
            of_accel("KVM_X86_SET_MSR_FILTER", filter)?;
            self.has_deadline = self.kvm.check_extension(Cap::GetTscKhz);
        }
        Ok(())
    }
}

impl Hypervisor for KvmVm {
    fn irqchip(&mut self, kind: IrqChip) -> Result<InAccel, AccelError> {
        self.irqchip = kind;
        let shown = Arc::clone(&self.shown);
        let needs = |cap: Cap, name| {
            if self.kvm.check_extension(cap) { Ok(()) } else { Err(AccelError::Missing(name)) }
        };
        Ok(match kind {
            IrqChip::None => InAccel::Nothing,
            IrqChip::User => {
                self.take_msrs()?;
                InAccel::Nothing
            }
            IrqChip::Split => {
                needs(Cap::SplitIrqchip, "KVM_CAP_SPLIT_IRQCHIP")?;
                self.has_deadline = self.kvm.check_extension(Cap::TscDeadlineTimer);
                InAccel::Apics(Arc::new(KernelApics::create(shown)?))
            }
            IrqChip::Kernel => {
                needs(Cap::Irqchip, "KVM_CAP_IRQCHIP")?;
                self.has_deadline = self.kvm.check_extension(Cap::TscDeadlineTimer);
                let chips = KernelChips::create(Arc::clone(&shown), self.has_timer())?;
                self.fresh = Some(ChipsState::of(&shown, self.has_timer())?);
                InAccel::All(Arc::new(chips))
            }
        })
    }

    fn has_timer(&self) -> bool {
        self.kvm.check_extension(Cap::Pit2)
    }

    fn processor(&mut self, model: CpuModel) {
        self.model = model;
    }

    fn listener(&mut self, ram: &Ram) -> Box<dyn Listener> {
        Box::new(KvmListener { shown: Arc::clone(&self.shown), ram: ram.clone() })
    }

    fn track(&mut self, on: bool) -> Result<(), AccelError> {
        self.shown.track(on)
    }

    fn take_written(&mut self) -> Result<Vec<u64>, AccelError> {
        self.shown.take_written()
    }

    fn use_rings(&mut self, entries: u32) -> Result<(), AccelError> {
        if !self.kvm.check_extension(Cap::DirtyLogRing) {
            return Err(AccelError::Missing("KVM_CAP_DIRTY_LOG_RING"));
        }
        self.shown.use_rings(entries)
    }

    fn create_cpu(&mut self, id: u32, cpus: u32) -> Result<Box<dyn Cpu>, AccelError> {
        let fd = of_accel("KVM_CREATE_VCPU", self.shown.fd.create_vcpu(id.into()))?;
        self.shown.read_ring(&fd)?;
        let mut cpuid = cpuid::of_cpu(&self.cpuid, id, cpus, self.irqchip, self.has_deadline);
        self.model.apply(cpuid.as_mut_slice())?;
        of_accel("KVM_SET_CPUID2", fd.set_cpuid2(&cpuid))?;
        if self.msrs.is_empty() {
            let msrs = of_accel("KVM_GET_MSR_INDEX_LIST", self.kvm.get_msr_index_list())?;
            self.msrs = msrs.as_slice().to_vec();
            let unlisted = unlisted_msrs(&fd);
            self.msrs.extend(unlisted.iter().filter(|index| !msrs.as_slice().contains(index)));
        }
        let shown = Arc::clone(&self.shown);
        Ok(Box::new(KvmCpu::new(fd, shown, self.irqchip, cpuid, &self.msrs, id == 0)?))
    }

    fn set_levels(&mut self, levels: u8) -> Result<(), AccelError> {
        if self.irqchip == IrqChip::Kernel { levels::set(&self.shown, levels) } else { Ok(()) }
    }

    fn reset(&mut self) -> Result<(), AccelError> {
        let Some(fresh) = &self.fresh else { return Ok(()) };
        fresh.put_back(&self.shown)?;
        fresh.timer.as_ref().map_or(Ok(()), |timer| timer.put_back(&self.shown))
    }

    fn state(&self) -> Result<Value, AccelError> {
        let has_timer = self.fresh.as_ref().map(ChipsState::has_timer);
        let chips = has_timer.map(|has_timer| ChipsState::of(&self.shown, has_timer)).transpose()?;
        let clock = told("KVM_GET_CLOCK", self.shown.fd.get_clock()).ok().map(|clock| clock.clock);
        Ok(serde_json::to_value(VmState { chips, clock })?)
    }

    fn load(&mut self, state: Value) -> Result<(), AccelError> {
        let VmState { chips, clock } = whole(&state)?;
        match (&chips, &self.fresh) {
            (Some(chips), Some(fresh)) if chips.is_like(fresh) => chips.put_back(&self.shown)?,
            (None, None) => {}
            _ => return Err(AccelError::Missing("the interrupt controllers of the saved state")),
        }
        self.standing = Some(Standing { timer: chips.and_then(|chips| chips.timer), clock });
        Ok(())
    }

    fn go_on(&mut self) -> Result<(), AccelError> {
        let Some(Standing { timer, clock }) = self.standing.take() else { return Ok(()) };
        if let Some(timer) = timer {
            timer.put_back(&self.shown)?;
        }
        match clock {
            // How long it stood still is not told: the guest goes on where it was.
            Some(clock) => {
                let clock = kvm_clock_data { clock, ..Default::default() };
                of_accel("KVM_SET_CLOCK", self.shown.fd.set_clock(&clock))
            }
            None => Ok(()),
        }
    }
}
