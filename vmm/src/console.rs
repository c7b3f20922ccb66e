//! Text between a guest and whoever watches it.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Text between a guest and whoever watches it: what the guest writes is kept until somebody takes it, unless it goes elsewhere;
/// what is typed is kept until the guest reads it. Of more than [`Console::ROOM`] bytes the oldest are lost. Clones are the same
/// console.
#[derive(Clone, Default)]
pub struct Console(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    written: VecDeque<u8>,
    typed: VecDeque<u8>,
    elsewhere: Option<Box<dyn Write + Send>>,
}

impl Console {
    /// How many bytes are kept.
    pub const ROOM: usize = 0x1_0000;

    /// Adds a byte that the guest writes.
    pub fn put(&self, byte: u8) {
        let mut inner = self.lock();
        match &mut inner.elsewhere {
            None => keep(&mut inner.written, byte),
            // Nobody is there to be told where the text cannot go, and the guest goes on without.
            Some(elsewhere) => drop(elsewhere.write_all(&[byte]).and_then(|()| elsewhere.flush())),
        }
    }

    /// Takes what has been written since the last time.
    pub fn take(&self) -> Vec<u8> {
        self.lock().written.drain(..).collect()
    }

    /// Lets what is written from now on go elsewhere at once.
    pub fn send_to(&self, elsewhere: Box<dyn Write + Send>) {
        self.lock().elsewhere = Some(elsewhere);
    }

    /// Types.
    pub fn type_in(&self, bytes: &[u8]) {
        let mut inner = self.lock();
        bytes.iter().for_each(|byte| keep(&mut inner.typed, *byte));
    }

    /// How many more bytes can be typed before the oldest are lost.
    pub(crate) fn room(&self) -> usize {
        Self::ROOM.saturating_sub(self.lock().typed.len())
    }

    /// The next byte that was typed.
    pub fn typed(&self) -> Option<u8> {
        self.lock().typed.pop_front()
    }

    /// Whether there is another byte that was typed.
    pub fn has_typed(&self) -> bool {
        !self.lock().typed.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Console {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Console").field("written", &self.lock().written.len()).finish_non_exhaustive()
    }
}

fn keep(kept: &mut VecDeque<u8>, byte: u8) {
    if kept.len() == Console::ROOM {
        kept.pop_front();
    }
    kept.push_back(byte);
}
