//! One thing that a run makes visible: an access that leaves the guest, or that it stops.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One thing that a run makes visible.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Event {
    /// The guest writes to a port: once, or several times in one string instruction.
    Out {
        /// The port.
        port: u16,
        /// The width of one access, in bytes.
        size: u8,
        /// What is written, one access after the other.
        data: Vec<u8>,
    },
    /// The guest reads a port: once, or several times in one string instruction.
    In {
        /// The port.
        port: u16,
        /// The width of one access, in bytes.
        size: u8,
        /// What it is given, one access after the other.
        data: Vec<u8>,
    },
    /// The guest writes to an address without RAM.
    MmioWrite {
        /// The guest-physical address.
        address: u64,
        /// What is written.
        data: Vec<u8>,
    },
    /// The guest reads an address without RAM.
    MmioRead {
        /// The guest-physical address.
        address: u64,
        /// What it is given.
        data: Vec<u8>,
    },
    /// The guest halts.
    Halt,
    /// Any other exit, by the kernel's name and with what it carries.
    Exit(String),
}

impl Event {
    /// One write to a port, as wide as the data.
    pub fn out(port: u16, data: impl Into<Vec<u8>>) -> Self {
        let data = data.into();
        Self::Out { port, size: width(&data), data }
    }

    /// One read of a port, as wide as the data.
    pub fn read(port: u16, data: impl Into<Vec<u8>>) -> Self {
        let data = data.into();
        Self::In { port, size: width(&data), data }
    }

    /// One write to an address without RAM.
    pub fn mmio_write(address: u64, data: impl Into<Vec<u8>>) -> Self {
        Self::MmioWrite { address, data: data.into() }
    }

    /// One read of an address without RAM.
    pub fn mmio_read(address: u64, data: impl Into<Vec<u8>>) -> Self {
        Self::MmioRead { address, data: data.into() }
    }

    /// What the host gives, if the guest reads.
    pub fn reply(&self) -> Option<&[u8]> {
        match self {
            Self::In { data, .. } | Self::MmioRead { data, .. } => Some(data),
            _ => None,
        }
    }
}

fn width(data: &[u8]) -> u8 {
    u8::try_from(data.len()).unwrap_or(u8::MAX)
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Out { port, size, data } => write!(f, "OUT {port:#x} <- {}", Values(data, *size)),
            Self::In { port, size, data } => write!(f, "IN {port:#x} -> {}", Values(data, *size)),
            Self::MmioWrite { address, data } => write!(f, "MMIO {address:#x} <- {}", Value(data)),
            Self::MmioRead { address, data } => write!(f, "MMIO {address:#x} -> {}", Value(data)),
            Self::Halt => f.write_str("HLT"),
            Self::Exit(exit) => f.write_str(exit),
        }
    }
}

/// Little-endian values of so many bytes each.
struct Values<'a>(&'a [u8], u8);

impl fmt::Display for Values<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, data) in self.0.chunks(usize::from(self.1).max(1)).enumerate() {
            write!(f, "{}{}", if index == 0 { "" } else { ", " }, Value(data))?;
        }
        Ok(())
    }
}

/// One little-endian value, with as many digits as it has.
struct Value<'a>(&'a [u8]);

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        self.0.iter().rev().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
