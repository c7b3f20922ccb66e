//! All of a machine but its RAM: what its guest could tell, of devices, accel and vCPUs.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::SnapshotError;
use crate::accel::CpuError;
use crate::{Machine, MachineError};

/// All of a machine but its RAM.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// How many bytes of RAM it has.
    pub memory: u64,
    /// And of firmware, which is not saved.
    pub firmware: u64,
    /// Where its interrupt controllers are.
    pub irqchip: String,
    /// What its accel has of it besides vCPUs.
    pub accel: Value,
    /// Its devices, in the order in which they were put on the bus.
    pub devices: Vec<DeviceState>,
    /// Its vCPUs, in the order of their numbers.
    pub cpus: Vec<CpuState>,
}

/// A device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceState {
    /// Its name, which others may have as well.
    pub name: String,
    /// Where it lies.
    pub place: String,
    /// All that a guest can see of it.
    pub state: Value,
}

/// A vCPU.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CpuState {
    /// What its accel has of it.
    pub registers: Value,
    /// Whether it has halted, where that is not the accel's affair.
    pub is_halted: bool,
}

impl Machine {
    /// All of it but its RAM.
    pub fn state(&self) -> Result<State, SnapshotError> {
        let cpu = |id: usize, state: Result<Value, CpuError>| match state {
            Ok(registers) => {
                let is_halted = self.attentions.get(id).is_some_and(|attention| attention.is_halted());
                Ok(CpuState { registers, is_halted })
            }
            Err(source) => Err(MachineError::Cpu { id, source }),
        };
        // The vCPUs come behind the accel, whose timer may still tick: what comes meanwhile is in a vCPU's local APIC.
        let accel = self.hypervisor.state().map_err(MachineError::Accel)?;
        let cpus =
            self.cpus.iter().enumerate().map(|(id, held)| cpu(id, held.state())).collect::<Result<_, _>>()?;
        let devices = self.bus().places().into_iter().zip(self.bus().states()?);
        Ok(State {
            memory: self.ram().size(),
            firmware: self.ram().rom_size(),
            irqchip: self.irqchip().to_string(),
            accel,
            devices: devices.map(|((name, place), (_, state))| DeviceState { name, place, state }).collect(),
            cpus,
        })
    }

    /// Takes such a state over. A state of another machine is refused before anything is changed; one that is refused later leaves
    /// a machine that only a reset makes good.
    pub fn load_state(&mut self, state: State) -> Result<(), SnapshotError> {
        self.check_state(&state)?;
        // The controllers' states have the levels of the lines already. What has fallen due since is told by the first poll of the next
        // run, when everything is there to take it.
        let _quiet = self.wires().interrupts.quiet();
        for (index, DeviceState { state, .. }) in state.devices.into_iter().enumerate() {
            self.bus().load_at(index, state)?;
        }
        self.hypervisor.load(state.accel).map_err(MachineError::Accel)?;
        let parts = self.cpus.iter_mut().zip(&self.attentions).zip(state.cpus).enumerate();
        for (id, ((cpu, attention), CpuState { registers, is_halted })) in parts {
            cpu.load(registers).map_err(|source| MachineError::Cpu { id, source })?;
            attention.set_halted(is_halted);
        }
        Ok(self.hypervisor.go_on().map_err(MachineError::Accel)?)
    }

    /// Whether a state is of a machine that is made as this one.
    pub(super) fn check_state(&self, state: &State) -> Result<(), SnapshotError> {
        let same = |what, theirs: String, ours: String| {
            if theirs == ours { Ok(()) } else { Err(SnapshotError::OtherMachine { what, theirs, ours }) }
        };
        let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
        if state.memory != self.ram().size() {
            same("memory", mib(state.memory), mib(self.ram().size()))?;
            same("bytes of memory", state.memory.to_string(), self.ram().size().to_string())?;
        }
        same("processors", state.cpus.len().to_string(), self.cpus.len().to_string())?;
        same("interrupt controllers", state.irqchip.clone(), self.irqchip().to_string())?;
        same("bytes of firmware", state.firmware.to_string(), self.ram().rom_size().to_string())?;
        let ours = self.bus().places();
        let theirs = state.devices.iter().map(|device| device.name.as_str()).collect::<Vec<_>>().join(", ");
        let names = ours.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
        same("devices", theirs, names)?;
        state.devices.iter().zip(ours).try_for_each(|(theirs, (name, place))| {
            same("device", format!("{name} at {}", theirs.place), format!("{name} at {place}"))
        })
    }
}
