//! The network card, with one pair of queues: virtio 1.2, 5.1 "Network device".

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Broken, Model, Rings};
use crate::clock::Clock;
use crate::{Link, Nic};

crate::virtio!("virtio-net", "a network card", |wires| {
    Box::new(Net { nic: wires.nics.take(), clock: wires.clock.clone(), state: State::default() })
});

const NETWORK: u32 = 1;
const MAC: u64 = 1 << 5;
const STATUS: u64 = 1 << 16;
/// Of the status: 5.1.4.
const LINK_UP: u16 = 1;
const RECEIVE: usize = 0;
const TRANSMIT: usize = 1;

/// What is before each frame: 5.1.6. Nothing in it means anything where no work is left to the device or to the driver, but how many
/// buffers the frame is in, which is always one.
const HEADER: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0];
/// How many frames are looked at in one go, even if none is for the driver.
const AT_ONCE: usize = 256;

struct Net {
    nic: Nic,
    clock: Clock,
    state: State,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    /// Whether the driver was last told that the link is up.
    is_up: bool,
}

impl Default for State {
    /// What a driver believes that is told nothing.
    fn default() -> Self {
        Self { is_up: true }
    }
}

impl Net {
    /// Hands the driver what has come; with no buffer left, the rest waits where it is until there is another.
    fn receive(&self, rings: &mut Rings<'_>) -> Result<(), Broken> {
        for _ in 0..AT_ONCE {
            let Some(frame) = self.nic.link.frame() else { return Ok(()) };
            let Some(room) = rings.peek(RECEIVE)? else { return Ok(()) };
            let length = HEADER.len() as u64;
            if room.readable() > 0 || room.writable() < length {
                return Err(Broken::Form);
            }
            self.nic.link.taken();
            // What the buffer has no room for is lost.
            if room.writable() - length >= frame.len() as u64
                && let Some(chain) = rings.next(RECEIVE)?
            {
                chain.write(0, &HEADER)?;
                chain.write(length, &frame)?;
                let written = u32::try_from(HEADER.len() + frame.len()).unwrap_or(u32::MAX);
                rings.give_back(RECEIVE, &chain, written)?;
            }
        }
        self.wake();
        Ok(())
    }

    /// Sends what the driver has, as long as the link takes it.
    fn transmit(&self, rings: &mut Rings<'_>) -> Result<(), Broken> {
        while self.nic.link.is_clear() {
            let Some(chain) = rings.next(TRANSMIT)? else { break };
            let length = chain.readable().checked_sub(HEADER.len() as u64);
            let length = length.filter(|_| chain.writable() == 0).ok_or(Broken::Form)?;
            // What is no frame is lost.
            if let Some(length) = usize::try_from(length).ok().filter(|length| Link::LENGTHS.contains(length))
            {
                let mut frame = vec![0; length];
                chain.read(HEADER.len() as u64, &mut frame)?;
                self.nic.link.send(&frame);
            }
            rings.give_back(TRANSMIT, &chain, 0)?;
        }
        Ok(())
    }

    /// Tells the driver if the link has come to its end.
    fn tell(&mut self, rings: &mut Rings<'_>) {
        let is_up = self.nic.link.is_up();
        if self.state.is_up != is_up {
            self.state.is_up = is_up;
            rings.configuration_changed();
        }
    }

    /// Has the main loop look at what the link waits for.
    fn wake(&self) {
        self.clock.wake_at(self.clock.now().saturating_add(1));
    }
}

impl Model for Net {
    fn id(&self) -> u32 {
        NETWORK
    }

    fn features(&self) -> u64 {
        MAC | STATUS
    }

    fn queues(&self) -> &'static [u16] {
        &[256, 256]
    }

    /// Its address, and its status.
    fn configuration(&self) -> Vec<u8> {
        let status = if self.nic.link.is_up() { LINK_UP } else { 0 };
        [&self.nic.mac.0[..], &status.to_le_bytes()].concat()
    }

    /// The link comes and goes.
    fn identity(&self) -> Vec<u8> {
        self.nic.mac.0.to_vec()
    }

    fn start(&mut self, _features: u64) {
        self.wake();
    }

    fn work(&mut self, queue: usize, rings: &mut Rings<'_>) -> Result<(), Broken> {
        let waited = self.nic.link.waits().map(|(_, waits)| waits);
        match queue {
            RECEIVE => self.receive(rings)?,
            TRANSMIT => self.transmit(rings)?,
            _ => {}
        }
        self.tell(rings);
        // The main loop, which polls, may be asleep and know nothing of it.
        if self.nic.link.waits().map(|(_, waits)| waits) != waited {
            self.wake();
        }
        Ok(())
    }

    fn poll(&mut self, rings: &mut Rings<'_>) -> Result<(), Broken> {
        self.receive(rings)?;
        self.transmit(rings)?;
        self.tell(rings);
        Ok(())
    }

    fn reset(&mut self) {
        self.state = State::default();
    }

    fn state(&self) -> Result<Value, serde_json::Error> {
        serde_json::to_value(&self.state)
    }

    fn load(&mut self, state: Value) -> Result<(), serde_json::Error> {
        self.state = serde_json::from_value(state)?;
        Ok(())
    }
}
