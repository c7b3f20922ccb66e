//! What a vCPU's thread does: gives the guest the interrupts that there are for it, enters it, takes each access to the bus, and
//! goes in again until it is to end.

#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::accel::{Cpu, CpuError, Exit, Kick};
use crate::clock::Clock;
use crate::devices::local_apic::{BASE, Event, TSC_DEADLINE};
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
    /// Whether the vCPU has halted and nothing has woken it: between two runs as well.
    is_halted: AtomicBool,
}

/// What a vCPU's thread keeps in mind from one entry to the next.
#[derive(Default)]
struct Mind {
    is_halted: bool,
    /// Whether the guest was left for an access that the next entry finishes.
    is_unfinished: bool,
    /// An INIT waits for that.
    is_to_initialize: bool,
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
    let power = around.power;
    let mut left = around.exits;
    let mut mind = Mind { is_halted: around.attention.is_halted(), ..Mind::default() };
    let mut apic_base = 0;
    loop {
        if power.asked().is_none() && !mind.is_to_initialize {
            around.interrupt(cpu, &mut mind)?;
        }
        let leaving = power.asked().is_some();
        if leaving || mind.is_to_initialize {
            cpu.leave();
        }
        around.attention.set_halted(mind.is_halted);
        around.give_priority(cpu);
        let exit = cpu.run(&mut |cr8, base| {
            apic_base = base;
            around.take_over(cr8, base);
        })?;
        mind.is_unfinished = exit.is_unfinished();
        match exit {
            Exit::Out { .. } | Exit::In { .. } | Exit::MmioWrite { .. } | Exit::MmioRead { .. } => {
                around.reach_bus(exit, apic_base);
            }
            Exit::Halt if around.irqchip == IrqChip::User => mind.is_halted = true,
            Exit::Halt => return Ok(()),
            Exit::Kicked => {
                if std::mem::take(&mut mind.is_to_initialize) {
                    mind.is_halted = false;
                    cpu.init()?;
                }
                if leaving {
                    around.attention.set_halted(mind.is_halted);
                    return Ok(());
                }
            }
            Exit::Open => {}
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
            Exit::Debug(stopped, at) => power.ask(End::Trapped { cpu: around.id, stopped, at }),
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
    fn interrupt(&self, cpu: &mut dyn Cpu, mind: &mut Mind) -> Result<(), CpuError> {
        match self.irqchip {
            IrqChip::None | IrqChip::Kernel => Ok(()),
            IrqChip::Split if self.id == 0 => self.interrupt_of_pic(cpu),
            IrqChip::Split => Ok(()),
            IrqChip::User => self.interrupt_of_apic(cpu, mind),
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

    fn interrupt_of_apic(&self, cpu: &mut dyn Cpu, mind: &mut Mind) -> Result<(), CpuError> {
        loop {
            while let Some(event) = self.chips.next(self.id, cpu.is_open()) {
                mind.is_halted = false;
                match event {
                    // What the next entry finishes would be written over the registers of the INIT.
                    Event::Init if mind.is_unfinished => {
                        mind.is_to_initialize = true;
                        return Ok(());
                    }
                    Event::Init => cpu.init()?,
                    Event::Startup(page) => start(cpu, page)?,
                    Event::Nmi => cpu.nmi()?,
                    Event::Vector(vector) => cpu.interrupt(vector)?,
                }
            }
            let waits = mind.is_halted || self.chips.waits_for_startup(self.id);
            if !waits || self.power.asked().is_some() {
                break;
            }
            self.attention.wait();
        }
        cpu.want_open(self.chips.asks(self.id));
        Ok(())
    }

    /// Takes an access to the bus.
    fn reach_bus(&self, exit: Exit<'_>, apic_base: u64) {
        match exit {
            Exit::Out { port, size, data } => {
                for data in data.chunks(size.max(1)) {
                    self.bus.write(Space::Ports, port.into(), data);
                }
            }
            Exit::In { port, size, data } => {
                for data in data.chunks_mut(size.max(1)) {
                    self.bus.read(Space::Ports, port.into(), data);
                }
            }
            Exit::MmioWrite { address, data } => {
                if let Some(address) = self.place(address, apic_base) {
                    self.bus.write(Space::Memory, address, data);
                }
            }
            Exit::MmioRead { address, data } => {
                data.fill(0xff);
                if let Some(address) = self.place(address, apic_base) {
                    self.bus.read(Space::Memory, address, data);
                }
            }
            _ => {}
        }
    }

    /// Lets the processor have the task priority that its local APIC has, which a guest sets there as well: also when it is only
    /// entered to finish an access, because it is taken over from there again.
    fn give_priority(&self, cpu: &mut dyn Cpu) {
        if self.irqchip == IrqChip::User {
            cpu.set_cr8(self.chips.cr8(self.id));
        }
    }

    /// Where on the bus an address of memory is, if it is anywhere: each processor sees its own local APIC where its IA32_APIC_BASE
    /// says, and the bus has one page for them all.
    fn place(&self, address: u64, apic_base: u64) -> Option<u64> {
        if self.irqchip == IrqChip::User { place(address, apic_base) } else { Some(address) }
    }
}

fn place(address: u64, apic_base: u64) -> Option<u64> {
    const PAGE: u64 = 0xfff;
    /// What bits 12 and above of IA32_APIC_BASE can be.
    const PLACE: u64 = 0x000f_ffff_ffff_f000;
    let base = apic_base & PLACE;
    match address & !PAGE {
        page if page == base => Some(BASE | address & PAGE),
        // It has been moved away from here.
        BASE => None,
        _ => Some(address),
    }
}

impl Exit<'_> {
    /// Whether the next entry finishes what the guest was left for.
    fn is_unfinished(&self) -> bool {
        matches!(
            self,
            Self::Out { .. }
                | Self::In { .. }
                | Self::MmioWrite { .. }
                | Self::MmioRead { .. }
                | Self::ReadMsr { .. }
                | Self::WriteMsr { .. }
        )
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
        let (called, calls, is_halted) = Default::default();
        Self { id, kick, called, calls, is_halted }
    }

    pub(crate) fn is_halted(&self) -> bool {
        self.is_halted.load(Ordering::Relaxed)
    }

    pub(crate) fn set_halted(&self, is_halted: bool) {
        self.is_halted.store(is_halted, Ordering::Relaxed);
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
