//! The interrupt controllers that are not in the kernel, joined: the i8259 pair, the IOAPIC, and the local APICs if they are not
//! the kernel's either. They are one piece of hardware under one lock, because they talk to each other in circles.

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::line::Controller;
use super::route::{Route, pc_routes};
use super::trigger::Ends;
use crate::clock::{Clock, Nanos};
use crate::devices::i8259::I8259;
use crate::devices::ioapic::{IoApic, Message};
use crate::devices::local_apic::{Command, Delivery, Effect, Event, LocalApic};

/// Local APICs that are somewhere else, as the kernel's are.
pub trait Apics: Send + Sync {
    /// Sends a message. Whether anybody accepts it.
    fn message(&self, address: u64, data: u32) -> bool;

    /// Says which message each pin of the IOAPIC sends now, so that ends of level-triggered interrupts come back from there.
    fn pins(&self, messages: &[Option<Message>]);
}

/// What makes a vCPU look for interrupts.
pub trait Wake: Send + Sync {
    /// There may be something for it.
    fn wake(&self);
}

/// The controllers, joined.
pub struct Chips {
    joined: Mutex<Joined>,
    elsewhere: OnceLock<Arc<dyn Apics>>,
    wakes: OnceLock<Vec<Arc<dyn Wake>>>,
    ends: OnceLock<Ends>,
    clock: Clock,
}

struct Joined {
    pic: I8259,
    ioapic: IoApic,
    apics: Vec<LocalApic>,
    routes: Vec<(u32, Route)>,
}

impl Chips {
    /// The controllers of a PC of so many processors.
    pub fn new(cpus: u32, clock: Clock) -> Self {
        let joined = Joined {
            pic: I8259::default(),
            ioapic: IoApic::default(),
            apics: (0..cpus).map(LocalApic::new).collect(),
            routes: pc_routes(),
        };
        let (elsewhere, wakes, ends) = Default::default();
        Self { joined: Mutex::new(joined), elsewhere, wakes, ends, clock }
    }

    /// The same, but for the local APICs, which are elsewhere.
    pub fn with_apics_elsewhere(apics: Arc<dyn Apics>, clock: Clock) -> Self {
        let chips = Self::new(0, clock);
        let _ = chips.elsewhere.set(apics);
        chips
    }

    /// Says what wakes each vCPU: the first that is given.
    pub(crate) fn set_wakes(&self, wakes: Vec<Arc<dyn Wake>>) {
        let _ = self.wakes.set(wakes);
    }

    /// Reaches the i8259 pair, and lets what it asks for be taken.
    pub(crate) fn pic<T>(&self, reach: impl FnOnce(&mut I8259) -> T) -> T {
        let mut joined = self.lock();
        let (before, serviced) = (joined.pic.asks(), joined.pic.in_service());
        let result = reach(&mut joined.pic);
        let asks = joined.pic.asks() && !before;
        let ended = serviced & !joined.pic.in_service();
        let ended = if ended == 0 { Vec::new() } else { joined.lines_of_pic(ended) };
        drop(joined);
        self.tell_end_of(ended);
        if asks {
            self.wake(0);
        }
        result
    }

    /// Reaches the IOAPIC.
    pub(crate) fn ioapic<T>(&self, reach: impl FnOnce(&mut IoApic) -> T) -> T {
        let mut joined = self.lock();
        let result = reach(&mut joined.ioapic);
        self.tell_pins(&joined);
        result
    }

    /// Writes a register of the IOAPIC. Whether there is one.
    pub(crate) fn write_ioapic(&self, offset: u64, value: u32) -> bool {
        let mut joined = self.lock();
        let Some(messages) = joined.ioapic.write(offset, value) else { return false };
        self.tell_pins(&joined);
        self.send_all(joined, messages);
        true
    }

    /// A local APIC that is elsewhere has ended a level-triggered interrupt.
    pub(crate) fn end(&self, vector: u8) {
        self.end_in_ioapic(self.lock(), vector);
    }

    /// Ends a level-triggered interrupt: before its line is looked at anew, whoever waits for that lets go of it.
    fn end_in_ioapic(&self, joined: MutexGuard<'_, Joined>, vector: u8) {
        let ended = joined.lines_of_ioapic(&joined.ioapic.waiting(vector));
        drop(joined);
        self.tell_end_of(ended);
        let mut joined = self.lock();
        let messages = joined.ioapic.end(vector);
        self.send_all(joined, messages);
    }

