//! Breakpoints and watchpoints: instructions in the guest's memory, and the debug registers.

use std::collections::BTreeMap;

use gdbstub::target::TargetResult;
use gdbstub::target::ext::breakpoints::{
    Breakpoints as BreakpointsExt, HwBreakpoint, HwBreakpointOps, HwWatchpoint, HwWatchpointOps,
    SwBreakpoint, SwBreakpointOps, WatchKind,
};

use super::target::Debugged;
use crate::accel::{Touch, Watch};

/// INT3.
const BREAK: u8 = 0xcc;

/// Those that there are.
#[derive(Default)]
pub(super) struct Breakpoints {
    /// What was where the instructions are now.
    pub(super) instructions: BTreeMap<u64, u8>,
    pub(super) watches: [Option<Watch>; 4],
}

impl Breakpoints {
    fn add(&mut self, watch: Watch) -> bool {
        match self.watches.iter_mut().find(|held| held.is_none()) {
            Some(free) => {
                *free = Some(watch);
                true
            }
            None => false,
        }
    }

    fn remove(&mut self, watch: Watch) -> bool {
        match self.watches.iter_mut().find(|held| **held == Some(watch)) {
            Some(held) => {
                *held = None;
                true
            }
            None => false,
        }
    }
}

impl Debugged<'_> {
    /// Takes every breakpoint away.
    pub(super) fn clear(&mut self) {
        for (address, byte) in std::mem::take(&mut self.points.instructions) {
            self.put_back(address, byte);
        }
        self.points.watches = [None; 4];
    }

    /// Puts back what was there, unless the guest has put something else there meanwhile.
    fn put_back(&mut self, address: u64, byte: u8) {
        let mut now = [0];
        if self.in_any(|debugged, cpu| debugged.read_memory(cpu, address, &mut now) == 1) && now == [BREAK] {
            self.in_any(|debugged, cpu| debugged.write_memory(cpu, address, &[byte]) == 1);
        }
    }

    /// Whether it can be done by the page tables of any vCPU: what one has mapped, another may not have yet.
    fn in_any(&mut self, mut does: impl FnMut(&mut Self, usize) -> bool) -> bool {
        (0..self.machine.cpus.len()).any(|cpu| does(self, cpu))
    }
}

impl BreakpointsExt for Debugged<'_> {
    fn support_sw_breakpoint(&mut self) -> Option<SwBreakpointOps<'_, Self>> {
        Some(self)
    }

    fn support_hw_breakpoint(&mut self) -> Option<HwBreakpointOps<'_, Self>> {
        Some(self)
    }

    fn support_hw_watchpoint(&mut self) -> Option<HwWatchpointOps<'_, Self>> {
        Some(self)
    }
}

impl SwBreakpoint for Debugged<'_> {
    fn add_sw_breakpoint(&mut self, address: u64, _: usize) -> TargetResult<bool, Self> {
        if self.points.instructions.contains_key(&address) {
            return Ok(true);
        }
        let mut byte = [0];
        let is_set = self.in_any(|debugged, cpu| {
            let mut now = [0];
            debugged.read_memory(cpu, address, &mut byte) == 1
                && debugged.write_memory(cpu, address, &[BREAK]) == 1
                // ROM is as it was.
                && debugged.read_memory(cpu, address, &mut now) == 1
                && now == [BREAK]
        });
        if is_set {
            self.points.instructions.insert(address, byte[0]);
        }
        Ok(is_set)
    }

    fn remove_sw_breakpoint(&mut self, address: u64, _: usize) -> TargetResult<bool, Self> {
        let Some(byte) = self.points.instructions.remove(&address) else { return Ok(false) };
        self.put_back(address, byte);
        Ok(true)
    }
}

fn instruction(address: u64) -> Watch {
    Watch { address, length: 1, touch: Touch::Executes }
}

impl HwBreakpoint for Debugged<'_> {
    fn add_hw_breakpoint(&mut self, address: u64, _: usize) -> TargetResult<bool, Self> {
        Ok(self.points.add(instruction(address)))
    }

    fn remove_hw_breakpoint(&mut self, address: u64, _: usize) -> TargetResult<bool, Self> {
        Ok(self.points.remove(instruction(address)))
    }
}

/// A processor watches one, two, four or eight bytes that are aligned, and knows no reads alone.
fn data(address: u64, length: u64, kind: WatchKind) -> Option<Watch> {
    let touch = match kind {
        WatchKind::Write => Touch::Writes,
        WatchKind::Read | WatchKind::ReadWrite => Touch::ReadsOrWrites,
    };
    let fits = matches!(length, 1 | 2 | 4 | 8) && address.is_multiple_of(length);
    fits.then(|| Watch { address, length: u8::try_from(length).unwrap_or(1), touch })
}

impl HwWatchpoint for Debugged<'_> {
    fn add_hw_watchpoint(&mut self, address: u64, length: u64, kind: WatchKind) -> TargetResult<bool, Self> {
        Ok(data(address, length, kind).is_some_and(|watch| self.points.add(watch)))
    }

    fn remove_hw_watchpoint(
        &mut self,
        address: u64,
        length: u64,
        kind: WatchKind,
    ) -> TargetResult<bool, Self> {
        Ok(data(address, length, kind).is_some_and(|watch| self.points.remove(watch)))
    }
}
