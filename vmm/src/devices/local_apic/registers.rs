//! The registers of a local APIC: SDM 3, table 12-1 "Local APIC register address map" and table 12-6 for x2APIC.

use super::apic::{LVT_TIMER, LocalApic, MASKED};
use super::messages::Command;
use super::timer::changes_to_or_from_deadline;
use crate::clock::Nanos;

/// What a write makes others do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    Nothing,
    /// A message is sent.
    Send(Command),
    /// A level-triggered interrupt of this vector has ended.
    End(u8),
}

/// There is no such register, or no such value of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRegister;

/// Version 0x14 with six entries in the local vector table, and broadcasts of ends can be suppressed no more than in KVM.
const VERSION: u32 = 0x14 | 5 << 16;
const ILLEGAL_REGISTER: u32 = 1 << 7;
const SENT_ILLEGAL_VECTOR: u32 = 1 << 5;

/// What a guest can write in each entry of the local vector table.
const LVT_WRITABLE: [u32; 6] = [0x7_00ff, 0x1_07ff, 0x1_07ff, 0x1_a7ff, 0x1_a7ff, 0x1_00ff];

/// IA32_TSC_DEADLINE, and the MSRs that are registers.
pub const TSC_DEADLINE: u32 = 0x6e0;
const FIRST: u32 = 0x800;

impl LocalApic {
    /// Reads the register at this offset of the page, a multiple of 16.
    pub fn read(&mut self, offset: u64, now: Nanos) -> u32 {
        if !self.is_enabled() || self.is_x2apic() {
            return u32::MAX;
        }
        match offset >> 4 & 0xff {
            0x02 => self.id << 24,
            0x09 => self.ppr().into(),
            0x0d => self.ldr & 0xff00_0000,
            0x0e => self.dfr,
            0x30 => (self.icr & 0xffff_ffff) as u32,
            0x31 => (self.icr >> 32) as u32,
            index => self.shared(index, now).unwrap_or_else(|| {
                self.error(ILLEGAL_REGISTER);
                0
            }),
        }
    }

    /// Writes the register at this offset of the page.
    pub fn write(&mut self, offset: u64, value: u32, now: Nanos) -> Effect {
        if !self.is_enabled() || self.is_x2apic() {
            return Effect::Nothing;
        }
        match offset >> 4 & 0xff {
            0x02 => {}
            0x0d => self.ldr = value & 0xff00_0000,
            0x0e => self.dfr = value | 0x0fff_ffff,
            0x31 => self.icr = self.icr & 0xffff_ffff | u64::from(value & 0xff00_0000) << 32,
            0x30 => {
                let low = value & 0xc_cfff;
                self.icr = self.icr & !0xffff_ffff | u64::from(low);
                return self.send(self.icr, false);
            }
            index => match self.store(index, value, now) {
                Ok(effect) => return effect,
                Err(NoRegister) => self.error(ILLEGAL_REGISTER),
            },
        }
        Effect::Nothing
    }

    /// Reads a register as an MSR.
    pub fn read_msr(&mut self, msr: u32, now: Nanos) -> Result<u64, NoRegister> {
        if msr == TSC_DEADLINE {
            return Ok(if self.timer.has_deadline(self.lvt[LVT_TIMER]) {
                self.timer.tsc_deadline()
            } else {
                0
            });
        }
        if !self.is_x2apic() {
            return Err(NoRegister);
        }
        match u64::from(msr.wrapping_sub(FIRST)) {
            0x02 => Ok(self.id.into()),
            0x0a => Ok(self.ppr().into()),
            0x0d => Ok(self.ldr.into()),
            0x30 => Ok(self.icr),
            // What x2APIC does not have: EOI and self IPI are written only, there is no DFR, and ICR is one.
            0x0b | 0x0e | 0x31 | 0x3f | 0x100.. => Err(NoRegister),
            index => self.shared(index, now).map(u64::from).ok_or(NoRegister),
        }
    }

