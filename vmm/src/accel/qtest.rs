//! An accel that runs no guest code: the bus is driven from outside, and time stands still until it is told to go on, as with
//! QEMU's `-accel qtest`. What drives it is [`crate::qtest`].

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use kvm_bindings::{kvm_regs, kvm_sregs};
use serde_json::Value;

use crate::accel::{AccelError, Cpu, CpuError, Exit, Hypervisor, InAccel, Kick};
use crate::clock::{Clock, Nanos};
use crate::map::{Doorbell, Listener};
use crate::{IrqChip, Ram, View};

crate::accel!("qtest", "no guest code; the bus is driven by QEMU's text protocol", open);

fn open() -> Result<Box<dyn Hypervisor>, AccelError> {
    Ok(Box::new(Still { clock: Clock::stepped() }))
}

struct Still {
    clock: Clock,
}

impl Hypervisor for Still {
    fn clock(&self) -> Clock {
        self.clock.clone()
    }

    fn irqchip(&mut self, kind: IrqChip) -> Result<InAccel, AccelError> {
        match kind {
            IrqChip::None | IrqChip::User => Ok(InAccel::Nothing),
            IrqChip::Split | IrqChip::Kernel => {
                Err(AccelError::Missing("interrupt controllers of a kernel: -irqchip user has them here"))
            }
        }
    }

    fn listener(&mut self, _: &Ram) -> Box<dyn Listener> {
        Box::new(Nobody)
    }

    fn track(&mut self, _: bool) -> Result<(), AccelError> {
        Ok(())
    }

    fn take_written(&mut self) -> Result<Vec<u64>, AccelError> {
        Ok(Vec::new())
    }

    fn create_cpu(&mut self, _: u32, _: u32) -> Result<Box<dyn Cpu>, AccelError> {
        Ok(Box::<StillCpu>::default())
    }
}

/// Needs no word of changes: the bus has them.
struct Nobody;

impl Listener for Nobody {
    fn memory(&mut self, _: &View) -> Result<(), AccelError> {
        Ok(())
    }

    fn doorbell(&mut self, _: &Doorbell) -> Result<(), AccelError> {
        Ok(())
    }
}

/// A vCPU that does nothing until it is kicked.
#[derive(Default)]
struct StillCpu {
    regs: kvm_regs,
    sregs: kvm_sregs,
    kick: Arc<StillKick>,
}

#[derive(Default)]
struct StillKick {
    kicked: Mutex<bool>,
    comes: Condvar,
}

impl Kick for StillKick {
    fn kick(&self) {
        *self.kicked.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.comes.notify_all();
    }
}

impl Cpu for StillCpu {
    fn run(&mut self, _: &mut dyn FnMut(u8, u64)) -> Result<Exit<'_>, CpuError> {
        let kicked = self.kick.kicked.lock().unwrap_or_else(PoisonError::into_inner);
        let kicked = self.kick.comes.wait_while(kicked, |kicked| !*kicked);
        *kicked.unwrap_or_else(PoisonError::into_inner) = false;
        Ok(Exit::Kicked)
    }

    fn leave(&mut self) {
        self.kick.kick();
    }

    fn kick(&self) -> Arc<dyn Kick> {
        Arc::<StillKick>::clone(&self.kick)
    }

    fn is_open(&mut self) -> bool {
        false
    }

    fn interrupt(&mut self, _: u8) -> Result<(), CpuError> {
        Ok(())
    }

    fn nmi(&mut self) -> Result<(), CpuError> {
        Ok(())
    }

    fn want_open(&mut self, _: bool) {}

    fn set_cr8(&mut self, _: u8) {}

    fn time_of_tsc(&self, _: u64, now: Nanos) -> Result<Nanos, CpuError> {
        Ok(now)
    }

    fn init(&mut self) -> Result<(), CpuError> {
        self.reset()
    }

    fn reset(&mut self) -> Result<(), CpuError> {
        (self.regs, self.sregs) = Default::default();
        Ok(())
    }

    fn state(&self) -> Result<Value, CpuError> {
        Ok(serde_json::to_value((self.regs, self.sregs))?)
    }

    fn load(&mut self, state: Value) -> Result<(), CpuError> {
        (self.regs, self.sregs) = serde_json::from_value(state)?;
        Ok(())
    }

    fn regs(&self) -> Result<kvm_regs, CpuError> {
        Ok(self.regs)
    }

    fn set_regs(&mut self, regs: &kvm_regs) -> Result<(), CpuError> {
        self.regs = *regs;
        Ok(())
    }

    fn sregs(&self) -> Result<kvm_sregs, CpuError> {
        Ok(self.sregs)
    }

    fn set_sregs(&mut self, sregs: &kvm_sregs) -> Result<(), CpuError> {
        self.sregs = *sregs;
        Ok(())
    }
}
