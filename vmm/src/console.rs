//! The text that a guest writes, kept until somebody takes it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// The text that a guest writes, kept until somebody takes it. Of a guest that writes more than [`Console::ROOM`] bytes, the oldest
/// are lost. Clones are the same console.
#[derive(Clone, Debug, Default)]
pub struct Console(Arc<Mutex<VecDeque<u8>>>);

impl Console {
    /// How many bytes are kept.
    pub const ROOM: usize = 0x1_0000;

    /// Adds a byte.
    pub fn put(&self, byte: u8) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == Self::ROOM {
            kept.pop_front();
        }
        kept.push_back(byte);
    }

    /// Takes what has been written since the last time.
    pub fn take(&self) -> Vec<u8> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.drain(..).collect()
    }
}
