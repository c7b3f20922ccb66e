//! The Intel 8042 keyboard controller with a keyboard: IBM PS/2 Technical Reference, "Keyboard and auxiliary device controller" and
//! "Keyboards (101- and 102-key)".

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::irq::Line;
use crate::{Access, Device, End, Power, Region};

crate::device!(
    "i8042",
    "the keyboard controller at ports 0x60 and 0x64, with a keyboard",
    [Region::ports(0x60, 0x60).by(1), Region::ports(0x64, 0x64).by(1)],
    |wires| Box::new(I8042 {
        state: State::default(),
        keyboard: wires.interrupts.line(1),
        mouse: wires.interrupts.line(12),
        power: wires.power.clone()
    })
);

struct I8042 {
    state: State,
    keyboard: Line,
    mouse: Line,
    power: Power,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    /// The command byte, and the RAM behind it.
    ram: Vec<u8>,
    /// What the output buffer holds and what will be there next, each with whether it is the mouse's.
    output: VecDeque<(u8, bool)>,
    /// The command whose parameter comes next.
    command: Option<u8>,
    /// The last byte came by the command port.
    was_command: bool,
    /// The output port: A20, and the lines of the two devices.
    port: u8,
    /// The keyboard's command whose parameter comes next.
    keyboard_command: Option<u8>,
    /// What the keyboard sent last.
    last: u8,
    scans: bool,
    scan_set: u8,
}

impl Default for State {
    fn default() -> Self {
        let mut ram = vec![0; RAM];
        ram[0] = KEYBOARD_INTERRUPT | SYSTEM | TRANSLATES;
        Self {
            ram,
            output: VecDeque::new(),
            command: None,
            was_command: false,
            port: RESET | A20,
            keyboard_command: None,
            last: 0,
            scans: true,
            scan_set: 2,
        }
    }
}

const RAM: usize = 32;
/// What does not fit any more is lost.
const ROOM: usize = 16;
/// Of the command byte.
const KEYBOARD_INTERRUPT: u8 = 0x01;
const MOUSE_INTERRUPT: u8 = 0x02;
const SYSTEM: u8 = 0x04;
const KEYBOARD_OFF: u8 = 0x10;
const MOUSE_OFF: u8 = 0x20;
const TRANSLATES: u8 = 0x40;
/// Of the output port.
const RESET: u8 = 0x01;
const A20: u8 = 0x02;
/// Of the status.
const FULL: u8 = 0x01;
const WAS_COMMAND: u8 = 0x08;
const UNLOCKED: u8 = 0x10;
const IS_MOUSES: u8 = 0x20;
/// The keyboard's answers.
const ACKNOWLEDGE: u8 = 0xfa;
const AGAIN: u8 = 0xfe;

impl State {
    fn status(&self) -> u8 {
        let full =
            self.output.front().map_or(0, |(_, is_mouse)| FULL | if *is_mouse { IS_MOUSES } else { 0 });
        full | self.ram[0] & SYSTEM | UNLOCKED | if self.was_command { WAS_COMMAND } else { 0 }
    }

    fn put(&mut self, byte: u8) {
        self.send(byte, false);
    }

    fn send(&mut self, byte: u8, is_mouse: bool) {
        if self.output.len() < ROOM {
            self.output.push_back((byte, is_mouse));
        }
    }

    /// Takes a command of the controller: whether it resets the machine.
    fn command(&mut self, command: u8) -> bool {
        self.command = None;
        match command {
            0x20..=0x3f => self.put(self.ram[usize::from(command - 0x20)]),
            0x60..=0x7f | 0xd1..=0xd4 => self.command = Some(command),
            0xa7 => self.ram[0] |= MOUSE_OFF,
            0xa8 => self.ram[0] &= !MOUSE_OFF,
            // The lines of both devices are good.
            0xa9 | 0xab => self.put(0),
            0xaa => {
                *self = Self { port: self.port, ..Self::default() };
                self.put(0x55);
            }
            0xad => self.ram[0] |= KEYBOARD_OFF,
            0xae => self.ram[0] &= !KEYBOARD_OFF,
            // The input port: the keyboard is not locked.
            0xc0 => self.put(0x80),
            0xd0 => self.put(self.port),
            // The test inputs, both low.
            0xe0 => self.put(0),
            // Pulses the low four lines of the output port that are zero here: the first resets the processor.
            0xf0..=0xff => return command & RESET == 0,
            _ => {}
        }
        false
    }

