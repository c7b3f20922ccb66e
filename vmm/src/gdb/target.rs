//! The machine as a debugger sees it: threads with registers and memory, which run or stand.

use gdbstub::common::{Signal, Tid};
use gdbstub::target::ext::base::BaseOps;
use gdbstub::target::ext::base::multithread::{
    MultiThreadBase, MultiThreadResume, MultiThreadResumeOps, MultiThreadSchedulerLocking,
    MultiThreadSchedulerLockingOps, MultiThreadSingleStep, MultiThreadSingleStepOps,
};
use gdbstub::target::ext::breakpoints::BreakpointsOps;
use gdbstub::target::{Target, TargetError, TargetResult};
use gdbstub_arch::x86::X86_64_SSE;
use gdbstub_arch::x86::reg::X86_64CoreRegs;

use super::breakpoints::Breakpoints;
use super::registers;
use crate::accel::Cpu;
use crate::map::Target as Mapped;
use crate::{Machine, MachineError, Space};

/// A machine at a debugger.
pub(super) struct Debugged<'m> {
    pub(super) machine: &'m mut Machine,
    pub(super) points: Breakpoints,
    /// What each vCPU is to do: one that is not told goes on, unless the others are locked.
    pub(super) actions: Vec<Option<Action>>,
    pub(super) is_locked: bool,
    /// The vCPU that has left the guest for a breakpoint instruction of its own.
    pub(super) gives_back: Option<usize>,
    pub(super) end: Option<crate::End>,
}

/// What a vCPU is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Continue,
    Step,
}

const PAGE: u64 = 0x1000;

/// Threads are numbered from one.
pub(super) fn thread_of(cpu: usize) -> Tid {
    Tid::MIN.saturating_add(cpu)
}

fn cpu_of(thread: Tid) -> usize {
    thread.get() - 1
}

impl<'m> Debugged<'m> {
    pub(super) fn new(machine: &'m mut Machine) -> Self {
        let actions = vec![None; machine.cpus.len()];
        Self {
            machine,
            points: Breakpoints::default(),
            actions,
            is_locked: false,
            gives_back: None,
            end: None,
        }
    }

    fn cpu(&mut self, thread: Tid) -> Result<&mut dyn Cpu, TargetError<MachineError>> {
        self.machine.cpu(cpu_of(thread)).map_err(TargetError::Fatal)
    }

    /// What a vCPU does when the machine runs next; none if it stands.
    pub(super) fn action(&self, cpu: usize) -> Option<Action> {
        let default = if self.is_locked { None } else { Some(Action::Continue) };
        self.actions.get(cpu).copied().flatten().or(default)
    }

    /// Does something for each piece of RAM that so many bytes from a linear address on are in. How many bytes were reached.
    pub(super) fn reach(
        &mut self,
        cpu: usize,
        address: u64,
        length: usize,
        mut each: impl FnMut(&Machine, u64, std::ops::Range<usize>),
    ) -> usize {
        let mut done = 0;
        while done < length {
            let at = address.wrapping_add(done as u64);
            let left = usize::try_from(PAGE - at % PAGE).unwrap_or(1).min(length - done);
            let translated = self.machine.cpus.get(cpu).map(|cpu| cpu.translate(at));
            let Some(Ok(Some(physical))) = translated else { break };
            // A device might mind: only RAM and ROM are looked at.
            let is_ram = |at| {
                let range = self.machine.bus().map().find(Space::Memory, at);
                range.is_ok_and(|range| matches!(range.target, Mapped::Ram { .. }))
            };
            if !is_ram(physical) || !is_ram(physical + (left as u64 - 1)) {
                break;
            }
            each(self.machine, physical, done..done + left);
            done += left;
        }
        done
    }

    pub(super) fn read_memory(&mut self, cpu: usize, address: u64, data: &mut [u8]) -> usize {
        let length = data.len();
        self.reach(cpu, address, length, |machine, physical, part| {
            machine.bus().read(Space::Memory, physical, &mut data[part]);
        })
    }

    pub(super) fn write_memory(&mut self, cpu: usize, address: u64, data: &[u8]) -> usize {
        self.reach(cpu, address, data.len(), |machine, physical, part| {
            machine.bus().write(Space::Memory, physical, &data[part]);
        })
    }
}

impl Target for Debugged<'_> {
    type Arch = X86_64_SSE;
    type Error = MachineError;

    fn base_ops(&mut self) -> BaseOps<'_, X86_64_SSE, MachineError> {
        BaseOps::MultiThread(self)
    }

    fn support_breakpoints(&mut self) -> Option<BreakpointsOps<'_, Self>> {
        Some(self)
    }
}

impl MultiThreadBase for Debugged<'_> {
    fn read_registers(&mut self, regs: &mut X86_64CoreRegs, thread: Tid) -> TargetResult<(), Self> {
        *regs = registers::read(self.cpu(thread)?).map_err(|_| TargetError::NonFatal)?;
        Ok(())
    }

    fn write_registers(&mut self, regs: &X86_64CoreRegs, thread: Tid) -> TargetResult<(), Self> {
        registers::write(self.cpu(thread)?, regs).map_err(|_| TargetError::NonFatal)
    }

    fn read_addrs(&mut self, address: u64, data: &mut [u8], thread: Tid) -> TargetResult<usize, Self> {
        match self.read_memory(cpu_of(thread), address, data) {
            0 if !data.is_empty() => Err(TargetError::NonFatal),
            read => Ok(read),
        }
    }

    fn write_addrs(&mut self, address: u64, data: &[u8], thread: Tid) -> TargetResult<(), Self> {
        let written = self.write_memory(cpu_of(thread), address, data);
        if written == data.len() { Ok(()) } else { Err(TargetError::NonFatal) }
    }

    fn list_active_threads(&mut self, tell: &mut dyn FnMut(Tid)) -> Result<(), MachineError> {
        (0..self.machine.cpus.len()).for_each(|cpu| tell(thread_of(cpu)));
        Ok(())
    }

    fn support_resume(&mut self) -> Option<MultiThreadResumeOps<'_, Self>> {
        Some(self)
    }
}

impl Debugged<'_> {
    fn act(&mut self, thread: Tid, action: Action) {
        if let Some(held) = self.actions.get_mut(cpu_of(thread)) {
            *held = Some(action);
        }
    }
}

impl MultiThreadResume for Debugged<'_> {
    fn resume(&mut self) -> Result<(), MachineError> {
        Ok(())
    }

    fn clear_resume_actions(&mut self) -> Result<(), MachineError> {
        self.actions.fill(None);
        self.is_locked = false;
        Ok(())
    }

    fn set_resume_action_continue(&mut self, thread: Tid, _: Option<Signal>) -> Result<(), MachineError> {
        self.act(thread, Action::Continue);
        Ok(())
    }

    fn support_single_step(&mut self) -> Option<MultiThreadSingleStepOps<'_, Self>> {
        Some(self)
    }

    fn support_scheduler_locking(&mut self) -> Option<MultiThreadSchedulerLockingOps<'_, Self>> {
        Some(self)
    }
}

impl MultiThreadSingleStep for Debugged<'_> {
    fn set_resume_action_step(&mut self, thread: Tid, _: Option<Signal>) -> Result<(), MachineError> {
        self.act(thread, Action::Step);
        Ok(())
    }
}

impl MultiThreadSchedulerLocking for Debugged<'_> {
    fn set_resume_action_scheduler_lock(&mut self) -> Result<(), MachineError> {
        self.is_locked = true;
        Ok(())
    }
}
