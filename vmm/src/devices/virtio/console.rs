//! The console device with its first port alone: virtio 1.2, 5.3 "Console device".

use super::{Broken, Model, Rings};
use crate::Console as Text;

crate::virtio!("virtio-console", "a console of the guest", |wires| {
    Box::new(Console { text: wires.hvc.clone() })
});

const CONSOLE: u32 = 3;
/// The queues of the first port: what the guest receives, and what it transmits.
const RECEIVE: usize = 0;
const TRANSMIT: usize = 1;
/// How much of a chain is taken: there is no more room in a console that nobody reads, and who watches is not kept waiting.
const MOST: u64 = Text::ROOM as u64;

/// A driver sees nothing of it but its queues.
struct Console {
    text: Text,
}

impl Console {
    fn transmit(&self, rings: &mut Rings<'_>) -> Result<(), Broken> {
        while let Some(chain) = rings.next(TRANSMIT)? {
            let length = usize::try_from(chain.readable().min(MOST)).unwrap_or(0);
            let mut bytes = vec![0; length];
            chain.read(0, &mut bytes)?;
            bytes.into_iter().for_each(|byte| self.text.put(byte));
            rings.give_back(TRANSMIT, &chain, 0)?;
        }
        Ok(())
    }

    fn receive(&self, rings: &mut Rings<'_>) -> Result<(), Broken> {
        while self.text.has_typed() {
            let Some(chain) = rings.next(RECEIVE)? else { break };
            let mut written: u32 = 0;
            while u64::from(written) < chain.writable().min(MOST) {
                let Some(byte) = self.text.typed() else { break };
                chain.write(written.into(), &[byte])?;
                written += 1;
            }
            rings.give_back(RECEIVE, &chain, written)?;
        }
        Ok(())
    }
}

impl Model for Console {
    fn id(&self) -> u32 {
        CONSOLE
    }

    fn queues(&self) -> &'static [u16] {
        &[64, 64]
    }

    fn work(&mut self, queue: usize, rings: &mut Rings<'_>) -> Result<(), Broken> {
        match queue {
            RECEIVE => self.receive(rings),
            TRANSMIT => self.transmit(rings),
            _ => Ok(()),
        }
    }

    fn poll(&mut self, rings: &mut Rings<'_>) -> Result<(), Broken> {
        self.receive(rings)
    }
}