    /// Writes a register as an MSR. `deadline` is when the time stamp counter has the value that is written.
    pub fn write_msr(
        &mut self,
        msr: u32,
        value: u64,
        now: Nanos,
        deadline: Nanos,
    ) -> Result<Effect, NoRegister> {
        if msr == TSC_DEADLINE {
            // In the other modes it reads zero and ignores writes: SDM 3, 12.5.4.1.
            if self.timer.has_deadline(self.lvt[LVT_TIMER]) {
                self.timer.set_deadline(value, deadline);
            }
            return Ok(Effect::Nothing);
        }
        let index = u64::from(msr.wrapping_sub(FIRST));
        if !self.is_x2apic() || index > 0xff {
            return Err(NoRegister);
        }
        if index == 0x30 {
            self.icr = value & 0xffff_ffff_000c_cfff;
            return Ok(self.send(self.icr, true));
        }
        let value = u32::try_from(value).map_err(|_| NoRegister)?;
        match index {
            0x3f if value > 0xff => Err(NoRegister),
            0x3f => Ok(self.send_itself((value & 0xff) as u8)),
            0x0b | 0x28 if value != 0 => Err(NoRegister),
            0x02 | 0x0d | 0x0e | 0x31 => Err(NoRegister),
            index => self.store(index, value, now),
        }
    }

    /// What both ways read alike.
    fn shared(&self, index: u64, now: Nanos) -> Option<u32> {
        let word = |register: &[u32; 8]| register[usize::try_from(index & 7).unwrap_or(0)];
        Some(match index {
            0x03 => VERSION,
            0x08 => self.tpr.into(),
            0x0a => self.ppr().into(),
            0x0b | 0x0c => 0,
            0x0f => self.svr,
            0x10..=0x17 => word(&self.isr),
            0x18..=0x1f => word(&self.tmr),
            0x20..=0x27 => word(&self.irr),
            0x28 => self.errors[0],
            0x32..=0x37 => self.lvt[usize::try_from(index - 0x32).unwrap_or(0)],
            0x38 => self.timer.initial,
            0x39 => self.timer.count(now, self.lvt[LVT_TIMER]),
            0x3e => self.timer.divide,
            _ => return None,
        })
    }

    /// What both ways write alike.
    fn store(&mut self, index: u64, value: u32, now: Nanos) -> Result<Effect, NoRegister> {
        match index {
            0x08 => self.tpr = (value & 0xff) as u8,
            0x0b => return Ok(self.end().map_or(Effect::Nothing, Effect::End)),
            0x0f => self.set_spurious(value & 0x1ff),
            0x28 => self.errors = [self.errors[1], 0],
            0x32..=0x37 => self.set_lvt(usize::try_from(index - 0x32).unwrap_or(0), value, now),
            // SDM 3, 12.5.4.1: with a deadline, the initial count cannot be written.
            0x38 if self.timer.has_deadline(self.lvt[LVT_TIMER]) => {}
            0x38 => self.timer.start(value, now),
            0x3e => self.timer.divide_by(value & 0xb, now, self.lvt[LVT_TIMER]),
            _ => return Err(NoRegister),
        }
        Ok(Effect::Nothing)
    }

    /// Disabling by software masks the whole local vector table: SDM 3, 12.4.7.2.
    fn set_spurious(&mut self, value: u32) {
        self.svr = value;
        if !self.is_software_enabled() {
            self.lvt.iter_mut().for_each(|entry| *entry |= MASKED);
        }
    }

    fn set_lvt(&mut self, index: usize, value: u32, now: Nanos) {
        let forced = if self.is_software_enabled() { 0 } else { MASKED };
        let Some(entry) = self.lvt.get_mut(index) else { return };
        let before = *entry;
        *entry = value & LVT_WRITABLE[index] | forced;
        if index == LVT_TIMER && changes_to_or_from_deadline(before, *entry) {
            self.timer.start(0, now);
            self.timer.set_deadline(0, 0);
        }
    }

    fn send(&mut self, icr: u64, is_x2apic: bool) -> Effect {
        let command = Command::of_icr(icr, is_x2apic);
        let is_interrupt = matches!(command.delivery, super::Delivery::Fixed | super::Delivery::Lowest);
        if is_interrupt && command.vector < 16 {
            self.error(SENT_ILLEGAL_VECTOR);
            return Effect::Nothing;
        }
        Effect::Send(command)
    }

    /// What the interrupt command register would send with the shorthand for oneself, without a change of that.
    fn send_itself(&mut self, vector: u8) -> Effect {
        self.send(0x4_0000 | u64::from(vector), true)
    }
}
