//! What each request does.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::Session;
use super::words::{Words, bytes_of_hex, hex_of_bytes};
use crate::Space;

/// What a request is answered with, or why it is not obeyed.
type Answer = Result<Option<String>, String>;

/// How much is read or written at once at most.
const MOST: u64 = 1 << 23;

/// The one object whose lines can be watched and driven: its pins are the machine's lines.
const CONTROLLER: &str = "ioapic";

impl Session<'_> {
    pub(super) fn obey(&mut self, line: &str) -> Answer {
        let mut words = Words::of(line);
        let command = words.next().unwrap_or_default();
        match command {
            "outb" => self.write(Space::Ports, 1, words),
            "outw" => self.write(Space::Ports, 2, words),
            "outl" => self.write(Space::Ports, 4, words),
            "inb" => self.read(Space::Ports, 1, words),
            "inw" => self.read(Space::Ports, 2, words),
            "inl" => self.read(Space::Ports, 4, words),
            "writeb" => self.write(Space::Memory, 1, words),
            "writew" => self.write(Space::Memory, 2, words),
            "writel" => self.write(Space::Memory, 4, words),
            "writeq" => self.write(Space::Memory, 8, words),
            "readb" => self.read(Space::Memory, 1, words),
            "readw" => self.read(Space::Memory, 2, words),
            "readl" => self.read(Space::Memory, 4, words),
            "readq" => self.read(Space::Memory, 8, words),
            "read" => Ok(Some(format!("0x{}", hex_of_bytes(&self.read_block(words)?)))),
            "b64read" => Ok(Some(BASE64.encode(self.read_block(words)?))),
            "write" | "b64write" | "memset" => self.write_block(command, words),
            "clock_step" | "clock_set" => self.pass(command, words),
            "irq_intercept_in" => self.intercept(words, true),
            "irq_intercept_out" => Err("Unknown device".to_owned()),
            "set_irq_in" => self.drive(words),
            "endianness" => Ok(Some("little".to_owned())),
            _ => Err(format!("Unknown command '{command}'")),
        }
    }

    fn write(&self, space: Space, width: usize, mut words: Words<'_>) -> Answer {
        let (address, value) = (words.number()?, words.number()?);
        words.end()?;
        self.machine.bus().write(space, address, &value.to_le_bytes()[..width]);
        Ok(None)
    }

    fn read(&self, space: Space, width: usize, mut words: Words<'_>) -> Answer {
        let address = words.number()?;
        words.end()?;
        let mut data = [0; 8];
        self.machine.bus().read(space, address, &mut data[..width]);
        let value = u64::from_le_bytes(data);
        Ok(Some(match space {
            Space::Ports => format!("0x{value:04x}"),
            Space::Memory | Space::Configuration => format!("0x{value:016x}"),
        }))
    }

    fn read_block(&self, mut words: Words<'_>) -> Result<Vec<u8>, String> {
        let (address, size) = (words.number()?, words.number()?);
        words.end()?;
        let mut data = vec![0; size_of(size)?];
        self.machine.bus().read(Space::Memory, address, &mut data);
        Ok(data)
    }

    fn write_block(&self, command: &str, mut words: Words<'_>) -> Answer {
        let address = words.number()?;
        let size = size_of(words.number()?)?;
        let mut data = match command {
            "memset" => vec![words.number()?.to_le_bytes()[0]; size],
            "write" => bytes_of_hex(words.word()?)?,
            _ => BASE64.decode(words.word()?).map_err(|error| error.to_string())?,
        };
        words.end()?;
        // What is not given is zero, as with QEMU.
        data.resize(size, 0);
        self.machine.bus().write(Space::Memory, address, &data);
        Ok(None)
    }

    /// Lets time pass: to the next alarm, by so much, or up to a time. Whatever is due on the way happens at its time.
    fn pass(&self, command: &str, mut words: Words<'_>) -> Answer {
        let clock = self.machine.clock();
        let alarm = || {
            clock.clear_alarm();
            self.machine.bus().poll();
            clock.alarm()
        };
        let until = match (command, words.next()) {
            ("clock_step", None) => alarm().unwrap_or(clock.now()),
            ("clock_step", Some(word)) => clock.now().saturating_add(super::words::number(word)?),
            (_, Some(word)) => super::words::number(word)?,
            (_, None) => return Err("it takes a time".to_owned()),
        };
        words.end()?;
        // What is not later than now has been dealt with.
        while let Some(due) = alarm().filter(|due| (clock.now() + 1..=until).contains(due)) {
            if clock.set(due) != due {
                return Err("this machine's time passes by itself".to_owned());
            }
        }
        let now = clock.set(until);
        self.machine.bus().poll();
        Ok(Some(now.to_string()))
    }

    fn intercept(&self, mut words: Words<'_>, cut: bool) -> Answer {
        if words.word()? != CONTROLLER {
            return Err("Unknown device".to_owned());
        }
        words.end()?;
        self.machine.wires().interrupts.watch(cut);
        Ok(None)
    }

    fn drive(&mut self, mut words: Words<'_>) -> Answer {
        let (device, _) = (words.word()?, words.word()?);
        let (gsi, level) = (words.number()?, words.number()?);
        words.end()?;
        if device != CONTROLLER {
            return Err("Unknown device".to_owned());
        }
        let gsi = u32::try_from(gsi).ok().filter(|gsi| *gsi < crate::irq::GSIS);
        let gsi = gsi.ok_or("it has no such line")?;
        let interrupts = &self.machine.wires().interrupts;
        self.lines.entry(gsi).or_insert_with(|| interrupts.line(gsi)).set(level != 0);
        Ok(None)
    }
}

fn size_of(size: u64) -> Result<usize, String> {
    let size = usize::try_from(size).ok().filter(|_| size <= MOST);
    size.ok_or_else(|| format!("at most {MOST} bytes at once"))
}
