//! Random bytes: the only place where devices get any from.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::rand::{GetRandomFlags, getrandom};

use crate::clock::Clock;

/// Where random bytes come from: the host's own, or where time is stepped the same ones each time. Clones are the same source.
#[derive(Clone, Debug)]
pub struct Entropy(Source);

#[derive(Clone, Debug)]
enum Source {
    Host,
    Sequence(Arc<AtomicU64>),
}

impl Entropy {
    /// That of a machine with this clock.
    pub(crate) fn of(clock: &Clock) -> Self {
        Self(if clock.is_stepped() { Source::Sequence(Arc::default()) } else { Source::Host })
    }

    /// Fills `bytes`.
    pub fn fill(&self, bytes: &mut [u8]) {
        match &self.0 {
            Source::Host => {
                let mut rest = bytes;
                while !rest.is_empty() {
                    match getrandom(&mut *rest, GetRandomFlags::empty()) {
                        Ok(count) => rest = &mut rest[count..],
                        Err(rustix::io::Errno::INTR) => {}
                        // A kernel that has none to give leaves what it was given.
                        Err(_) => return,
                    }
                }
            }
            Source::Sequence(state) => bytes.chunks_mut(8).for_each(|chunk| {
                // SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators".
                let state = state.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
                let mut word = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
                word ^= word >> 31;
                chunk.copy_from_slice(&word.to_le_bytes()[..chunk.len()]);
            }),
        }
    }
}
