//! A drive at a channel, of either kind, and how data moves: ATA/ATAPI-4 (T13/1153D), 9 "Protocol".

use std::io;

use serde::{Deserialize, Serialize};

use super::disk::{self, Geometry};
use super::packet;
use super::task::{ABORTED, BUSY, DATA, ERROR, LINEAR, READY, SEEK_COMPLETE, Task};
use crate::{Media, disk::Drives};

/// A drive, or the place of one: what is in it is looked up each time that it is asked.
pub(super) struct Drive {
    pub(super) number: usize,
    pub(super) state: State,
    drives: Drives,
}

/// What is in a drive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Medium {
    is_disc: bool,
    sectors: u64,
    is_read_only: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    pub(super) task: Task,
    pub(super) phase: Phase,
    /// What moves, and how far it has.
    pub(super) buffer: Vec<u8>,
    pub(super) moved: u32,
    /// Where the part that moves at once ends.
    pub(super) end: u32,
    /// The next sector or block, and how many there are still.
    pub(super) sector: u64,
    pub(super) left: u32,
    pub(super) is_extended: bool,
    pub(super) geometry: Geometry,
    /// How many sectors move at once by the commands for several, none until it is said; and how many do by this command.
    pub(super) several: u8,
    pub(super) at_once: u8,
    /// Whether geometry and `several` stay over a reset by the host.
    pub(super) keeps: bool,
    /// How many bytes a host takes at once of what answers a packet.
    pub(super) limit: u32,
    /// What a host is told that asks why a packet failed: key and code.
    pub(super) sense: (u8, u8),
    /// Whether it asks for an interrupt.
    pub(super) asks: bool,
}

/// What moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Phase {
    /// Nothing.
    Idle,
    /// Bytes to the host, and that is all.
    In,
    /// A sector to the host, of several.
    InOfSectors,
    /// A sector from the host, of several.
    OutOfSectors,
    /// A packet from the host.
    OutOfPacket,
    /// What answers a packet, to the host.
    InOfPacket,
}

/// No more is held at once.
pub(super) const MOST: usize = 0x1_0000;

impl State {
    fn new() -> Self {
        Self {
            task: Task::default(),
            phase: Phase::Idle,
            buffer: Vec::new(),
            moved: 0,
            end: 0,
            sector: 0,
            left: 0,
            is_extended: false,
            geometry: Geometry::OWN,
            several: 0,
            at_once: 1,
            keeps: false,
            limit: 0,
            sense: (0, 0),
            asks: false,
        }
    }

    /// Whether a drive can be in this state.
    pub(super) fn is_possible(&self) -> bool {
        let length = u32::try_from(self.buffer.len()).unwrap_or(u32::MAX);
        let is_whole = [self.moved, self.end, length].iter().all(|at| at % 2 == 0);
        let geometry = self.geometry.heads > 0 && self.geometry.sectors > 0;
        let several = self.several <= disk::MOST_SEVERAL && (1..=disk::MOST_SEVERAL).contains(&self.at_once);
        several
            && self.buffer.len() <= MOST
            && self.moved <= self.end
            && self.end <= length
            && is_whole
            && geometry
    }
}

impl Drive {
    pub(super) fn new(number: usize, drives: Drives) -> Self {
        let mut drive = Self { number, state: State::new(), drives };
        drive.reset();
        drive
    }

    pub(super) fn media(&self) -> Option<Media> {
        self.drives.get(self.number)
    }

    /// What is known of that from outside.
    pub(super) fn medium(&self) -> Option<Medium> {
        let (is_disc, disk) = match self.media()? {
            Media::Disk(disk) => (false, disk),
            Media::Cdrom(disc) => (true, disc),
        };
        Some(Medium { is_disc, sectors: disk.sectors(), is_read_only: disk.is_read_only() })
    }

    pub(super) fn flush(&self) -> io::Result<()> {
        match self.media() {
            Some(Media::Disk(disk)) => disk.flush(),
            _ => Ok(()),
        }
    }

    /// Makes it as it is after power-up or a reset: 9.1, with the code of a diagnosis that found nothing.
    pub(super) fn reset(&mut self) {
        self.state = State::new();
        self.sign();
    }

    /// The same for the reset by the control register, over which settings may be kept: 8.37.
    pub(super) fn reset_by_host(&mut self) {
        let State { geometry, several, .. } = self.state;
        let keeps = self.state.keeps;
        self.reset();
        if keeps {
            self.state = State { geometry, several, keeps, ..self.state.clone() };
        }
    }

    /// Stands as after a reset, without one.
    fn sign(&mut self) {
        let takes_packets = matches!(self.media(), Some(Media::Cdrom(_)));
        let task = &mut self.state.task;
        task.sign(takes_packets);
        task.error = 1;
        // A drive with packets is not ready for the commands of a disk.
        task.status = if takes_packets { 0 } else { READY | SEEK_COMPLETE };
        (self.state.phase, self.state.asks) = (Phase::Idle, false);
        self.state.buffer.clear();
        (self.state.moved, self.state.end) = (0, 0);
    }

    /// Takes a command.
    pub(super) fn command(&mut self, command: u8) {
        const DEVICE_RESET: u8 = 0x08;
        let Some(media) = self.media() else { return };
        if command != DEVICE_RESET && self.state.task.status & BUSY != 0 {
            return;
        }
        let state = &mut self.state;
        (state.asks, state.phase, state.task.error) = (false, Phase::Idle, 0);
        state.buffer.clear();
        (state.moved, state.end) = (0, 0);
        match media {
            Media::Cdrom(_) if command == DEVICE_RESET => self.sign(),
            Media::Cdrom(disc) => packet::command(self, &disc, command),
            Media::Disk(disk) => disk::command(self, &disk, command),
        }
    }

