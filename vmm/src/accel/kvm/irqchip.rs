//! The kernel's interrupt controllers: `api.rst` 4.24 "KVM_CREATE_IRQCHIP", 4.25 "KVM_IRQ_LINE", 4.52 "KVM_SET_GSI_ROUTING", 4.70
//! "KVM_SIGNAL_MSI", 4.75 "KVM_IRQFD" and 7.5 "KVM_CAP_SPLIT_IRQCHIP".
#![expect(unsafe_code, reason = "the arm of a routing entry's union that its type names is filled in")]

use std::sync::{Arc, Mutex, PoisonError};

use kvm_bindings::{
    KVM_CAP_SPLIT_IRQCHIP, KVM_IRQ_ROUTING_IRQCHIP, KVM_IRQ_ROUTING_MSI, KVM_IRQCHIP_IOAPIC,
    KVM_IRQCHIP_PIC_MASTER, KVM_IRQCHIP_PIC_SLAVE, KVM_PIT_SPEAKER_DUMMY, KvmIrqRouting, kvm_enable_cap,
    kvm_irq_routing_entry, kvm_irqchip, kvm_msi, kvm_pit_config, kvm_pit_state2,
};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use super::shown::Shown;
use super::trace::{of_accel, told};
use crate::accel::AccelError;
use crate::devices::ioapic::Message;
use crate::irq::{Apics, Controller, GSIS, Route, Trigger, pc_routes};

/// All controllers, in the kernel.
pub(super) struct KernelChips(Arc<Shown>);

/// The controllers in the kernel, and the interval timer if it is there as well, as they are at some time.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChipsState {
    chips: Vec<kvm_irqchip>,
    pub(super) timer: Option<TimerState>,
}

/// The interval timer.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TimerState {
    /// Without the times at which its counters were loaded, which are those of the host.
    registers: kvm_pit_state2,
    /// How many nanoseconds that is ago for each.
    ages: [i64; 3],
}

/// The local APICs, in the kernel.
pub(super) struct KernelApics {
    shown: Arc<Shown>,
    /// What the kernel was last told of the IOAPIC's pins.
    told: Mutex<Vec<Option<Message>>>,
}

impl KernelChips {
    /// Creates them, with the lines of a PC, and the interval timer where the kernel has one.
    pub(super) fn create(shown: Arc<Shown>, has_timer: bool) -> Result<Self, AccelError> {
        of_accel("KVM_CREATE_IRQCHIP", shown.fd.create_irq_chip())?;
        let entries: Vec<_> = pc_routes().into_iter().map(|(gsi, route)| entry(gsi, route)).collect();
        route(&shown, &entries)?;
        if has_timer {
            let config = kvm_pit_config { flags: KVM_PIT_SPEAKER_DUMMY, ..Default::default() };
            of_accel("KVM_CREATE_PIT2", shown.fd.create_pit2(config))?;
        }
        Ok(Self(shown))
    }
}

impl ChipsState {
    /// What they are now.
    pub(super) fn of(shown: &Shown, has_timer: bool) -> Result<Self, AccelError> {
        let mut chips = Vec::new();
        // The first i8259 comes last, because the kernel raises its pin for the second whenever either is set.
        for chip_id in [KVM_IRQCHIP_IOAPIC, KVM_IRQCHIP_PIC_SLAVE, KVM_IRQCHIP_PIC_MASTER] {
            let mut chip = kvm_irqchip { chip_id, ..Default::default() };
            of_accel("KVM_GET_IRQCHIP", shown.fd.get_irqchip(&mut chip))?;
            chips.push(chip);
        }
        let timer = has_timer.then(|| TimerState::of(shown)).transpose()?;
        Ok(Self { chips, timer })
    }

    /// Whether the interval timer is among them.
    pub(super) fn has_timer(&self) -> bool {
        self.timer.is_some()
    }

    /// Whether these are the chips and the timer that `other` has.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let ids = |state: &Self| state.chips.iter().map(|chip| chip.chip_id).collect::<Vec<_>>();
        ids(self) == ids(other) && self.timer.is_some() == other.timer.is_some()
    }

    /// Makes them so again, but for the timer.
    pub(super) fn put_back(&self, shown: &Shown) -> Result<(), AccelError> {
        self.chips.iter().try_for_each(|chip| of_accel("KVM_SET_IRQCHIP", shown.fd.set_irqchip(chip)))
    }
}

impl TimerState {
    fn of(shown: &Shown) -> Result<Self, AccelError> {
        let mut registers = of_accel("KVM_GET_PIT2", shown.fd.get_pit2())?;
        let now = time_of_host();
        let ages = registers
            .channels
            .each_mut()
            .map(|counter| now.wrapping_sub(std::mem::take(&mut counter.count_load_time)));
        Ok(Self { registers, ages })
    }

    /// Makes it so again, from now on.
    pub(super) fn put_back(&self, shown: &Shown) -> Result<(), AccelError> {
        let (mut registers, now) = (self.registers, time_of_host());
        for (counter, age) in registers.channels.iter_mut().zip(self.ages) {
            counter.count_load_time = now.wrapping_sub(age);
        }
        of_accel("KVM_SET_PIT2", shown.fd.set_pit2(&registers))
    }
}