    fn tell_end_of(&self, lines: Vec<u32>) {
        if let Some(ends) = self.ends.get() {
            lines.into_iter().for_each(|line| ends.of(line));
        }
    }

    /// Whether the i8259 pair asks for an interrupt: what local APICs elsewhere do not know.
    pub(crate) fn pic_asks(&self) -> bool {
        self.lock().pic.asks()
    }

    /// The vector of the i8259 pair.
    pub(crate) fn acknowledge(&self) -> u8 {
        self.lock().pic.acknowledge()
    }

    /// Whether this processor waits for a start-up message.
    pub(crate) fn waits_for_startup(&self, cpu: usize) -> bool {
        self.lock().apics.get(cpu).is_some_and(LocalApic::waits_for_startup)
    }

    /// Whether there is anything for this processor: now, or once it takes interrupts.
    pub(crate) fn asks(&self, cpu: usize) -> bool {
        let joined = self.lock();
        let pic = joined.pic.asks();
        joined.apics.get(cpu).is_some_and(|apic| apic.asks(pic))
    }

    /// What this processor takes now, if it takes interrupts at all.
    pub(crate) fn next(&self, cpu: usize, open: bool) -> Option<Event> {
        let mut joined = self.lock();
        let Joined { pic, apics, .. } = &mut *joined;
        let asks = pic.asks();
        apics.get_mut(cpu)?.next(open, asks.then_some(|| pic.acknowledge()))
    }

    /// Takes over what the processor has in CR8 and IA32_APIC_BASE.
    pub(crate) fn take_over(&self, cpu: usize, cr8: u8, base: u64) {
        if let Some(apic) = self.lock().apics.get_mut(cpu) {
            apic.set_cr8(cr8);
            apic.set_base(base);
        }
    }

    /// What the processor is to have in CR8.
    pub(crate) fn cr8(&self, cpu: usize) -> u8 {
        self.lock().apics.get(cpu).map_or(0, LocalApic::cr8)
    }

    pub(crate) fn read_apic(&self, cpu: usize, offset: u64) -> Option<u32> {
        let now = self.clock.now();
        self.lock().apics.get_mut(cpu).map(|apic| {
            apic.poll(now);
            apic.read(offset, now)
        })
    }

    pub(crate) fn write_apic(&self, cpu: usize, offset: u64, value: u32) {
        let now = self.clock.now();
        let mut joined = self.lock();
        if let Some(apic) = joined.apics.get_mut(cpu) {
            apic.poll(now);
            let effect = apic.write(offset, value, now);
            self.affect(joined, cpu, effect);
        }
    }

    pub(crate) fn read_msr(&self, cpu: usize, msr: u32) -> Option<u64> {
        let now = self.clock.now();
        let mut joined = self.lock();
        let apic = joined.apics.get_mut(cpu)?;
        apic.poll(now);
        apic.read_msr(msr, now).ok()
    }

    /// Writes an MSR of the local APIC. `deadline` is when the time stamp counter has the value that is written. Whether there is
    /// such an MSR.
    pub(crate) fn write_msr(&self, cpu: usize, msr: u32, value: u64, deadline: Nanos) -> bool {
        let now = self.clock.now();
        let mut joined = self.lock();
        let written = joined.apics.get_mut(cpu).map(|apic| {
            apic.poll(now);
            apic.write_msr(msr, value, now, deadline)
        });
        match written {
            Some(Ok(effect)) => self.affect(joined, cpu, effect),
            _ => return false,
        }
        true
    }

    /// Lets the timers act on the time that it is.
    pub(crate) fn poll(&self) {
        let now = self.clock.now();
        let mut joined = self.lock();
        joined.apics.iter_mut().for_each(|apic| apic.poll(now));
        self.settle(joined);
    }

    pub(crate) fn reset_apics(&self) {
        let mut joined = self.lock();
        let count = u32::try_from(joined.apics.len()).unwrap_or(0);
        joined.apics = (0..count).map(LocalApic::new).collect();
    }

    /// The local APICs, with their times counted from now.
    pub(crate) fn local_apics(&self) -> Vec<LocalApic> {
        let now = self.clock.now();
        self.lock().apics.iter().map(|apic| apic.clone().apart_from(now)).collect()
    }

    /// Gives the local APICs their state back, unless it is of another number of them.
    pub(crate) fn set_local_apics(&self, apics: Vec<LocalApic>) -> bool {
        let mut joined = self.lock();
        let fits = joined.apics.len() == apics.len();
        if fits {
            let now = self.clock.now();
            joined.apics = apics.into_iter().map(|apic| apic.joined_to(now)).collect();
            self.settle(joined);
        }
        fits
    }

