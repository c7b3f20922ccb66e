//! The entropy device: virtio 1.2, 5.4 "Entropy device".

use super::{Broken, Model, Rings};
use crate::Entropy;

crate::virtio!("virtio-rng", "gives the guest random bytes", |wires| {
    Box::new(Rng { entropy: wires.entropy.clone() })
});

const ENTROPY: u32 = 4;
/// How much is given at once; a driver that gets less than it has room for asks again.
const MOST: u64 = 0x1_0000;

struct Rng {
    entropy: Entropy,
}

impl Model for Rng {
    fn id(&self) -> u32 {
        ENTROPY
    }

    fn queues(&self) -> &'static [u16] {
        &[64]
    }

    fn work(&mut self, queue: usize, rings: &mut Rings<'_>) -> Result<(), Broken> {
        while let Some(chain) = rings.next(queue)? {
            // "The driver MUST NOT place driver-readable buffers into the queue": 5.4.6.1.
            if chain.readable() > 0 {
                return Err(Broken::Form);
            }
            let length = u32::try_from(chain.writable().min(MOST)).unwrap_or(0);
            let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
            self.entropy.fill(&mut bytes);
            chain.write(0, &bytes)?;
            rings.give_back(queue, &chain, length)?;
        }
        Ok(())
    }
}
