//! Which way of booting a kernel's file asks for.

use std::fs;
use std::io;
use std::path::Path;
use std::str::FromStr;

use thiserror::Error;

use super::{elf, linux, multiboot, pci};
use crate::accel::CpuError;
use crate::{Machine, MachineError, MemoryError, Ram, mp_table, smbios};

/// A file, with the name that an error gives it.
#[derive(Clone, Debug)]
pub struct File {
    /// What it is called.
    pub name: String,
    /// What is in it.
    pub contents: Vec<u8>,
}

/// What is to be booted.
#[derive(Clone, Debug)]
pub struct Boot {
    /// The kernel.
    pub kernel: File,
    /// A file that the kernel is handed.
    pub initrd: Option<File>,
    /// The kernel's command line.
    pub append: String,
    /// Where a kernel is entered that can be entered at several places.
    pub entry: Entry,
}

/// Where a kernel is entered that can be entered at several places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Entry {
    /// In 64-bit mode if it can be, in protected mode otherwise.
    #[default]
    Best,
    /// In protected mode.
    Protected,
    /// In 64-bit mode.
    Long,
}

impl FromStr for Entry {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "32" => Ok(Self::Protected),
            "64" => Ok(Self::Long),
            _ => Err(format!("a kernel has no entry of \"{text}\" bits: there is 32, 64")),
        }
    }
}

/// Why a kernel cannot be booted.
#[derive(Debug, Error)]
pub enum BootError {
    /// A file cannot be read.
    #[error("read {name}: {source}")]
    Read {
        /// Which.
        name: String,
        /// What the host says.
        source: io::Error,
    },
    /// It is no kernel, or none that can be booted here.
    #[error("boot {name}: {why}")]
    Kernel {
        /// Which.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// It does not fit into memory.
    #[error("load {name}: cannot {source}")]
    Memory {
        /// Which.
        name: String,
        /// What is wrong.
        source: MemoryError,
    },
    /// There is no processor for it.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// The processor does not take the state that the kernel expects.
    #[error("set the processor up: cannot {0}")]
    Cpu(#[from] CpuError),
}

impl File {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, BootError> {
        let name = path.display().to_string();
        match fs::read(path) {
            Ok(contents) => Ok(Self { name, contents }),
            Err(source) => Err(BootError::Read { name, source }),
        }
    }

    /// Why it cannot be booted.
    pub(super) fn refused(&self, why: impl Into<String>) -> BootError {
        BootError::Kernel { name: self.name.clone(), why: why.into() }
    }

    /// Why it does not fit.
    pub(super) fn does_not_fit(&self) -> impl Fn(MemoryError) -> BootError {
        let name = self.name.clone();
        move |source| BootError::Memory { name: name.clone(), source }
    }
}

/// Where the command line of a Linux kernel is put.
pub(super) const COMMAND_LINE: u64 = 0x2_0000;
const PAGE: u64 = 0x1000;

impl Boot {
    /// Writes the command line, which may have so many bytes.
    pub(super) fn write_command_line(&self, ram: &Ram, most: usize) -> Result<(), BootError> {
        let length = self.append.len();
        if length > most.min(0xffff) {
            let why = format!("its command line may have {most} bytes, and the one given has {length}");
            return Err(self.kernel.refused(why));
        }
        let line = [self.append.as_bytes(), b"\0"].concat();
        ram.write(COMMAND_LINE, &line).map_err(self.kernel.does_not_fit())
    }
}

/// Puts the initial RAM disk, if there is one, as high as it may be, behind where the kernel ends, in memory below 4 GiB whose last
/// address is `last`. Where it begins, and its length.
pub(super) fn place_initrd(
    ram: &Ram,
    boot: &Boot,
    kernel_end: u64,
    last: u64,
) -> Result<Option<(u64, u64)>, BootError> {
    let Some(initrd) = &boot.initrd else { return Ok(None) };
    if initrd.contents.is_empty() {
        return Err(initrd.refused("it is empty"));
    }
    let length = initrd.contents.len() as u64;
    let end = ram.size().min(Ram::HOLE).min(last.saturating_add(1));
    let first = end.checked_sub(length).map_or(0, |first| first / PAGE * PAGE);
    if first < kernel_end {
        let left = end.saturating_sub(kernel_end);
        return Err(initrd.refused(format!("it has {length} bytes, and the kernel leaves {left} of memory")));
    }
    ram.write(first, &initrd.contents).map_err(initrd.does_not_fit())?;
    Ok(Some((first, length)))
}

/// Puts a kernel and what firmware would leave for it into memory, and the first processor at its beginning.
pub fn load(machine: &mut Machine, boot: &Boot) -> Result<(), BootError> {
    if boot.kernel.contents.is_empty() {
        return Err(boot.kernel.refused("it is empty"));
    }
    pci::settle(machine)?;
    if let Some(tables) = machine.acpi() {
        let (ram, described) = (machine.ram(), tables.described());
        for (name, written) in [
            ("the ACPI tables", tables.write(ram)),
            ("the MP table", mp_table::write(described, ram)),
            ("the SMBIOS tables", smbios::write(described, ram)),
        ] {
            written.map_err(|source| BootError::Memory { name: name.to_owned(), source })?;
        }
    }
    if let Some(header) = linux::Header::find(&boot.kernel) {
        return linux::boot(machine, boot, header);
    }
    match multiboot::Header::find(&boot.kernel.contents) {
        Some(header) => multiboot::load(machine, boot, &header),
        None => elf::boot(machine, boot),
    }
}
