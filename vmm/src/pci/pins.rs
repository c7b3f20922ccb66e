//! The interrupt pins of functions, and where they lead: PCI 3.0, 2.2.6 "Interrupt pins", which a board connects as it likes. Here the
//! pins of each device are turned by one against those of the device before, so that all four lines are used.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::irq::{Interrupts, Line};

/// The four lines that the pins of all functions share, PIRQA# to PIRQD#. Clones are the same lines.
#[derive(Clone, Default)]
pub struct Pins(Arc<Mutex<Held>>);

#[derive(Default)]
struct Held {
    /// How many functions ask on each.
    asking: [u32; LINES],
    /// The interrupt line that each leads to, if it is connected.
    lines: [Option<(u32, Line)>; LINES],
}

/// How many lines there are.
const LINES: usize = 4;

/// One function's end of a line.
pub struct Pin {
    line: usize,
    asks: bool,
    pins: Pins,
}

impl Pins {
    /// The pin INTA# of a device of this number.
    pub fn first_of(&self, device: u8) -> Pin {
        Pin { line: usize::from(device.wrapping_sub(1)) % LINES, asks: false, pins: self.clone() }
    }

    /// Has each of the four lead to an interrupt line, or nowhere.
    pub fn route(&self, to: [Option<u32>; LINES], interrupts: &Interrupts) {
        let mut held = self.lock();
        let Held { asking, lines } = &mut *held;
        for ((to, asking), line) in to.into_iter().zip(asking).zip(lines) {
            if line.as_ref().map(|(gsi, _)| *gsi) != to {
                *line = to.map(|gsi| (gsi, interrupts.line(gsi)));
            }
            if let Some((_, line)) = line {
                line.set(*asking > 0);
            }
        }
    }

    fn ask(&self, index: usize, asks: bool) {
        let mut held = self.lock();
        let Held { asking, lines } = &mut *held;
        let count = &mut asking[index];
        *count = if asks { count.saturating_add(1) } else { count.saturating_sub(1) };
        if let Some((_, line)) = &mut lines[index] {
            line.set(*count > 0);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pin {
    /// Asks for an interrupt, or no longer.
    pub fn set(&mut self, asks: bool) {
        if std::mem::replace(&mut self.asks, asks) != asks {
            self.pins.ask(self.line, asks);
        }
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.set(false);
    }
}

#[cfg(test)]
mod tests {
    use super::Pins;
    use crate::irq::Interrupts;

    #[test]
    fn a_pin_leads_where_it_is_routed_and_shared_ones_stay_high() {
        let (pins, lines) = (Pins::default(), Interrupts::default());
        lines.watch(true);
        let (mut one, mut other) = (pins.first_of(2), pins.first_of(6));
        one.set(true);
        assert_eq!(lines.seen(), []);
        pins.route([Some(10), Some(11), None, None], &lines);
        assert_eq!(lines.seen(), [(11, true)]);
        other.set(true);
        one.set(false);
        pins.route([Some(10), Some(5), None, None], &lines);
        assert_eq!(lines.seen(), [(11, false), (5, true)]);
        drop(other);
        assert_eq!(lines.seen(), [(5, false)]);
    }
}