    fn affect(&self, mut joined: MutexGuard<'_, Joined>, cpu: usize, effect: Effect) {
        match effect {
            Effect::Nothing => {}
            Effect::Send(command) => {
                joined.deliver(command, u32::try_from(cpu).ok());
            }
            Effect::End(vector) => return self.end_in_ioapic(joined, vector),
        }
        self.settle(joined);
    }

    /// Sends messages to the local APICs, wherever they are.
    fn send_all(&self, mut joined: MutexGuard<'_, Joined>, messages: impl IntoIterator<Item = Message>) {
        for message @ Message { address, data } in messages {
            let is_accepted = match self.elsewhere.get() {
                Some(apics) => apics.message(address, data),
                None => joined.deliver(Command::of_message(address, data), None),
            };
            if !is_accepted {
                joined.ioapic.refuse(message);
            }
        }
        self.settle(joined);
    }

    /// Sees to it that processors take what there is for them, and that timers are polled when they run out.
    fn settle(&self, joined: MutexGuard<'_, Joined>) {
        let pic = joined.pic.asks();
        let mut asked = joined.apics.iter().map(|apic| apic.asks(pic)).collect::<Vec<_>>();
        if asked.is_empty() {
            asked.push(pic);
        }
        let alarm = joined.apics.iter().filter_map(LocalApic::deadline).min();
        drop(joined);
        if let Some(alarm) = alarm {
            self.clock.wake_at(alarm);
        }
        for (cpu, _) in asked.iter().enumerate().filter(|(_, asks)| **asks) {
            self.wake(cpu);
        }
    }

    fn tell_pins(&self, joined: &Joined) {
        if let Some(apics) = self.elsewhere.get() {
            apics.pins(&joined.ioapic.messages());
        }
    }

    fn wake(&self, cpu: usize) {
        if let Some(wake) = self.wakes.get().and_then(|wakes| wakes.get(cpu)) {
            wake.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Joined> {
        self.joined.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Controller for Chips {
    fn set(&self, gsi: u32, level: bool) {
        let mut joined = self.lock();
        let routes: Vec<Route> =
            joined.routes.iter().filter(|(from, _)| *from == gsi).map(|(_, route)| *route).collect();
        let mut messages = Vec::new();
        for route in routes {
            match route {
                Route::Pic(pin) => joined.pic.set(pin, level),
                Route::IoApic(pin) => messages.extend(joined.ioapic.set(pin, level)),
                Route::Message { address, data } if level => messages.push(Message { address, data }),
                Route::Message { .. } => {}
            }
        }
        self.send_all(joined, messages);
    }

    fn message(&self, address: u64, data: u32) {
        self.send_all(self.lock(), [Message { address, data }]);
    }

    fn tell_ends(&self, ends: Ends) {
        let _ = self.ends.set(ends);
    }
}

impl Joined {
    /// The lines that lead to these pins of the i8259 pair.
    fn lines_of_pic(&self, pins: u16) -> Vec<u32> {
        self.lines_to(|route| matches!(route, Route::Pic(pin) if pins >> pin & 1 != 0))
    }

    fn lines_of_ioapic(&self, pins: &[u8]) -> Vec<u32> {
        self.lines_to(|route| matches!(route, Route::IoApic(pin) if pins.contains(&pin)))
    }

    fn lines_to(&self, is_wanted: impl Fn(Route) -> bool) -> Vec<u32> {
        self.routes.iter().filter(|(_, route)| is_wanted(*route)).map(|(gsi, _)| *gsi).collect()
    }

    /// Delivers a message to those that it is for. Whether anybody accepts it.
    fn deliver(&mut self, command: Command, sender: Option<u32>) -> bool {
        let Command { to, delivery, vector, is_level, deasserts } = command;
        if deasserts && delivery == Delivery::Init {
            return false;
        }
        let addressed = self.apics.iter_mut().filter(|apic| apic.is_addressed(to, sender));
        if delivery == Delivery::Lowest {
            // Of several of the same priority the first, of those that take part: SDM 3, 12.6.2.4.
            let lowest = addressed.filter(|apic| apic.is_software_enabled()).min_by_key(|apic| apic.ppr());
            return lowest.is_some_and(|apic| apic.accept(delivery, vector, is_level));
        }
        addressed.map(|apic| apic.accept(delivery, vector, is_level)).filter(|accepts| *accepts).count() > 0
    }
}
