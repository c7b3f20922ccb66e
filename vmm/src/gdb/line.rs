//! The line to a debugger: what it says while the machine runs stops it, and is heard then.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use gdbstub::conn::{Connection, ConnectionExt};

use super::place::{Place, PlaceError};
use crate::{Console, Input, Stop};

/// Lets debuggers in, one after the other.
pub struct Line {
    came: Receiver<OwnedFd>,
}

impl Line {
    /// Has a debugger that comes in stop the machine.
    pub fn open(place: &Place, stop: Stop) -> Result<Self, PlaceError> {
        let door = place.open()?;
        let (tell, came) = channel();
        thread::spawn(move || {
            while let Ok(stream) = door.wait() {
                if tell.send(stream).is_err() {
                    break;
                }
                stop.stop();
            }
        });
        Ok(Self { came })
    }

    /// Who has come in, if anybody has.
    pub fn came(&self) -> Option<OwnedFd> {
        self.came.try_recv().ok()
    }

    /// Waits for somebody.
    pub fn wait(&self) -> Option<OwnedFd> {
        self.came.recv().ok()
    }
}

/// A debugger that has come in.
pub(super) struct Talk {
    stream: OwnedFd,
    heard: Heard,
    said: Vec<u8>,
}

/// What it said while the machine ran. Clones are the same.
#[derive(Clone, Default)]
struct Heard {
    bytes: Arc<Mutex<VecDeque<u8>>>,
    is_over: Arc<AtomicBool>,
}

impl Heard {
    fn lock(&self) -> MutexGuard<'_, VecDeque<u8>> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Talk {
    pub(super) fn new(stream: OwnedFd) -> Self {
        Self { stream, heard: Heard::default(), said: Vec::new() }
    }

    /// What the machine is to listen to while it runs.
    pub(super) fn input(&self) -> io::Result<Input> {
        let heard = self.heard.clone();
        let filter = Box::new(move |bytes: &mut Vec<u8>| {
            heard.lock().extend(bytes.drain(..));
            !heard.is_over.load(Ordering::Relaxed)
        });
        Ok(Input { from: self.stream.try_clone()?, to: Console::default(), filter })
    }

    /// What it has said while the machine ran.
    pub(super) fn heard(&self) -> Option<u8> {
        self.heard.lock().pop_front()
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        self.heard.is_over.store(true, Ordering::Relaxed);
    }
}

impl Connection for Talk {
    type Error = io::Error;

    fn write(&mut self, byte: u8) -> io::Result<()> {
        self.said.push(byte);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut rest = &self.said[..];
        while !rest.is_empty() {
            match rustix::io::write(&self.stream, rest) {
                Ok(length) => rest = &rest[length..],
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.said.clear();
        Ok(())
    }
}

impl ConnectionExt for Talk {
    fn read(&mut self) -> io::Result<u8> {
        if let Some(byte) = self.heard() {
            return Ok(byte);
        }
        let mut bytes = [0; 512];
        loop {
            match rustix::io::read(&self.stream, &mut bytes) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(length) => {
                    self.heard.lock().extend(&bytes[1..length]);
                    return Ok(bytes[0]);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn peek(&mut self) -> io::Result<Option<u8>> {
        Ok(self.heard.lock().front().copied())
    }
}