/// Nanoseconds of the clock that the kernel's timer goes by.
fn time_of_host() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.wrapping_mul(1_000_000_000).wrapping_add(now.tv_nsec)
}

impl Controller for KernelChips {
    fn set(&self, gsi: u32, level: bool) {
        // A line that the kernel refuses is one that no table has: the trace tells.
        let _ = told("KVM_IRQ_LINE", self.0.fd.set_irq_line(gsi, level));
    }

    fn message(&self, address: u64, data: u32) {
        let _ = signal(&self.0, address, data);
    }

    fn attach(&self, trigger: &Trigger) -> Result<bool, AccelError> {
        let fd = &self.0.fd;
        let attached = match &trigger.resample {
            Some(resample) => fd.register_irqfd_with_resample(&trigger.fd, resample, trigger.gsi),
            None => fd.register_irqfd(&trigger.fd, trigger.gsi),
        };
        of_accel("KVM_IRQFD", attached).map(|()| true)
    }
}

impl KernelApics {
    /// Leaves the local APICs alone to the kernel.
    pub(super) fn create(shown: Arc<Shown>) -> Result<Self, AccelError> {
        let mut split = kvm_enable_cap { cap: KVM_CAP_SPLIT_IRQCHIP, ..Default::default() };
        split.args[0] = GSIS.into();
        of_accel("KVM_ENABLE_CAP", shown.fd.enable_cap(&split))?;
        Ok(Self { shown, told: Mutex::default() })
    }
}

impl Apics for KernelApics {
    fn message(&self, address: u64, data: u32) -> bool {
        signal(&self.shown, address, data)
    }

    fn pins(&self, messages: &[Option<Message>]) {
        let mut held = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let merged = merged(&held, messages);
        if *held == merged {
            return;
        }
        let entries: Vec<_> = (0..)
            .zip(&merged)
            .filter_map(|(pin, message)| message.map(|Message { address, data }| (pin, address, data)))
            .map(|(pin, address, data)| entry(pin, Route::Message { address, data }))
            .collect();
        // Without the route an end of interrupt is not told, which the trace shows; the next change of a pin tries it again.
        if route(&self.shown, &entries).is_ok() {
            *held = merged;
        }
    }
}

/// What is to be told of the pins: a pin that is masked keeps its last message, because an interrupt that it sent may still be in
/// service, and the kernel tells of the ends of those alone that are routed.
fn merged(held: &[Option<Message>], messages: &[Option<Message>]) -> Vec<Option<Message>> {
    let kept = held.iter().copied().chain(std::iter::repeat(None));
    messages.iter().zip(kept).map(|(message, kept)| message.or(kept)).collect()
}

/// Whether anybody accepts the message.
fn signal(shown: &Shown, address: u64, data: u32) -> bool {
    let [a, b, c, d, e, f, g, h] = address.to_le_bytes();
    let message = kvm_msi {
        address_lo: u32::from_le_bytes([a, b, c, d]),
        address_hi: u32::from_le_bytes([e, f, g, h]),
        data,
        ..Default::default()
    };
    // That no processor takes it is no error of the device's.
    told("KVM_SIGNAL_MSI", shown.fd.signal_msi(message)).is_ok_and(|accepted| accepted > 0)
}

fn route(shown: &Shown, entries: &[kvm_irq_routing_entry]) -> Result<(), AccelError> {
    let routing = KvmIrqRouting::from_entries(entries)
        .map_err(|_| AccelError::Missing("a table of so many interrupt routes"))?;
    of_accel("KVM_SET_GSI_ROUTING", shown.fd.set_gsi_routing(&routing))
}

fn entry(gsi: u32, route: Route) -> kvm_irq_routing_entry {
    let mut entry = kvm_irq_routing_entry { gsi, type_: KVM_IRQ_ROUTING_IRQCHIP, ..Default::default() };
    let (irqchip, pin) = match route {
        Route::Pic(pin @ 0..8) => (KVM_IRQCHIP_PIC_MASTER, pin),
        Route::Pic(pin) => (KVM_IRQCHIP_PIC_SLAVE, pin - 8),
        Route::IoApic(pin) => (KVM_IRQCHIP_IOAPIC, pin),
        Route::Message { address, data } => {
            entry.type_ = KVM_IRQ_ROUTING_MSI;
            let [a, b, c, d, e, f, g, h] = address.to_le_bytes();
            // SAFETY: every arm of the union is made of integers, so that any can be borrowed; the type names this one.
            let msi = unsafe { &mut entry.u.msi };
            msi.address_lo = u32::from_le_bytes([a, b, c, d]);
            msi.address_hi = u32::from_le_bytes([e, f, g, h]);
            msi.data = data;
            return entry;
        }
    };
    // SAFETY: as above.
    let chip = unsafe { &mut entry.u.irqchip };
    (chip.irqchip, chip.pin) = (irqchip, pin.into());
    entry
}

#[cfg(test)]
mod tests {
    use super::{Message, merged};

    #[test]
    fn a_pin_that_is_masked_keeps_its_route() {
        let message = |data| Some(Message { address: 0xfee0_0000, data });
        assert_eq!(merged(&[], &[None, message(1)]), [None, message(1)]);
        assert_eq!(merged(&[message(1), message(2)], &[None, message(3)]), [message(1), message(3)]);
    }
}