    /// Takes a parameter of a command: whether it resets the machine.
    fn parameter(&mut self, command: u8, byte: u8) -> bool {
        match command {
            0x60..=0x7f => self.ram[usize::from(command - 0x60)] = byte,
            0xd1 => {
                self.port = byte;
                return byte & RESET == 0;
            }
            0xd2 => self.put(byte),
            0xd3 => self.send(byte, true),
            // There is no mouse that would answer.
            _ => {}
        }
        false
    }

    /// The keyboard takes a byte.
    fn keyboard(&mut self, byte: u8) {
        self.ram[0] &= !KEYBOARD_OFF;
        if let Some(command) = self.keyboard_command.take() {
            return self.keyboard_parameter(command, byte);
        }
        match byte {
            0xed | 0xf0 | 0xf3 => {
                self.keyboard_command = Some(byte);
                self.answer(ACKNOWLEDGE);
            }
            0xee => self.answer(0xee),
            0xf2 => {
                self.answer(ACKNOWLEDGE);
                self.put(0xab);
                // The identity goes through the translation like any scan code.
                self.put(if self.ram[0] & TRANSLATES != 0 { 0x41 } else { 0x83 });
            }
            0xf4 => self.scan(true),
            0xf5 => self.scan(false),
            0xf6 => self.scan(true),
            0xf7..=0xfd => self.answer(ACKNOWLEDGE),
            0xfe => self.put(self.last),
            0xff => {
                (self.scans, self.scan_set) = (true, 2);
                self.answer(ACKNOWLEDGE);
                self.answer(0xaa);
            }
            _ => self.answer(AGAIN),
        }
    }

    fn keyboard_parameter(&mut self, command: u8, byte: u8) {
        match (command, byte) {
            (0xf0, 0) => {
                self.answer(ACKNOWLEDGE);
                self.put(self.scan_set);
            }
            (0xf0, 1..=3) => {
                self.scan_set = byte;
                self.answer(ACKNOWLEDGE);
            }
            (0xf0, _) => self.answer(AGAIN),
            _ => self.answer(ACKNOWLEDGE),
        }
    }

    fn scan(&mut self, scans: bool) {
        self.scans = scans;
        self.answer(ACKNOWLEDGE);
    }

    fn answer(&mut self, byte: u8) {
        self.last = byte;
        self.put(byte);
    }
}

impl I8042 {
    fn settle(&mut self) {
        let (full, is_mouse) = match self.state.output.front() {
            Some((_, is_mouse)) => (true, *is_mouse),
            None => (false, false),
        };
        let asks = |bit: u8| full && self.state.ram[0] & bit != 0;
        self.keyboard.set(!is_mouse && asks(KEYBOARD_INTERRUPT));
        self.mouse.set(is_mouse && asks(MOUSE_INTERRUPT));
    }
}

impl Device for I8042 {
    fn read(&mut self, region: usize, _: u64, data: &mut [u8]) -> Access {
        let [byte] = data else { return Access::BadWidth };
        *byte = match region {
            0 => {
                let (byte, _) = self.state.output.pop_front().unwrap_or_default();
                // Each byte has an edge of its own.
                self.keyboard.set(false);
                self.mouse.set(false);
                byte
            }
            _ => self.state.status(),
        };
        self.settle();
        Access::Done
    }

    fn write(&mut self, region: usize, _: u64, data: &[u8]) -> Access {
        let [byte] = *data else { return Access::BadWidth };
        self.state.was_command = region == 1;
        let resets = match (region, self.state.command) {
            (1, _) => self.state.command(byte),
            (_, Some(command)) => {
                self.state.command = None;
                self.state.parameter(command, byte)
            }
            (_, None) => {
                self.state.keyboard(byte);
                false
            }
        };
        if resets {
            self.power.ask(End::Reset);
        }
        self.settle();
        Access::Done
    }

    fn reset(&mut self) {
        self.state = State::default();
        self.settle();
    }

    fn state(&self) -> Result<Value, serde_json::Error> {
        serde_json::to_value(&self.state)
    }

    fn load(&mut self, state: Value) -> Result<(), serde_json::Error> {
        let mut loaded: State = serde_json::from_value(state)?;
        if loaded.ram.len() != RAM {
            return Err(serde::de::Error::custom("its RAM has another size"));
        }
        loaded.output.truncate(ROOM);
        self.state = loaded;
        self.settle();
        Ok(())
    }
}
