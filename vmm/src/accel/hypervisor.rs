//! What an accel must be able to do. Registers have KVM's form.

use std::io;
use std::sync::Arc;

use kvm_bindings::{kvm_fpu, kvm_regs, kvm_sregs};
use serde_json::Value;
use thiserror::Error;

use super::{Debugging, Stopped};
use crate::clock::{Clock, Nanos};
use crate::irq::{Apics, Controller};
use crate::map::Listener;
use crate::{CpuModel, CpuModelError, IrqChip, Ram};

/// Why an accel cannot be opened, or cannot be given what a machine needs.
#[derive(Debug, Error)]
pub enum AccelError {
    /// Its device cannot be opened.
    #[error("open {path}: {source}{}", cure(source))]
    Device {
        /// The device.
        path: String,
        /// What the kernel says.
        source: io::Error,
    },
    /// The kernel's interface is older than this program.
    #[error("use interface version {version}: the kernel is too old")]
    KernelTooOld {
        /// The kernel's.
        version: i32,
    },
    /// The kernel's interface is newer than this program.
    #[error("use interface version {version}: this program is too old")]
    ProgramTooOld {
        /// The kernel's.
        version: i32,
    },
    /// Guests cannot have the processor that was asked for.
    #[error("give a guest this processor: {0}")]
    Processor(#[from] CpuModelError),
    /// Something that this program needs is not there.
    #[error("do without {0}")]
    Missing(&'static str),
    /// The kernel refused something.
    #[error("do {call}: {source}")]
    Refused {
        /// The ioctl.
        call: &'static str,
        /// What the kernel says.
        source: io::Error,
    },
    /// A saved state is none of its.
    #[error("take the state of its own: {0}")]
    State(#[from] serde_json::Error),
}

/// What helps where a device cannot be opened, as far as that is known.
fn cure(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::NotFound => "; it is there once the module kvm_intel or kvm_amd is loaded",
        io::ErrorKind::PermissionDenied => "; its group, which is kvm on most hosts, may open it",
        _ => "",
    }
}

/// Why a vCPU cannot go on.
#[derive(Debug, Error)]
pub enum CpuError {
    /// The kernel refused something.
    #[error("do {call}: {source}")]
    Refused {
        /// The ioctl.
        call: &'static str,
        /// What the kernel says.
        source: io::Error,
    },
    /// It left the guest for a reason that no machine handles.
    #[error("handle {exit} at {rip:#x}")]
    Unhandled {
        /// The reason, with what it carries.
        exit: String,
        /// The instruction pointer.
        rip: u64,
    },
    /// A saved state is none of its.
    #[error("take its state: {0}")]
    State(#[from] serde_json::Error),
    /// A saved state is of another processor.
    #[error("take its state: {0}")]
    OtherState(String),
    /// Its guest is a hypervisor at work.
    #[error("save a guest that has guests of its own: what the processor has of those is not saved")]
    HasGuests,
    /// It cannot do something.
    #[error("do without {0}")]
    Missing(&'static str),
    /// Its thread panicked, in whatever the guest made it do.
    #[error(
        "go on: its thread panicked, which is a bug of this program or of a device of its maker's own: {0}"
    )]
    Panicked(String),
}

/// Why a vCPU left the guest. The data of a read is to be filled in before the vCPU runs again.
#[derive(Debug, PartialEq, Eq)]
pub enum Exit<'a> {
    /// The guest writes to a port, once or several times, in accesses of `size` bytes.
    Out {
        /// The port.
        port: u16,
        /// The width of one access.
        size: usize,
        /// What is written, one access after the other.
        data: &'a [u8],
    },
    /// The guest reads a port, once or several times, in accesses of `size` bytes.
    In {
        /// The port.
        port: u16,
        /// The width of one access.
        size: usize,
        /// Where the answers go, one access after the other.
        data: &'a mut [u8],
    },
    /// The guest writes to an address without RAM.
    MmioWrite {
        /// The guest-physical address.
        address: u64,
        /// What is written.
        data: &'a [u8],
    },
    /// The guest reads an address without RAM.
    MmioRead {
        /// The guest-physical address.
        address: u64,
        /// Where the answer goes.
        data: &'a mut [u8],
    },
    /// The guest halts.
    Halt,
    /// Nothing happened in the guest: the vCPU was kicked or told to leave.
    Kicked,
    /// The guest would take an interrupt now.
    Open,
    /// The guest reads an MSR that the accel does not have: the answer, and whether the read faults.
    ReadMsr {
        /// Which.
        msr: u32,
        /// Where the answer goes.
        data: &'a mut u64,
        /// Whether it faults, at first not.
        faults: &'a mut u8,
    },
    /// The guest writes an MSR that the accel does not have.
    WriteMsr {
        /// Which.
        msr: u32,
        /// What is written.
        data: u64,
        /// Whether it faults, at first not.
        faults: &'a mut u8,
    },
    /// A local APIC of the accel has ended a level-triggered interrupt of this vector.
    EndOfInterrupt(u8),
    /// What a debugger has asked for has happened: what, and at which instruction pointer.
    Debug(Stopped, u64),
    /// The processor has shut down, as after a triple fault.
    Shutdown,
    /// Any other reason, with what it carries.
    Other(String),
}

/// The interrupt controllers that an accel has.
pub enum InAccel {
    /// None.
    Nothing,
    /// The local APICs.
    Apics(Arc<dyn Apics>),
    /// All of them.
    All(Arc<dyn Controller>),
}

/// A virtual machine as an accel opens it.
pub trait Hypervisor: Send {
    /// The time of the machine.
    fn clock(&self) -> Clock {
        Clock::real()
    }

    /// Has interrupt controllers where `kind` says, before any vCPU is made.
    fn irqchip(&mut self, kind: IrqChip) -> Result<InAccel, AccelError>;

