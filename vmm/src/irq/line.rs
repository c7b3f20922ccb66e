//! Interrupt lines, by their global number (GSI). Several devices may drive one: it is high as long as any of them holds it so.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::route::GSIS;
use super::trigger::{Ends, Trigger};
use crate::accel::AccelError;

/// Where interrupt lines end.
pub trait Controller: Send + Sync {
    /// The line of this number changes its level.
    fn set(&self, gsi: u32, level: bool);

    /// A device writes a message.
    fn message(&self, address: u64, data: u32);

    /// Has an eventfd raise a line without this program. Whether it can.
    fn attach(&self, _: &Trigger) -> Result<bool, AccelError> {
        Ok(false)
    }

    /// Learns who is to be told of the ends of interrupts.
    fn tell_ends(&self, _: Ends) {}
}

/// All interrupt lines of a machine. Clones are the same lines.
#[derive(Clone, Default)]
pub struct Interrupts(Arc<Inner>);

#[derive(Default)]
pub(super) struct Inner {
    held: Mutex<Held>,
    controller: OnceLock<Arc<dyn Controller>>,
    /// Those that the controller does not look after itself.
    triggers: Mutex<Vec<Attached>>,
}

/// An eventfd, and whether it holds its line.
struct Attached {
    trigger: Arc<Trigger>,
    holds: bool,
}

#[derive(Default)]
struct Held {
    /// How many hold each line high.
    by: Vec<u32>,
    /// What lines have done since somebody last looked, once somebody watches.
    watched: Option<Vec<(u32, bool)>>,
    /// Whether changes go to the watcher alone.
    is_cut: bool,
    /// Whether the controller is told of none, while it and the devices take over what they were.
    is_quiet: bool,
}

/// As long as there is one, the controller is told of no line. Then it is told of those that are low: it may have been saved while
/// something held one that is not there any more, or does not hold it.
pub(crate) struct Quiet(Interrupts);

/// One device's end of a line, low at first. A line that is dropped is let go.
pub struct Line {
    gsi: u32,
    level: bool,
    lines: Interrupts,
}

impl Interrupts {
    /// A device's end of the line of this number.
    pub fn line(&self, gsi: u32) -> Line {
        Line { gsi, level: false, lines: self.clone() }
    }

    /// Lets the lines end at a controller: the first that is given.
    pub fn connect(&self, controller: Arc<dyn Controller>) {
        controller.tell_ends(Ends(Arc::downgrade(&self.0)));
        let _ = self.0.controller.set(controller);
    }

    /// Has an eventfd raise a line: by the accel if it can, and otherwise while the machine runs, from its next run on.
    pub fn attach(&self, trigger: Trigger) -> Result<(), AccelError> {
        let controller = self.0.controller.get();
        let is_looked_after = controller.map_or(Ok(false), |controller| controller.attach(&trigger))?;
        if !is_looked_after {
            self.0.triggers().push(Attached { trigger: Arc::new(trigger), holds: false });
        }
        Ok(())
    }

    /// The eventfds that nobody else looks after.
    pub(crate) fn triggers(&self) -> Vec<Arc<Trigger>> {
        self.0.triggers().iter().map(|attached| Arc::clone(&attached.trigger)).collect()
    }

    /// An eventfd has been written to.
    pub(crate) fn pull(&self, pulled: &Arc<Trigger>) {
        let mut triggers = self.0.triggers();
        let Some(attached) = triggers.iter_mut().find(|attached| Arc::ptr_eq(&attached.trigger, pulled))
        else {
            return;
        };
        if pulled.fd.read().is_err() || attached.holds {
            return;
        }
        attached.holds = pulled.resample.is_some();
        let holds = attached.holds;
        drop(triggers);
        self.0.hold(pulled.gsi, true);
        if !holds {
            self.0.hold(pulled.gsi, false);
        }
    }

    /// Has no controller told of lines while states are taken over, which have the levels of both ends. Eventfds let go of theirs
    /// first, and whoever waits for that looks anew.
    pub(crate) fn quiet(&self) -> Quiet {
        self.lock().is_quiet = true;
        let held: Vec<u32> =
            self.0.triggers().iter().filter(|attached| attached.holds).map(|held| held.trigger.gsi).collect();
        held.into_iter().for_each(|gsi| self.0.ended(gsi));
        Quiet(self.clone())
    }

    /// Writes a message for a device.
    pub fn message(&self, address: u64, data: u32) {
        if let Some(controller) = self.0.controller.get() {
            controller.message(address, data);
        }
    }

    /// Keeps what lines do from now on for [`Interrupts::seen`], and keeps it from the controller as well if `cut`.
    pub fn watch(&self, cut: bool) {
        let mut held = self.lock();
        held.watched.get_or_insert_default();
        held.is_cut |= cut;
    }

