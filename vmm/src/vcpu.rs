//! What a vCPU's thread does: gives the guest the interrupts that there are for it, enters it, takes each access to the bus, and
//! goes in again until it is to end.

use std::cell::Cell;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::accel::{Cpu, CpuError, Exit, Kick};
use crate::clock::Clock;
use crate::devices::local_apic::{Event, TSC_DEADLINE};
use crate::irq::{Chips, Wake};
use crate::{Bus, End, IrqChip, Power, Space};

/// What a vCPU has around it.
pub(crate) struct Surroundings<'a> {
    pub(crate) id: usize,
    pub(crate) bus: &'a Bus,
    pub(crate) power: &'a Power,
    /// How often it may leave the guest.
    pub(crate) exits: u64,
    pub(crate) irqchip: IrqChip,
    pub(crate) chips: &'a Chips,
    pub(crate) clock: &'a Clock,
    pub(crate) attention: &'a Attention,
}

/// What a vCPU that waits for an interrupt waits at, and what gets it out of the guest for one.
pub(crate) struct Attention {
    id: usize,
    kick: Arc<dyn Kick>,
    called: Mutex<bool>,
    calls: Condvar,
}

thread_local! {
    static CURRENT: Cell<Option<usize>> = const { Cell::new(None) };
}

/// The vCPU whose thread this is.
pub(crate) fn current() -> Option<usize> {
    CURRENT.get()
}

/// Runs a vCPU until it halts with nothing that could wake it, or `power` is asked for an end, which it asks for itself after as
/// many exits as it may make. An access that the guest has begun is finished first, so that the registers are those between two
/// instructions.
pub(crate) fn run(cpu: &mut dyn Cpu, around: &Surroundings<'_>) -> Result<(), CpuError> {
    CURRENT.set(Some(around.id));
    let (bus, power) = (around.bus, around.power);
    let mut left = around.exits;
    let mut is_halted = false;
    loop {
        if power.asked().is_none() {
            around.interrupt(cpu, &mut is_halted)?;
        }
        let leaving = power.asked().is_some();
        if leaving {
            cpu.leave();
        }
        match cpu.run(&mut |cr8, base| around.take_over(cr8, base))? {
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
            Exit::Halt if around.irqchip == IrqChip::User => is_halted = true,
            Exit::Halt => return Ok(()),
            Exit::Kicked if leaving => return Ok(()),
            Exit::Kicked | Exit::Open => {}
            Exit::EndOfInterrupt(vector) => around.chips.end(vector),
            Exit::ReadMsr { msr, data, faults } => match around.chips.read_msr(around.id, msr) {
                Some(value) => *data = value,
                None => *faults = 1,
            },
            Exit::WriteMsr { msr: TSC_DEADLINE, data, .. } => {
                let deadline = cpu.time_of_tsc(data, around.clock.now())?;
                around.chips.write_msr(around.id, TSC_DEADLINE, data, deadline);
            }
            Exit::WriteMsr { msr, data, faults } => {
                *faults = (!around.chips.write_msr(around.id, msr, data, 0)).into();
            }
            Exit::Shutdown if around.irqchip != IrqChip::None => power.ask(End::Reset),
            Exit::Shutdown => return unhandled(cpu, "KVM_EXIT_SHUTDOWN".to_owned()),
            Exit::Other(exit) => return unhandled(cpu, exit),
        }
        left = left.saturating_sub(1);
        if left == 0 {
            power.ask(End::OutOfExits);
        }
    }
}

fn unhandled(cpu: &mut dyn Cpu, exit: String) -> Result<(), CpuError> {
    let rip = cpu.regs()?.rip;
    Err(CpuError::Unhandled { exit, rip })
}

impl Surroundings<'_> {
    /// Lets the local APIC have what the processor keeps of it, before anything else happens that the guest was left for.
    fn take_over(&self, cr8: u8, base: u64) {
        if self.irqchip == IrqChip::User {
            self.chips.take_over(self.id, cr8, base);
        }
    }

    /// Gives the guest the interrupts that there are for it, as far as these are not the accel's affair, and waits for one while it
    /// is halted.
    fn interrupt(&self, cpu: &mut dyn Cpu, is_halted: &mut bool) -> Result<(), CpuError> {
        match self.irqchip {
            IrqChip::None | IrqChip::Kernel => Ok(()),
            IrqChip::Split if self.id == 0 => self.interrupt_of_pic(cpu),
            IrqChip::Split => Ok(()),
            IrqChip::User => self.interrupt_of_apic(cpu, is_halted),
        }
    }

    fn interrupt_of_pic(&self, cpu: &mut dyn Cpu) -> Result<(), CpuError> {
        let asks = self.chips.pic_asks();
        let takes = asks && cpu.is_open();
        if takes {
            cpu.interrupt(self.chips.acknowledge())?;
        }
        cpu.want_open(self.chips.pic_asks());
        Ok(())
    }

    fn interrupt_of_apic(&self, cpu: &mut dyn Cpu, is_halted: &mut bool) -> Result<(), CpuError> {
        loop {
            while let Some(event) = self.chips.next(self.id, cpu.is_open()) {
                *is_halted = false;
                match event {
                    Event::Init => cpu.reset()?,
                    Event::Startup(page) => start(cpu, page)?,
                    Event::Nmi => cpu.nmi()?,
                    Event::Vector(vector) => cpu.interrupt(vector)?,
                }
            }
            let waits = *is_halted || self.chips.waits_for_startup(self.id);
            if !waits || self.power.asked().is_some() {
                break;
            }
            self.attention.wait();
        }
        cpu.want_open(self.chips.asks(self.id));
        cpu.set_cr8(self.chips.cr8(self.id));
        Ok(())
    }
}

/// Begins where a start-up message says: SDM 3, 10.4.2.
fn start(cpu: &mut dyn Cpu, page: u8) -> Result<(), CpuError> {
    let mut sregs = cpu.sregs()?;
    (sregs.cs.selector, sregs.cs.base) = (u16::from(page) << 8, u64::from(page) << 12);
    cpu.set_sregs(&sregs)?;
    let mut regs = cpu.regs()?;
    regs.rip = 0;
    cpu.set_regs(&regs)
}

impl Attention {
    pub(crate) fn new(id: usize, kick: Arc<dyn Kick>) -> Self {
        Self { id, kick, called: Mutex::new(false), calls: Condvar::new() }
    }

    fn wait(&self) {
        let called = self.calls.wait_while(self.lock(), |called| !*called);
        *called.unwrap_or_else(PoisonError::into_inner) = false;
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.called.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kick for Attention {
    fn kick(&self) {
        *self.lock() = true;
        self.calls.notify_all();
        self.kick.kick();
    }
}

impl Wake for Attention {
    fn wake(&self) {
        // A vCPU looks by itself before it enters the guest.
        if current() != Some(self.id) {
            self.kick();
        }
    }
}
