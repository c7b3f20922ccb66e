//! What a vCPU's thread does: enters the guest, takes each access to the bus, and goes in again until it is to end.

use crate::accel::{Cpu, CpuError, Exit};
use crate::{Bus, End, Power, Space};

/// Runs a vCPU until it halts or `power` is asked for an end, which it asks for itself after `exits` exits. An access that the guest
/// has begun is finished first, so that the registers are those between two instructions.
pub(crate) fn run(cpu: &mut dyn Cpu, bus: &Bus, power: &Power, exits: u64) -> Result<(), CpuError> {
    let mut left = exits;
    loop {
        let leaving = power.asked().is_some();
        if leaving {
            cpu.leave();
        }
        match cpu.run()? {
            Exit::Out { port, size, data } => {
                for data in data.chunks(size.max(1)) {
                    bus.write(Space::Ports, port.into(), data);
                }
            }
            Exit::In { port, size, data } => {
                for data in data.chunks_mut(size.max(1)) {
                    bus.read(Space::Ports, port.into(), data);
                }
            }
            Exit::MmioWrite { address, data } => {
                bus.write(Space::Memory, address, data);
            }
            Exit::MmioRead { address, data } => {
                bus.read(Space::Memory, address, data);
            }
            Exit::Halt => return Ok(()),
            Exit::Kicked if leaving => return Ok(()),
            Exit::Kicked => {}
            Exit::Other(exit) => {
                let rip = cpu.regs()?.rip;
                return Err(CpuError::Unhandled { exit, rip });
            }
        }
        left = left.saturating_sub(1);
        if left == 0 {
            power.ask(End::OutOfExits);
        }
    }
}
