//! QEMU's text protocol by which tests drive a machine without any guest code: QEMU, `docs/devel/testing/qtest.rst`.

mod command;
mod words;

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};

use crate::irq::Line;
use crate::{End, Machine};

/// A conversation with whoever drives a machine.
pub struct Session<'m> {
    machine: &'m Machine,
    /// The lines that the other side holds.
    lines: BTreeMap<u32, Line>,
}

/// The longest line that is taken: the data of a `write` of 8 MiB, in two digits a byte, and the words before them.
const LONGEST: u64 = (1 << 24) + 64;

impl<'m> Session<'m> {
    /// A conversation about this machine.
    pub fn new(machine: &'m Machine) -> Self {
        Self { machine, lines: BTreeMap::new() }
    }

    /// Answers every line of `input`, until it ends or the machine does.
    pub fn serve(&mut self, mut input: impl BufRead, mut output: impl Write) -> io::Result<End> {
        loop {
            let mut line = Vec::new();
            let mut limited = io::Read::take(&mut input, LONGEST);
            if limited.read_until(b'\n', &mut line)? == 0 {
                return Ok(End::Stopped);
            }
            let answer = self.answer(String::from_utf8_lossy(&line).trim_end());
            output.write_all(answer.as_bytes())?;
            output.flush()?;
            match self.machine.wires().power.take() {
                None => {}
                Some(End::Reset) => self.machine.bus().reset(),
                Some(end) => return Ok(end),
            }
        }
    }

    /// The answer to one line: what lines have done meanwhile, and then the reply.
    pub fn answer(&mut self, line: &str) -> String {
        let reply = match self.obey(line) {
            Ok(None) => "OK\n".to_owned(),
            Ok(Some(value)) => format!("OK {value}\n"),
            Err(why) => format!("FAIL {why}\n"),
        };
        let seen = self.machine.wires().interrupts.seen();
        let told = seen.iter().map(|(gsi, level)| {
            let change = if *level { "raise" } else { "lower" };
            format!("IRQ {change} {gsi}\n")
        });
        told.chain([reply]).collect()
    }
}