    /// Does a command that both kinds of drives have, or says that there is no such command.
    pub(super) fn command_of_both(&mut self, command: u8) {
        const DIAGNOSE: u8 = 0x90;
        const SET_FEATURES: u8 = 0xef;
        match command {
            DIAGNOSE => {
                self.sign();
                // The first drive answers for both: 8.9.
                self.state.task.device = 0;
                self.state.asks = self.number.is_multiple_of(2);
            }
            SET_FEATURES => self.set_feature(),
            // Power management: it is always awake, and says so.
            0xe0..=0xe3 | 0xe6 => self.done(),
            0xe5 => {
                self.state.task.count.set(0xff);
                self.done();
            }
            _ => self.fail(ABORTED),
        }
    }

    /// 8.37 "SET FEATURES": transfers can be in any PIO mode, and the others cannot be had.
    fn set_feature(&mut self) {
        const TRANSFER_MODE: u8 = 0x03;
        let mode = self.state.task.count.now;
        match self.state.task.features {
            TRANSFER_MODE if mode <= 1 || (0x08..=0x0c).contains(&mode) => self.done(),
            // To keep settings over a reset, or not.
            feature @ (0x66 | 0xcc) => {
                self.state.keeps = feature == 0x66;
                self.done();
            }
            _ => self.fail(ABORTED),
        }
    }

    /// Has bytes for the host.
    pub(super) fn offer(&mut self, bytes: Vec<u8>, phase: Phase) {
        let end = u32::try_from(bytes.len()).unwrap_or(0);
        let state = &mut self.state;
        (state.buffer, state.moved, state.end, state.phase) = (bytes, 0, end, phase);
        state.task.status = READY | SEEK_COMPLETE | DATA;
        state.asks = true;
    }

    /// Wants bytes of the host.
    pub(super) fn expect(&mut self, length: usize, phase: Phase) {
        self.offer(vec![0; length], phase);
        self.state.asks = false;
    }

    /// Has done the command.
    pub(super) fn done(&mut self) {
        self.end_quietly();
        self.state.asks = true;
    }

    /// The same, but that the host is not told.
    pub(super) fn end_quietly(&mut self) {
        let state = &mut self.state;
        state.task.status = READY | SEEK_COMPLETE;
        state.phase = Phase::Idle;
        state.buffer.clear();
        (state.moved, state.end) = (0, 0);
    }

    /// Has not done it.
    pub(super) fn fail(&mut self, error: u8) {
        self.done();
        self.state.task.error = error;
        self.state.task.status |= ERROR;
    }

    /// So many sectors have been moved.
    pub(super) fn moved(&mut self, count: u32) {
        let last = self.state.sector.saturating_add(u64::from(count).saturating_sub(1));
        self.say_last(last, self.state.is_extended);
        let state = &mut self.state;
        state.sector = state.sector.saturating_add(count.into());
        state.left = state.left.saturating_sub(count);
        state.task.count.now = u8::try_from(state.left & 0xff).unwrap_or(0);
    }

    /// Says which sector was the last, as the host has said which was the first.
    pub(super) fn say_last(&mut self, sector: u64, is_extended: bool) {
        let State { task, geometry, .. } = &mut self.state;
        if is_extended || task.device & LINEAR != 0 {
            task.set_linear(sector, is_extended);
        } else {
            let (cylinder, head, number) = geometry.place(sector);
            task.set_place(cylinder, head, number);
        }
    }

    /// The host takes two bytes.
    pub(super) fn take(&mut self) -> [u8; 2] {
        if !matches!(self.state.phase, Phase::In | Phase::InOfSectors | Phase::InOfPacket) {
            return [0xff; 2];
        }
        let at = usize::try_from(self.state.moved).unwrap_or(usize::MAX);
        let word = self.state.buffer.get(at..).and_then(|rest| rest.first_chunk()).copied();
        self.go_on();
        word.unwrap_or([0xff; 2])
    }

    /// The host gives two bytes.
    pub(super) fn give(&mut self, word: [u8; 2]) {
        if !matches!(self.state.phase, Phase::OutOfSectors | Phase::OutOfPacket) {
            return;
        }
        let at = usize::try_from(self.state.moved).unwrap_or(usize::MAX);
        if let Some(place) = self.state.buffer.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
            *place = word;
        }
        self.go_on();
    }

    /// Two bytes have moved: at the end of what moves at once, something happens.
    fn go_on(&mut self) {
        self.state.moved = self.state.moved.saturating_add(2);
        if self.state.moved < self.state.end {
            return;
        }
        let (phase, media) = (self.state.phase, self.media());
        match (phase, media) {
            (Phase::InOfSectors, Some(Media::Disk(disk))) => disk::read_on(self, &disk),
            (Phase::OutOfSectors, Some(Media::Disk(disk))) => disk::write_on(self, &disk),
            (Phase::OutOfPacket, Some(Media::Cdrom(disc))) => packet::obey(self, &disc),
            (Phase::InOfPacket, Some(Media::Cdrom(disc))) => packet::answer_on(self, &disc),
            _ => self.end_quietly(),
        }
    }
}