    /// What lines have done since the last time: which, and whether it went high.
    pub fn seen(&self) -> Vec<(u32, bool)> {
        self.lock().watched.as_mut().map(std::mem::take).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.lock()
    }
}

impl Inner {
    fn hold(&self, gsi: u32, level: bool) {
        let mut held = self.lock();
        let index = usize::try_from(gsi).unwrap_or(usize::MAX);
        if index >= MOST {
            return;
        }
        if held.by.len() <= index {
            held.by.resize(index + 1, 0);
        }
        let before = held.by[index];
        held.by[index] = if level { before.saturating_add(1) } else { before.saturating_sub(1) };
        if (before > 0) == (held.by[index] > 0) {
            return;
        }
        if let Some(watched) = &mut held.watched
            && watched.len() < MOST_SEEN
        {
            watched.push((gsi, level));
        }
        // The lock is kept, so that a controller sees the changes of a line in their order.
        if !held.is_cut
            && !held.is_quiet
            && let Some(controller) = self.controller.get()
        {
            controller.set(gsi, level);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The guest has ended an interrupt of this line: eventfds let go of it, and say so.
    pub(super) fn ended(&self, gsi: u32) {
        let mut ended = Vec::new();
        for attached in self.triggers().iter_mut() {
            if attached.trigger.gsi == gsi && std::mem::take(&mut attached.holds) {
                ended.push(Arc::clone(&attached.trigger));
            }
        }
        for trigger in ended {
            self.hold(gsi, false);
            if let Some(resample) = &trigger.resample {
                // The counter of an eventfd that nobody reads can be full: it is rung already then.
                let _ = resample.write(1);
            }
        }
    }

    fn triggers(&self) -> MutexGuard<'_, Vec<Attached>> {
        self.triggers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let mut held = self.0.lock();
        held.is_quiet = false;
        let Some(controller) = self.0.0.controller.get().filter(|_| !held.is_cut) else { return };
        let is_low = |gsi: &u32| {
            usize::try_from(*gsi).is_ok_and(|index| held.by.get(index).is_none_or(|count| *count == 0))
        };
        (0..GSIS).filter(is_low).for_each(|gsi| controller.set(gsi, false));
    }
}

/// More lines than KVM can route.
const MOST: usize = 4096;
/// A watcher that never looks does not cost more than this.
const MOST_SEEN: usize = 0x1_0000;

impl Line {
    /// Holds the line high or lets it go.
    pub fn set(&mut self, level: bool) {
        if std::mem::replace(&mut self.level, level) != level {
            self.lines.0.hold(self.gsi, level);
        }
    }

    /// Whether this end holds the line high.
    pub fn is_high(&self) -> bool {
        self.level
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.set(false);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

    use super::{Controller, GSIS, Interrupts};
    use crate::irq::Trigger;

    /// Keeps what it is told.
    #[derive(Default)]
    struct Told(Mutex<Vec<(u32, bool)>>);

    impl Controller for Told {
        fn set(&self, gsi: u32, level: bool) {
            self.0.lock().unwrap().push((gsi, level));
        }

        fn message(&self, _: u64, _: u32) {}
    }

    #[test]
    fn a_controller_that_takes_its_state_over_is_told_of_what_is_low_behind_that() {
        let (lines, told) = (Interrupts::default(), Arc::new(Told::default()));
        lines.connect(Arc::clone(&told) as _);
        let eventfd = || EventFd::new(EFD_NONBLOCK).unwrap();
        let (fd, resample) = (eventfd(), eventfd());
        let rung = resample.try_clone().unwrap();
        fd.write(1).unwrap();
        lines.attach(Trigger { gsi: 6, fd, resample: Some(resample) }).unwrap();
        lines.pull(&lines.triggers()[0]);
        let mut line = lines.line(4);
        assert_eq!(std::mem::take(&mut *told.0.lock().unwrap()), [(6, true)]);
        let quiet = lines.quiet();
        line.set(true);
        assert_eq!(*told.0.lock().unwrap(), []);
        drop(quiet);
        let low: Vec<_> = (0..GSIS).filter(|gsi| *gsi != 4).map(|gsi| (gsi, false)).collect();
        assert_eq!(*told.0.lock().unwrap(), low);
        assert_eq!(rung.read().unwrap(), 1, "whoever held it looks anew");
    }

    #[test]
    fn a_shared_line_is_high_as_long_as_one_holds_it() {
        let lines = Interrupts::default();
        lines.watch(false);
        let (mut one, mut other) = (lines.line(4), lines.line(4));
        one.set(true);
        one.set(true);
        other.set(true);
        one.set(false);
        assert_eq!(lines.seen(), [(4, true)]);
        drop(other);
        assert_eq!(lines.seen(), [(4, false)]);
    }
}