    /// Whether it has the interval timer together with the controllers of [`IrqChip::Kernel`].
    fn has_timer(&self) -> bool {
        false
    }

    /// Has guests see this processor, before any vCPU is made. Whether it can be had is said when one is.
    fn processor(&mut self, _: CpuModel) {}

    /// What shows RAM to the guest, wherever the map has it, for as long as this and its vCPUs exist.
    fn listener(&mut self, ram: &Ram) -> Box<dyn Listener>;

    /// Has writes to RAM noted from now on, or no longer.
    fn track(&mut self, on: bool) -> Result<(), AccelError>;

    /// Has writes noted in a ring of so many entries for each vCPU, and not in bitmaps: before any vCPU is made.
    fn use_rings(&mut self, _: u32) -> Result<(), AccelError> {
        Err(AccelError::Missing("dirty rings"))
    }

    /// The guest-physical addresses of the pages that the guest has written to since the last time, of those that are tracked.
    fn take_written(&mut self) -> Result<Vec<u64>, AccelError>;

    /// Makes the vCPU of this number, of so many.
    fn create_cpu(&mut self, id: u32, cpus: u32) -> Result<Box<dyn Cpu>, AccelError>;

    /// Has these interrupts of the second i8259 be level-triggered, if it has that: its port is not on the bus then.
    fn set_levels(&mut self, _: u8) -> Result<(), AccelError> {
        Ok(())
    }

    /// Makes the interrupt controllers and the timer that it has as they are after power-up; vCPUs and RAM stay.
    fn reset(&mut self) -> Result<(), AccelError> {
        Ok(())
    }

    /// What it has of the machine besides vCPUs and RAM: interrupt controllers, timer and clock.
    fn state(&self) -> Result<Value, AccelError> {
        Ok(serde_json::to_value(())?)
    }

    /// Takes such a state over, before the vCPUs take theirs; what of it counts the time stands until [`Hypervisor::go_on`].
    fn load(&mut self, state: Value) -> Result<(), AccelError> {
        Ok(serde_json::from_value(state)?)
    }

    /// Lets the timer and the clock of the state that was loaded go on, once the vCPUs have theirs.
    fn go_on(&mut self) -> Result<(), AccelError> {
        Ok(())
    }
}

/// A vCPU as an accel makes it.
pub trait Cpu: Send {
    /// Enters the guest, until it leaves; `left` is told then what the processor has in CR8 and IA32_APIC_BASE.
    fn run(&mut self, left: &mut dyn FnMut(u8, u64)) -> Result<Exit<'_>, CpuError>;

    /// Makes the next [`Cpu::run`] finish the access that the guest was left for and come back, with [`Exit::Kicked`] if the
    /// access needs nothing more. The registers are those behind the access only then.
    fn leave(&mut self);

    /// What ends [`Cpu::run`] from another thread.
    fn kick(&self) -> Arc<dyn Kick>;

    /// Whether the guest would have taken an interrupt when it was left.
    fn is_open(&mut self) -> bool;

    /// Has the guest take an interrupt when it is entered: only where it is open.
    fn interrupt(&mut self, vector: u8) -> Result<(), CpuError>;

    /// Has the guest take a non-maskable interrupt.
    fn nmi(&mut self) -> Result<(), CpuError>;

    /// Has the guest left with [`Exit::Open`] as soon as it would take an interrupt, or not.
    fn want_open(&mut self, wanted: bool);

    /// Sets CR8 for when the guest is entered.
    fn set_cr8(&mut self, cr8: u8);

    /// When the time stamp counter has this value.
    fn time_of_tsc(&self, tsc: u64, now: Nanos) -> Result<Nanos, CpuError>;

    /// Makes it as the processor is after an INIT, which keeps most MSRs and the FPU: SDM volume 3, table 10-1.
    fn init(&mut self) -> Result<(), CpuError>;

    /// Makes it as the processor is after power-up.
    fn reset(&mut self) -> Result<(), CpuError>;

    /// What it is to leave the guest for, besides what it always does.
    fn debug(&mut self, _: &Debugging) -> Result<(), CpuError> {
        Err(CpuError::Missing("debugging"))
    }

    /// The guest-physical address of a linear one, if its page tables have any.
    fn translate(&self, address: u64) -> Result<Option<u64>, CpuError> {
        Ok(Some(address))
    }

    /// What of the FPU is in every processor.
    fn fpu(&self) -> Result<kvm_fpu, CpuError> {
        Ok(kvm_fpu::default())
    }

    /// Sets that.
    fn set_fpu(&mut self, _: &kvm_fpu) -> Result<(), CpuError> {
        Ok(())
    }

    /// All of it that a guest can see, between two runs.
    fn state(&self) -> Result<Value, CpuError>;

    /// Takes a state over. One that is none of a vCPU like this one is refused, and it stays as it is; one of which the accel refuses a
    /// part leaves a vCPU that only a reset makes good.
    fn load(&mut self, state: Value) -> Result<(), CpuError>;

    /// The general registers.
    fn regs(&self) -> Result<kvm_regs, CpuError>;

    /// Sets the general registers.
    fn set_regs(&mut self, regs: &kvm_regs) -> Result<(), CpuError>;

    /// The segments, tables and control registers.
    fn sregs(&self) -> Result<kvm_sregs, CpuError>;

    /// Sets the segments, tables and control registers.
    fn set_sregs(&mut self, sregs: &kvm_sregs) -> Result<(), CpuError>;
}

/// Ends a vCPU's run from another thread.
pub trait Kick: Send + Sync {
    /// Makes the vCPU leave the guest with [`Exit::Kicked`], or not enter it the next time. Once the vCPU is gone, nothing happens.
    fn kick(&self);
}
