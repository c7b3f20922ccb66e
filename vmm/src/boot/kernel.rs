//! Which way of booting a kernel's file asks for.

use std::fs;
use std::io;
use std::path::Path;

use thiserror::Error;

use super::{elf, multiboot};
use crate::accel::CpuError;
use crate::{Machine, MachineError, MemoryError};

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

/// Puts a kernel into memory and the first processor at its beginning.
pub fn load(machine: &mut Machine, boot: &Boot) -> Result<(), BootError> {
    if boot.kernel.contents.is_empty() {
        return Err(boot.kernel.refused("it is empty"));
    }
    match multiboot::Header::find(&boot.kernel.contents) {
        Some(header) => multiboot::load(machine, boot, &header),
        None => elf::boot(machine, boot),
    }
}
