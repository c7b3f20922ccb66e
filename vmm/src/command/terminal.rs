//! The terminal while a machine has it, and what is told there.

use std::fmt::{self, Write as _};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::saving::Asked;

/// A terminal that hands on every byte as it is typed; it is as before when this is gone.
pub(super) struct Raw(Termios);

impl Raw {
    /// Makes the terminal of standard input so.
    pub(super) fn enter() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        // What is written still begins at the left edge.
        raw.output_modes = before.output_modes;
        tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        Ok(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // The terminal may be gone.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

/// Finds Ctrl-A X, which ends the machine, and Ctrl-A S, which has it saved; Ctrl-A twice types one.
#[derive(Debug, Default)]
pub(super) struct Escape {
    is_begun: bool,
    asked: Arc<Asked>,
}

const CTRL_A: u8 = 1;

impl Escape {
    /// One that says here what is asked for.
    pub(super) fn saying(asked: Arc<Asked>) -> Self {
        Self { is_begun: false, asked }
    }

    /// Takes out of `bytes` what is for this program: whether the machine is to stop, for good or to be saved.
    pub(super) fn filter(&mut self, bytes: &mut Vec<u8>) -> bool {
        let mut stops = false;
        bytes.retain(|byte| {
            let was_begun = std::mem::take(&mut self.is_begun);
            match (was_begun, *byte) {
                (false, CTRL_A) => {
                    self.is_begun = true;
                    false
                }
                (true, b'x' | b'X') => {
                    stops = true;
                    self.asked.ends.store(true, Ordering::Relaxed);
                    false
                }
                (true, b's' | b'S') => {
                    stops = true;
                    self.asked.saves.store(true, Ordering::Relaxed);
                    false
                }
                _ => true,
            }
        });
        stops
    }
}

/// Writes each ioctl of the accel to standard error from now on.
pub(super) fn trace_ioctls() {
    // A second subscriber is refused, and the first stays.
    let _ = tracing::subscriber::set_global_default(Ioctls);
}

struct Ioctls;

impl Subscriber for Ioctls {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("vmm::accel")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        eprintln!("{}: {}", line.call, line.result);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Line {
    call: String,
    result: String,
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "call" {
            value.clone_into(&mut self.call);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            // A string takes everything.
            let _ = write!(self.result, "{value:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::Ordering;

    use super::{Asked, Escape};

    #[test]
    fn ctrl_a_x_ends_it_and_ctrl_a_twice_is_typed_once() {
        let mut escape = Escape::default();
        let mut bytes = b"ab\x01".to_vec();
        assert!(!escape.filter(&mut bytes));
        assert_eq!(bytes, b"ab");
        let mut bytes = b"\x01c\x01X".to_vec();
        assert!(escape.filter(&mut bytes));
        assert_eq!(bytes, b"\x01c");
    }

    #[test]
    fn ctrl_a_s_stops_it_to_be_saved_and_what_is_behind_it_is_kept() {
        let asked = Arc::new(Asked::default());
        let mut escape = Escape::saying(Arc::clone(&asked));
        let mut bytes = b"a\x01sb".to_vec();
        assert!(escape.filter(&mut bytes));
        assert_eq!(bytes, b"ab");
        assert!(asked.saves.load(Ordering::Relaxed) && !asked.ends.load(Ordering::Relaxed));
        assert!(escape.filter(&mut b"\x01x".to_vec()));
        assert!(asked.saves.load(Ordering::Relaxed) && asked.ends.load(Ordering::Relaxed));
    }
}
