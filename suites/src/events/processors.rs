//! The vCPUs of one VM, each with a local APIC: the first one writes what it is told to its interrupt command register, and what that does
//! to the others is seen. Intel SDM volume 3, 12.6.1 "Interrupt Command Register (ICR)".

use guests::Mode;
use guests::iced_x86::code_asm::{al, dword_ptr, eax};
use harness::kvm::{Descriptor, Errno, Exit, KVM_GET_LAPIC, KVM_RUN, KVM_SET_LAPIC, Kvm, Vcpu, abi};
use harness::{Controllers, Outcome, Stop, equal};

use super::mp_state;
use crate::exits::stage::{Stage, out};

/// The interrupt command register of a local APIC: its lower half, and the destination in its upper.
const ICR: u64 = 0xfee0_0300;
const ICR_DESTINATION: u64 = 0xfee0_0310;
/// The port by which the first vCPU tells that it sent something.
const SENT: u16 = 0x82;
/// Where code for the others lies: the number of its page, and the port by which it tells that it runs.
pub(super) const PAGE: u8 = 0xa;
pub(super) const OTHER_PAGE: u8 = 0xb;
pub(super) const STARTED: u16 = 0x83;

/// What the first vCPU sends, by the lower half of the register.
pub(super) const INIT: u32 = 0x4500;
/// INIT's end, which later processors ignore.
pub(super) const INIT_DEASSERT: u32 = 0x8500;
pub(super) const STARTUP: u32 = 0x4600;
pub(super) const NMI: u32 = 0x4400;
/// To all but itself.
pub(super) const OTHERS: u32 = 3 << 18;

/// The vCPUs of one VM.
#[derive(Debug)]
pub(super) struct Processors {
    pub(super) stage: Stage,
    /// The others, whose numbers count from 1.
    pub(super) others: Vec<Vcpu>,
}

impl Processors {
    /// So many others, and a first one that will send these, one after the other: to whom, and what.
    pub(super) fn sending(others: u64, commands: &[(u8, u32)]) -> Result<Self, Stop> {
        Self::fresh(others, commands)?.found()
    }

    /// The same, with local APICs of which nothing was set.
    pub(super) fn fresh(others: u64, commands: &[(u8, u32)]) -> Result<Self, Stop> {
        let mut stage = Stage::within(Controllers::Kernel.vm()?, Mode::Long, |a| {
            for &(destination, command) in commands {
                a.mov(eax, u32::from(destination) << 24)?;
                a.mov(dword_ptr(ICR_DESTINATION), eax)?;
                a.mov(eax, command)?;
                a.mov(dword_ptr(ICR), eax)?;
                a.out(u32::from(SENT), al)?;
            }
            a.hlt()
        })?;
        for page in [PAGE, OTHER_PAGE] {
            // mov al, page; out STARTED, al
            stage.lay(u64::from(page) << 12, &[0xb0, page, 0xe6, 0x83])?;
        }
        let cpuid = Kvm::open()?.get_supported_cpuid()?;
        let create = |id| -> Result<Vcpu, Stop> {
            let vcpu = stage.vm.create_vcpu(id)?;
            vcpu.set_cpuid2(&cpuid)?;
            vcpu.run_page()?;
            Ok(vcpu)
        };
        let others = (1..=others).map(create).collect::<Result<_, _>>()?;
        Ok(Self { stage, others })
    }

    /// Sets the local APICs as they are, which has KVM look for whom there is.
    pub(super) fn found(self) -> Result<Self, Stop> {
        for vcpu in &self.others {
            let registers: abi::kvm_lapic_state = vcpu.read(KVM_GET_LAPIC)?;
            vcpu.write(KVM_SET_LAPIC, &registers)?;
        }
        Ok(self)
    }

    /// The first one sends the next command, which must be this one.
    #[track_caller]
    pub(super) fn send(&self, command: u32) -> Outcome {
        equal(self.stage.run()?, out(SENT, &command.to_le_bytes()[..1]))
    }

    /// The states of the others.
    #[track_caller]
    pub(super) fn states(&self) -> Result<Vec<u32>, Stop> {
        self.others.iter().map(mp_state::get).collect()
    }

    /// KVM_RUN of one of the others: what it answers, and the exit.
    #[track_caller]
    pub(super) fn attempt(&self, other: usize) -> Result<(Option<Errno>, Exit), Stop> {
        let vcpu = &self.others[other];
        let errno = vcpu.value(KVM_RUN, 0).err().map(|refused| refused.errno);
        Ok((errno, vcpu.exit()?))
    }

    /// One of the others runs and tells that it started in this page.
    #[track_caller]
    pub(super) fn starts(&self, other: usize, page: u8) -> Outcome {
        equal(self.attempt(other)?, (None, out(STARTED, &[page])))?;
        let sregs = self.others[other].get_sregs()?;
        equal(
            (sregs.cs.selector, sregs.cs.base, sregs.cr0 & 1),
            (u16::from(page) << 8, u64::from(page) << 12, 0),
        )
    }
}
