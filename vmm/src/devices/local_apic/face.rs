//! The page of the local APICs on the bus: whoever reads it, reads its own.

use std::sync::Arc;

use serde_json::Value;

use super::apic::LocalApic;
use crate::irq::Chips;
use crate::{Access, Device, Region, vcpu};

crate::device!(
    "local-apic",
    "the local interrupt controller of each processor, at 0xfee00000",
    [Region::memory(0xfee0_0000, 0xfee0_0fff).by(4)],
    |wires| Box::new(Face(Arc::clone(&wires.chips)))
);

struct Face(Arc<Chips>);

impl Device for Face {
    fn read(&mut self, _: usize, offset: u64, data: &mut [u8]) -> Access {
        let Some(value) = vcpu::current().and_then(|cpu| self.0.read_apic(cpu, offset & 0xff0)) else {
            return Access::NoRegister;
        };
        // Only the lowest four bytes of each sixteen are a register: SDM 3, 12.4.1.
        let bytes = value.to_le_bytes().into_iter().chain([0; 12]);
        let from = usize::try_from(offset & 0xf).unwrap_or(0);
        for (byte, answer) in data.iter_mut().zip(bytes.skip(from)) {
            *byte = answer;
        }
        Access::Done
    }

    fn write(&mut self, _: usize, offset: u64, data: &[u8]) -> Access {
        let [a, b, c, d] = *data else { return Access::BadWidth };
        let Some(cpu) = vcpu::current().filter(|_| offset & 0xf == 0) else { return Access::NoRegister };
        self.0.write_apic(cpu, offset & 0xff0, u32::from_le_bytes([a, b, c, d]));
        Access::Done
    }

    fn poll(&mut self) {
        self.0.poll();
    }

    fn reset(&mut self) {
        self.0.reset_apics();
    }

    fn state(&self) -> Result<Value, serde_json::Error> {
        serde_json::to_value(self.0.local_apics())
    }

    fn load(&mut self, state: Value) -> Result<(), serde_json::Error> {
        let apics: Vec<LocalApic> = serde_json::from_value(state)?;
        match self.0.set_local_apics(apics) {
            true => Ok(()),
            false => Err(serde::de::Error::custom("it is of another number of processors")),
        }
    }
}
