//! The memory balloon: virtio 1.2, 5.5 "Traditional memory balloon device".

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Broken, Chain, Model, Rings};
use crate::{Balloon as Host, Ram};

crate::virtio!("virtio-balloon", "gives memory of the guest back to the host", |wires| {
    Box::new(Balloon { host: wires.balloon.clone(), ram: wires.ram.clone(), state: State::default() })
});

const BALLOON: u32 = 5;
const STATS_VQ: u64 = 1 << 1;
const INFLATE: usize = 0;
const DEFLATE: usize = 1;
const STATISTICS: usize = 2;
/// Where the configuration has the number of pages that the guest does without, behind how many the host wants.
const ACTUAL: usize = 4;

/// How many pages of a chain are given back, and how many statistics are heard: more of either stay as they are.
const PAGES: u64 = 1024;
const TAGS: u64 = 32;
/// What each takes in a buffer: 5.5.6, 5.5.6.3.
const PAGE_NUMBER: usize = 4;
const STATISTIC: usize = 10;

struct Balloon {
    host: Host,
    ram: Ram,
    state: State,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    /// How many pages the host wants, as of when this was saved.
    target: u32,
    /// How many the driver was last told that it wants.
    told: u32,
    /// How many the driver says that it does without.
    actual: u32,
}

impl Balloon {
    /// Takes the pages that a chain names from the guest.
    fn inflate(&self, chain: &Chain) -> Result<(), Broken> {
        let numbers = entries::<PAGE_NUMBER>(chain, PAGES)?;
        // All are read before the first is gone, which may be the one that they are in.
        for number in numbers.into_iter().map(u32::from_le_bytes) {
            self.ram.forget(u64::from(number) * Host::PAGE).map_err(|_| Broken::Buffer)?;
        }
        Ok(())
    }

    /// Hears the statistics, whose buffer is kept until newer ones are wanted.
    fn hear(&self, rings: &mut Rings<'_>) -> Result<(), Broken> {
        let Some(chain) = rings.peek(STATISTICS)? else { return Ok(()) };
        let statistics = entries::<STATISTIC>(&chain, TAGS)?
            .into_iter()
            .map(|[a, b, value @ ..]| (u16::from_le_bytes([a, b]), u64::from_le_bytes(value)));
        self.host.tell(statistics.collect());
        Ok(())
    }

    fn say(&mut self, actual: u32) {
        self.state.actual = actual;
        self.host.say(actual);
    }
}

/// What a chain that is only read consists of: so many entries at most, each of so many bytes.
fn entries<const LENGTH: usize>(chain: &Chain, most: u64) -> Result<Vec<[u8; LENGTH]>, Broken> {
    if chain.writable() > 0 {
        return Err(Broken::Form);
    }
    let count = (chain.readable() / LENGTH as u64).min(most);
    let mut bytes = vec![0; usize::try_from(count).unwrap_or(0) * LENGTH];
    chain.read(0, &mut bytes)?;
    Ok(bytes.as_chunks().0.to_vec())
}

impl Model for Balloon {
    fn id(&self) -> u32 {
        BALLOON
    }

    fn features(&self) -> u64 {
        STATS_VQ
    }

    fn queues(&self) -> &'static [u16] {
        &[128, 128, 16]
    }

    /// How many pages the host wants, and how many it has.
    fn configuration(&self) -> Vec<u8> {
        [self.host.target(), self.state.actual].map(u32::to_le_bytes).concat()
    }

    /// What the host wants changes, and so does what it has.
    fn identity(&self) -> Vec<u8> {
        Vec::new()
    }

    fn configure(&mut self, offset: usize, data: &[u8]) {
        let mut actual = self.state.actual.to_le_bytes();
        for (at, byte) in (offset..).zip(data) {
            let place = at.checked_sub(ACTUAL).and_then(|at| actual.get_mut(at));
            place.into_iter().for_each(|place| *place = *byte);
        }
        self.say(u32::from_le_bytes(actual));
    }

    fn work(&mut self, queue: usize, rings: &mut Rings<'_>) -> Result<(), Broken> {
        if queue == STATISTICS {
            return self.hear(rings);
        }
        while let Some(chain) = rings.next(queue)? {
            match queue {
                INFLATE => self.inflate(&chain)?,
                // A page that is used again is there again.
                DEFLATE => {}
                _ => return Ok(()),
            }
            rings.give_back(queue, &chain, 0)?;
        }
        Ok(())
    }

    fn poll(&mut self, rings: &mut Rings<'_>) -> Result<(), Broken> {
        let target = self.host.target();
        if self.state.told != target {
            self.state.told = target;
            rings.configuration_changed();
        }
        if self.host.is_asked()
            && let Some(chain) = rings.next(STATISTICS)?
        {
            self.host.has_asked();
            // That there is no other has to be known before the driver has this one back, to hear of it when it comes.
            rings.peek(STATISTICS)?;
            rings.give_back(STATISTICS, &chain, 0)?;
        }
        Ok(())
    }

    /// What the host wants stays.
    fn reset(&mut self) {
        self.state = State::default();
        self.say(0);
    }

    fn state(&self) -> Result<Value, serde_json::Error> {
        serde_json::to_value(State { target: self.host.target(), ..self.state.clone() })
    }

    fn load(&mut self, state: Value) -> Result<(), serde_json::Error> {
        self.state = serde_json::from_value(state)?;
        self.host.aim_at(self.state.target);
        self.say(self.state.actual);
        Ok(())
    }
}
