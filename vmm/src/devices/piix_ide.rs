//! The IDE function of the PIIX3: Intel 82371SB data sheet (290550), 2.3 "IDE interface registers", with two channels of two drives
//! each, without bus mastering. What drives do is in the files below.

mod channel;
mod disk;
mod drive;
mod identity;
mod packet;
mod task;

use std::io;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::pci::{Configuration, Identity, Layout, command};
use crate::{Access, DECODED, Device, Region, Shows, Window};
use channel::{Channel, ChannelState};

crate::device!("piix-ide", "disks and CD-ROMs at ports 0x1f0 and 0x170", [Region::function(1, 1)], |wires| {
    let channel = |number: usize, gsi| Channel::new(number, wires.drives.clone(), wires.interrupts.line(gsi));
    Box::new(PiixIde {
        configuration: Configuration::new(layout()),
        channels: [channel(0, 14), channel(1, 15)],
    })
});

/// The regions: the configuration space, and of each channel its registers and the one by which it is controlled.
const COMMANDS: usize = 1;
const CONTROLS: usize = 3;
const PLACES: [(u16, u16); 2] = [(0x1f0, 0x3f6), (0x170, 0x376)];

/// IDETIM of both channels, and in the upper half of each that its ports are decoded.
const TIMING: usize = 0x40;
const IS_DECODED: u8 = 1 << 7;

struct PiixIde {
    configuration: Configuration,
    channels: [Channel; 2],
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    configuration: Vec<u8>,
    channels: [ChannelState; 2],
}

fn layout() -> Layout {
    let identity = Identity {
        vendor: 0x8086,
        device: 0x7010,
        revision: 0,
        // In its compatible mode, without bus mastering.
        class: 0x01_01_00,
        subsystem: (0x1af4, 0x1100),
    };
    Layout::new(identity, command::PORTS | command::MASTER)
        .fixed(0x06, &[0x80, 0x02])
        .writable(0x0d, &[0xf0])
        .writable(TIMING, &[0xff, 0xf3, 0xff, 0xf3, 0xff])
}

impl PiixIde {
    fn channel(&mut self, region: usize) -> Option<(&mut Channel, bool)> {
        let is_control = region >= CONTROLS;
        let number = region.checked_sub(if is_control { CONTROLS } else { COMMANDS })?;
        self.channels.get_mut(number).map(|channel| (channel, is_control))
    }
}

impl Device for PiixIde {
    fn read(&mut self, region: usize, offset: u64, data: &mut [u8]) -> Access {
        if region == 0 {
            return self.configuration.read(offset, data);
        }
        let Some((channel, is_control)) = self.channel(region) else { return Access::NoRegister };
        if is_control {
            data.fill(channel.status());
            return Access::Done;
        }
        channel.read(offset, data)
    }

    fn write(&mut self, region: usize, offset: u64, data: &[u8]) -> Access {
        if region == 0 {
            return self.configuration.write(offset, data);
        }
        let Some((channel, is_control)) = self.channel(region) else { return Access::NoRegister };
        match data {
            &[byte] if is_control => channel.control(byte),
            _ if is_control => return Access::BadWidth,
            _ => return channel.write(offset, data),
        }
        Access::Done
    }

    fn windows(&self) -> Vec<Window> {
        let answers = self.configuration.command() & command::PORTS != 0;
        let is_decoded =
            |number: &usize| answers && self.configuration.byte(TIMING + 2 * number + 1) & IS_DECODED != 0;
        let window = |region: Region, number: usize| Window {
            region,
            shows: Shows::Own { region: number, offset: 0 },
            priority: DECODED,
        };
        let windows = (0..PLACES.len()).filter(is_decoded).flat_map(|number| {
            let (commands, control) = PLACES[number];
            let commands = window(Region::ports(commands, commands + 7), COMMANDS + number);
            [commands, window(Region::ports(control, control), CONTROLS + number)]
        });
        windows.collect()
    }

    fn reset(&mut self) {
        self.configuration.reset();
        self.channels.iter_mut().for_each(Channel::reset);
    }

    fn flush(&self) -> io::Result<()> {
        self.channels.iter().try_for_each(Channel::flush)
    }

    fn state(&self) -> Result<Value, serde_json::Error> {
        let [first, second] = &self.channels;
        let channels = [first.state(), second.state()];
        serde_json::to_value(State { configuration: self.configuration.bytes(), channels })
    }

    fn load(&mut self, state: Value) -> Result<(), serde_json::Error> {
        let State { configuration, channels } = serde_json::from_value(state)?;
        if !channels.iter().all(ChannelState::is_possible) {
            return Err(serde::de::Error::custom("no drive can be in this state"));
        }
        if !self.channels.iter().zip(&channels).all(|(channel, state)| channel.has_disks_of(state)) {
            return Err(serde::de::Error::custom("other disks are in its drives"));
        }
        self.configuration = self.configuration.with(configuration)?;
        for (channel, state) in self.channels.iter_mut().zip(channels) {
            channel.load(state);
        }
        Ok(())
    }
}
