//! What comes out of a machine's serial lines, line by line.

use std::io::{BufRead, BufReader, Read};
use std::sync::mpsc::Sender;
use std::thread;

use super::channel::Word;
use super::session::Event;

/// The longest line that is taken from a serial line, in bytes.
const LINE: u64 = 1 << 20;

/// A line of the channel.
pub(super) fn said(line: String) -> Event {
    match Word::read(&line) {
        Ok(word) => Event::Said(word),
        Err(line) => Event::Garbled(line),
    }
}

/// Hands on line by line what comes out of a serial line, until it ends or nobody listens any more.
pub(super) fn listen(from: impl Read + Send + 'static, to: Sender<Event>, event: fn(String) -> Event) {
    thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while let Ok(1..) = from.by_ref().take(LINE).read_until(b'\n', &mut line) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            line.clear();
            if !text.is_empty() && to.send(event(text)).is_err() {
                break;
            }
        }
    });
}
