//! The file: a line of text with the format's version, the state as JSON behind its length, and RAM as runs of pages, each behind its
//! address and length, those left out that hold zeroes alone. All numbers are little-endian; a run of no bytes ends the file.

use std::io::{self, Read, Write};

use thiserror::Error;

use super::State;
use crate::{Machine, MachineError, MemoryError, Ram, StateError};

/// The version that is written, and the only one that is read.
pub const FORMAT: u32 = 2;

/// What the first line begins with; the version and the end of the line follow.
const FIRST: &[u8] = b"Assay snapshot ";
/// The longest version that is looked at: of a file that is none of ours, nothing is read that could be more.
const DIGITS: usize = 10;
/// More than the state of any machine has, and more than each of its vCPUs adds. What is read as JSON takes many times as much memory.
const LONGEST_STATE: u64 = 4 << 20;
const LONGEST_OF_CPU: u64 = 256 << 10;
const PAGE: u64 = 0x1000;
/// How many bytes of RAM are looked at at once.
const AT_ONCE: u64 = 256 * PAGE;

/// Why a machine cannot be saved or restored.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// The file does not begin as one.
    #[error("it is no snapshot")]
    NoSnapshot,
    /// The file was written by another version of this program.
    #[error("it has format {0}, and this program reads {FORMAT} alone")]
    OtherFormat(String),
    /// The file ends too soon.
    #[error("it is cut off")]
    CutOff,
    /// What is in the file makes no sense.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// It is of a machine that is made otherwise.
    #[error("it is of another machine: its {what}: {theirs}; here: {ours}")]
    OtherMachine {
        /// In what they differ.
        what: &'static str,
        /// What the saved one has.
        theirs: String,
        /// What this one has.
        ours: String,
    },
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] io::Error),
    /// A device does not give or take its state.
    #[error("cannot {0}")]
    Device(#[from] StateError),
    /// The accel or a vCPU does not.
    #[error("cannot {0}")]
    Machine(#[from] MachineError),
    /// RAM.
    #[error("cannot {0}")]
    Memory(#[from] MemoryError),
}

impl Machine {
    /// Writes all of it, between two runs: a disk's sectors are where they are, and are not written.
    pub fn save(&self, to: &mut dyn Write) -> Result<(), SnapshotError> {
        self.bus().flush()?;
        let state =
            serde_json::to_vec(&self.state()?).map_err(|error| SnapshotError::Damaged(error.to_string()))?;
        to.write_all(FIRST)?;
        to.write_all(format!("{FORMAT}\n").as_bytes())?;
        to.write_all(&(state.len() as u64).to_le_bytes())?;
        to.write_all(&state)?;
        save_ram(self.ram(), to)?;
        Ok(to.flush()?)
    }

    /// Makes it what was saved, in another process as well: it must have been made with the same options. What is wrong with the
    /// head of the file or its state's form is found before anything is changed; a machine that has been refused later is good for
    /// nothing until it is reset. Nothing may be behind the snapshot.
    pub fn restore(&mut self, from: &mut dyn Read) -> Result<(), SnapshotError> {
        let cpus = self.attentions.len() as u64;
        let state = read_state(from, LONGEST_STATE + cpus * LONGEST_OF_CPU)?;
        self.check_state(&state)?;
        // Page-directory pointers are read from RAM when registers are set.
        restore_ram(self.ram(), from)?;
        if from.read(&mut [0])? > 0 {
            return Err(SnapshotError::Damaged("there is something behind its end".to_owned()));
        }
        self.load_state(state)
    }
}

fn read_state(from: &mut dyn Read, longest: u64) -> Result<State, SnapshotError> {
    let mut first = [0; FIRST.len()];
    read(from, &mut first).map_err(|error| match error {
        SnapshotError::CutOff => SnapshotError::NoSnapshot,
        other => other,
    })?;
    if first != FIRST {
        return Err(SnapshotError::NoSnapshot);
    }
    let format = read_format(from)?;
    if format != FORMAT.to_string() {
        return Err(SnapshotError::OtherFormat(format));
    }
    let length = read_number(from)?;
    if length > longest {
        return Err(SnapshotError::Damaged(format!("its state would have {length} bytes")));
    }
    let mut state = Vec::new();
    from.take(length).read_to_end(&mut state)?;
    if state.len() as u64 != length {
        return Err(SnapshotError::CutOff);
    }
    serde_json::from_slice(&state).map_err(|error| SnapshotError::Damaged(error.to_string()))
}

/// The version, as it is written.
fn read_format(from: &mut dyn Read) -> Result<String, SnapshotError> {
    let mut digits = String::new();
    loop {
        let mut byte = [0];
        read(from, &mut byte)?;
        match byte[0] {
            b'\n' => return Ok(digits),
            digit @ b'0'..=b'9' if digits.len() < DIGITS => digits.push(digit.into()),
            _ => return Err(SnapshotError::NoSnapshot),
        }
    }
}

fn save_ram(ram: &Ram, to: &mut dyn Write) -> Result<(), SnapshotError> {
    let mut bytes = Vec::new();
    for block in ram.blocks() {
        let mut done = 0;
        while done < block.length {
            let length = AT_ONCE.min(block.length - done);
            bytes.resize(size(length), 0);
            ram.read(block.guest_address + done, &mut bytes)?;
            for (first, run) in runs(&bytes) {
                to.write_all(&(block.guest_address + done + first).to_le_bytes())?;
                to.write_all(&(run.len() as u64).to_le_bytes())?;
                to.write_all(run)?;
            }
            done += length;
        }
    }
    Ok(to.write_all(&[0; 16])?)
}

/// The runs of pages that hold something, and how far into `bytes` each begins.
fn runs(bytes: &[u8]) -> Vec<(u64, &[u8])> {
    let pages = bytes.chunks(size(PAGE)).map(|page| !is_blank(page));
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for (number, _) in pages.enumerate().filter(|(_, holds)| *holds) {
        let (first, end) = (number * size(PAGE), (number * size(PAGE) + size(PAGE)).min(bytes.len()));
        match runs.last_mut() {
            Some((_, before)) if *before == first => *before = end,
            _ => runs.push((first, end)),
        }
    }
    runs.into_iter().map(|(first, end)| (first as u64, &bytes[first..end])).collect()
}

/// Compared as a whole: there is much of it.
fn is_blank(bytes: &[u8]) -> bool {
    const BLANK: &[u8] = &[0; 0x1000];
    bytes.chunks(BLANK.len()).all(|part| *part == BLANK[..part.len()])
}

fn restore_ram(ram: &Ram, from: &mut dyn Read) -> Result<(), SnapshotError> {
    let mut bytes = Vec::new();
    let mut blank = Blank { ram, next: 0 };
    loop {
        let (address, length) = (read_number(from)?, read_number(from)?);
        if length == 0 {
            return blank.up_to(u64::MAX);
        }
        if length > AT_ONCE || address < blank.next || !ram.holds(address, length) {
            let why = format!("it has {length:#x} bytes for memory at {address:#x}");
            return Err(SnapshotError::Damaged(why));
        }
        bytes.resize(size(length), 0);
        read(from, &mut bytes)?;
        blank.up_to(address)?;
        ram.write(address, &bytes)?;
        blank.next = address + length;
    }
}

/// Makes what lies between the runs zero, where it is not.
struct Blank<'a> {
    ram: &'a Ram,
    /// What lies below is as it should be.
    next: u64,
}

impl Blank<'_> {
    fn up_to(&mut self, end: u64) -> Result<(), SnapshotError> {
        for block in self.ram.blocks() {
            let (mut at, end) =
                (block.guest_address.max(self.next), (block.guest_address + block.length).min(end));
            let mut bytes = Vec::new();
            while at < end {
                bytes.resize(size(AT_ONCE.min(end - at)), 0);
                self.ram.read(at, &mut bytes)?;
                if !is_blank(&bytes) {
                    bytes.fill(0);
                    self.ram.write(at, &bytes)?;
                }
                at += bytes.len() as u64;
            }
        }
        self.next = self.next.max(end);
        Ok(())
    }
}

fn read_number(from: &mut dyn Read) -> Result<u64, SnapshotError> {
    let mut bytes = [0; 8];
    read(from, &mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

fn read(from: &mut dyn Read, bytes: &mut [u8]) -> Result<(), SnapshotError> {
    from.read_exact(bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => SnapshotError::CutOff,
        _ => SnapshotError::File(error),
    })
}

/// Lengths here are of parts of memory that this process has.
fn size(length: u64) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}
