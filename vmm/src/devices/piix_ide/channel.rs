//! A channel: two drives at one cable, of which the host talks to one: ATA/ATAPI-4 (T13/1153D), 7 and 9.16 "Single device
//! configurations".

use std::io;

use serde::{Deserialize, Serialize};

use super::drive::{Drive, Medium, State};
use super::task::SECOND;
use crate::Access;
use crate::disk::Drives;
use crate::irq::Line;

/// A channel.
pub(super) struct Channel {
    drives: [Drive; 2],
    is_second: bool,
    control: u8,
    line: Line,
}

/// All of a channel, to be saved.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChannelState {
    media: [Option<Medium>; 2],
    drives: [State; 2],
    is_second: bool,
    control: u8,
}

/// Of the control register: no interrupts, a reset, and the bytes before the last ones are read.
const NO_INTERRUPTS: u8 = 1 << 1;
const RESET: u8 = 1 << 2;
const BEFORE: u8 = 1 << 7;
const KEPT: u8 = NO_INTERRUPTS | RESET | BEFORE;

const DEVICE: u64 = 6;
const COMMAND: u64 = 7;
const DIAGNOSE: u8 = 0x90;
/// What a cable reads as that nobody is at: one line is pulled down, so that nobody is busy.
const NOBODY: u8 = 0x7f;

impl ChannelState {
    pub(super) fn is_possible(&self) -> bool {
        self.control & !KEPT == 0 && self.drives.iter().all(State::is_possible)
    }
}

impl Channel {
    pub(super) fn new(number: usize, drives: Drives, line: Line) -> Self {
        let drive = |second: usize| Drive::new(2 * number + second, drives.clone());
        Self { drives: [drive(0), drive(1)], is_second: false, control: 0, line }
    }

    /// The drive that the host talks to, if it is there.
    fn chosen(&mut self) -> Option<&mut Drive> {
        Some(&mut self.drives[usize::from(self.is_second)]).filter(|drive| drive.media().is_some())
    }

    /// Whether anybody is at the cable.
    fn is_used(&self) -> bool {
        self.drives.iter().any(|drive| drive.media().is_some())
    }

    /// The status, which does not count as having been seen.
    pub(super) fn status(&mut self) -> u8 {
        if self.control & RESET != 0 && self.is_used() {
            return super::task::BUSY;
        }
        let is_used = self.is_used();
        // A drive that is alone answers for the other: that this has nothing to say.
        self.chosen().map_or(if is_used { 0 } else { NOBODY }, |drive| drive.state.task.status)
    }

    pub(super) fn read(&mut self, offset: u64, data: &mut [u8]) -> Access {
        match (offset, data) {
            (0, [_]) => return Access::BadWidth,
            (0, data) => {
                for word in data.chunks_mut(2) {
                    let taken = self.chosen().map_or([0xff; 2], Drive::take);
                    word.copy_from_slice(&taken[..word.len()]);
                }
            }
            (_, data) => {
                for (register, byte) in (offset..).zip(data) {
                    *byte = self.read_register(register);
                }
            }
        }
        self.settle();
        Access::Done
    }

    fn read_register(&mut self, register: u64) -> u8 {
        let (is_used, before) = (self.is_used(), self.control & BEFORE != 0);
        if register == COMMAND {
            let status = self.status();
            // The host has seen it now.
            self.chosen().into_iter().for_each(|drive| drive.state.asks = false);
            return status;
        }
        match self.chosen() {
            Some(drive) => drive.state.task.read(register, before),
            None => {
                if is_used {
                    0
                } else {
                    NOBODY
                }
            }
        }
    }

    pub(super) fn write(&mut self, offset: u64, data: &[u8]) -> Access {
        match (offset, data) {
            (0, [_]) => return Access::BadWidth,
            (0, data) => {
                for word in data.chunks_exact(2) {
                    self.chosen().into_iter().for_each(|drive| drive.give([word[0], word[1]]));
                }
            }
            (_, data) => {
                for (register, byte) in (offset..).zip(data) {
                    self.write_register(register, *byte);
                }
            }
        }
        self.settle();
        Access::Done
    }

    fn write_register(&mut self, register: u64, byte: u8) {
        if self.control & RESET != 0 {
            return;
        }
        // What is written to the registers again is read as it is, and both drives take it: one will be chosen later.
        self.control &= !BEFORE;
        match register {
            COMMAND => {
                if byte == DIAGNOSE {
                    self.is_second = false;
                }
                // A command takes the interrupt of the one before back, so that its own is another edge: 7.15.
                self.chosen().into_iter().for_each(|drive| drive.state.asks = false);
                self.settle();
                if byte == DIAGNOSE {
                    self.drives.iter_mut().for_each(|drive| drive.command(byte));
                } else {
                    self.chosen().into_iter().for_each(|drive| drive.command(byte));
                }
            }
            register => {
                if register == DEVICE {
                    self.is_second = byte & SECOND != 0;
                }
                self.drives.iter_mut().for_each(|drive| drive.state.task.write(register, byte));
            }
        }
    }

    /// Writes the control register: 7.9. The drives are reset for as long as the bit is set.
    pub(super) fn control(&mut self, byte: u8) {
        let begins = byte & !self.control & RESET != 0;
        self.control = byte & KEPT;
        if begins {
            self.drives.iter_mut().for_each(Drive::reset_by_host);
            self.is_second = false;
        }
        self.settle();
    }

    /// Has the line as the drive that is chosen asks.
    fn settle(&mut self) {
        let is_enabled = self.control & (NO_INTERRUPTS | RESET) == 0;
        let asks = self.chosen().is_some_and(|drive| drive.state.asks);
        self.line.set(is_enabled && asks);
    }

    pub(super) fn reset(&mut self) {
        self.drives.iter_mut().for_each(Drive::reset);
        (self.is_second, self.control) = (false, 0);
        self.settle();
    }

    pub(super) fn state(&self) -> ChannelState {
        let [first, second] = &self.drives;
        let drives = [first.state.clone(), second.state.clone()];
        ChannelState { media: self.media(), drives, is_second: self.is_second, control: self.control }
    }

    fn media(&self) -> [Option<Medium>; 2] {
        self.drives.each_ref().map(Drive::medium)
    }

    /// Whether a state is of the disks that are here.
    pub(super) fn has_disks_of(&self, state: &ChannelState) -> bool {
        self.media() == state.media
    }

    pub(super) fn flush(&self) -> io::Result<()> {
        self.drives.iter().try_for_each(Drive::flush)
    }

    pub(super) fn load(&mut self, state: ChannelState) {
        for (drive, state) in self.drives.iter_mut().zip(state.drives) {
            drive.state = state;
        }
        (self.is_second, self.control) = (state.is_second, state.control);
        self.settle();
    }
}
