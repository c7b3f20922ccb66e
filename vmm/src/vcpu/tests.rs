//! What a vCPU's thread does, with a processor that only writes down what is done to it.

use std::sync::Arc;

use kvm_bindings::{kvm_regs, kvm_sregs};
use rstest::rstest;
use serde_json::Value;

use super::{Attention, Surroundings, place, run};
use crate::accel::{Cpu, CpuError, Exit, Kick};
use crate::clock::{Clock, Nanos};
use crate::irq::{Chips, Controller};
use crate::{Bus, End, IrqChip, Power, Ram};

#[rstest]
#[case::where_it_is(0xfee0_0030, 0xfee0_0900, Some(0xfee0_0030))]
#[case::elsewhere(0xfed0_0030, 0xfed0_0800, Some(0xfee0_0030))]
#[case::where_it_was(0xfee0_0030, 0xfed0_0800, None)]
#[case::another(0xfec0_0010, 0xfed0_0800, Some(0xfec0_0010))]
fn a_local_apic_is_where_its_processor_has_it(
    #[case] address: u64,
    #[case] apic_base: u64,
    #[case] at: Option<u64>,
) {
    assert_eq!(place(address, apic_base), at);
}

const BASE: u64 = 0xfee0_0900;

/// What happens while the guest runs for the first time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Deed {
    /// It reads memory, and another processor sends an INIT meanwhile.
    ReadsAndIsInitialized,
    /// It sets its task priority, and the machine is stopped meanwhile.
    SetsPriorityAndIsStopped,
    /// It halts, and the machine is stopped meanwhile.
    HaltsAndIsStopped,
}

struct Scribe {
    deed: Option<Deed>,
    chips: Arc<Chips>,
    power: Power,
    data: [u8; 4],
    is_leaving: bool,
    cr8: u8,
    story: Vec<&'static str>,
}

struct Nowhere;

impl Kick for Nowhere {
    fn kick(&self) {}
}

impl Cpu for Scribe {
    fn run(&mut self, left: &mut dyn FnMut(u8, u64)) -> Result<Exit<'_>, CpuError> {
        left(self.cr8, BASE);
        if std::mem::take(&mut self.is_leaving) {
            self.story.push("finishes");
            return Ok(Exit::Kicked);
        }
        match self.deed.take() {
            Some(Deed::ReadsAndIsInitialized) => {
                self.story.push("reads");
                self.chips.message(0xfee0_0000, 0x4500);
                Ok(Exit::MmioRead { address: 0xd000_0000, data: &mut self.data })
            }
            Some(Deed::SetsPriorityAndIsStopped) => {
                self.story.push("writes");
                self.chips.write_apic(0, 0x80, 0x50);
                self.power.ask(End::Stopped);
                Ok(Exit::MmioWrite { address: 0xd000_0000, data: &self.data })
            }
            Some(Deed::HaltsAndIsStopped) => {
                self.story.push("halts");
                self.power.ask(End::Stopped);
                Ok(Exit::Halt)
            }
            None => {
                self.story.push("goes on");
                self.power.ask(End::Stopped);
                Ok(Exit::Open)
            }
        }
    }

    fn leave(&mut self) {
        self.is_leaving = true;
    }

    fn kick(&self) -> Arc<dyn Kick> {
        Arc::new(Nowhere)
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

    fn set_cr8(&mut self, cr8: u8) {
        self.cr8 = cr8;
    }

    fn time_of_tsc(&self, _: u64, now: Nanos) -> Result<Nanos, CpuError> {
        Ok(now)
    }

    fn init(&mut self) -> Result<(), CpuError> {
        self.story.push("is initialized");
        Ok(())
    }

    fn reset(&mut self) -> Result<(), CpuError> {
        self.story.push("is reset");
        Ok(())
    }

    fn state(&self) -> Result<Value, CpuError> {
        Ok(Value::Null)
    }

    fn load(&mut self, _: Value) -> Result<(), CpuError> {
        Ok(())
    }

    fn regs(&self) -> Result<kvm_regs, CpuError> {
        Ok(kvm_regs::default())
    }

    fn set_regs(&mut self, _: &kvm_regs) -> Result<(), CpuError> {
        Ok(())
    }

    fn sregs(&self) -> Result<kvm_sregs, CpuError> {
        Ok(kvm_sregs::default())
    }

    fn set_sregs(&mut self, _: &kvm_sregs) -> Result<(), CpuError> {
        Ok(())
    }
}

/// A processor that does this, after a run; the controllers, and what it waits at.
fn after(deed: Deed) -> (Scribe, Attention) {
    let (clock, power) = (Clock::stepped(), Power::default());
    let chips = Arc::new(Chips::new(1, clock.clone()));
    let bus = Bus::new(Ram::new(0x1000).unwrap());
    let (is_leaving, cr8, data, story) = Default::default();
    let deed = Some(deed);
    let mut cpu = Scribe { deed, chips: Arc::clone(&chips), power, data, is_leaving, cr8, story };
    let attention = Attention::new(0, cpu.kick());
    let power = cpu.power.clone();
    let around = Surroundings {
        id: 0,
        bus: &bus,
        power: &power,
        exits: u64::MAX,
        irqchip: IrqChip::User,
        chips: &chips,
        clock: &clock,
        attention: &attention,
    };
    run(&mut cpu, &around).unwrap();
    (cpu, attention)
}

#[test]
fn an_init_waits_until_the_access_is_finished_that_the_guest_was_left_for() {
    let (cpu, _) = after(Deed::ReadsAndIsInitialized);
    assert_eq!(cpu.story, ["reads", "finishes", "is initialized", "goes on", "finishes"]);
    assert_eq!(cpu.data, [0xff; 4]);
}

#[test]
fn a_priority_that_is_set_in_the_last_exit_stays() {
    let (cpu, _) = after(Deed::SetsPriorityAndIsStopped);
    assert_eq!((cpu.story, cpu.chips.cr8(0)), (vec!["writes", "finishes"], 5));
}

#[test]
fn a_processor_that_has_halted_is_known_to_the_next_run() {
    assert!(after(Deed::HaltsAndIsStopped).1.is_halted());
    assert!(!after(Deed::SetsPriorityAndIsStopped).1.is_halted());
}
