//! One kernel made ready to be booted as often as it takes: its modules, this program, and the command line.

use std::collections::BTreeMap;

use super::bochs::{self, Bochs, BochsError, Program};
use super::cpu::Cpu;
use super::orders::{self, ORDERS, Orders, module_name};
use super::program::{self, ProgramError};
use super::qemu::{self, Image, Qemu, QemuError};
use super::session::{Boot, Emulator};
use super::{Kernel, LabError, firmware, guest, initramfs};

/// What every kernel is told: to say on the first serial line what it has to say, and to end the machine when it panics.
const COMMAND_LINE: &str = "console=ttyS0 panic=-1 quiet";
/// What it is told under Bochs: there the line needs its speed, and the time stamp counter is to be believed.
const UNDER_BOCHS: &str = "console=ttyS0,115200 panic=-1 tsc=reliable quiet";

/// Why a kernel cannot be booted; each completes "cannot …".
#[derive(Debug, thiserror::Error)]
pub(crate) enum BootError {
    /// Something about the kernel or its modules.
    #[error(transparent)]
    Kernel(#[from] LabError),
    /// Something about this program.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// Something about the emulator.
    #[error(transparent)]
    Qemu(#[from] QemuError),
    /// Something about the other emulator.
    #[error(transparent)]
    Bochs(#[from] BochsError),
    /// The orders cannot be written.
    #[error("write the orders of the lab: {0}")]
    Orders(#[from] serde_json::Error),
}

/// A kernel that can be booted.
pub(crate) struct Lab {
    machine: Machine,
    emulator: String,
    files: Vec<(String, u32, Vec<u8>)>,
    /// What a claim needs that boots the kernel once more, as a guest.
    guest: Vec<(String, u32, Vec<u8>)>,
    /// What a claim needs whose machine begins with firmware.
    firmware: Vec<(String, u32, Vec<u8>)>,
    command_line: String,
}

/// What a kernel is booted on.
enum Machine {
    Qemu(Image),
    Bochs { model: &'static str, program: Program },
}

impl Lab {
    /// Makes a kernel ready for a processor: `append` goes to its command line, `parameters` to its modules, by the module's name.
    pub(crate) fn new(
        kernel: &Kernel,
        cpu: Cpu,
        append: &str,
        parameters: &BTreeMap<String, String>,
    ) -> Result<Self, BootError> {
        let emulator = match cpu {
            Cpu::Amd => qemu::version()?,
            Cpu::Bochs { model, .. } => bochs::version(model)?,
        };
        let mut files = vec![("init".to_owned(), 0o755, program::own()?)];
        let modules = kernel.load_order(&[cpu.module()])?;
        let (machine, command_line) = match cpu {
            Cpu::Amd => (Machine::Qemu(Image::of(&kernel.image)?), COMMAND_LINE),
            Cpu::Bochs { model, .. } => {
                (Machine::Bochs { model, program: Program::of(&kernel.image)? }, UNDER_BOCHS)
            }
        };
        let mut command_line = command_line.to_owned();
        for (module, values) in parameters {
            // What is not loaded is built in, and gets its parameters from the kernel's command line.
            if !modules.iter().any(|loaded| module_name(&loaded.name) == *module) {
                for value in values.split_whitespace() {
                    command_line.push_str(&format!(" {module}.{value}"));
                }
            }
        }
        for (index, module) in modules.into_iter().enumerate() {
            files.push((orders::module_path(index, &module.name), 0o644, module.bytes));
        }
        for word in append.split_whitespace() {
            command_line.push_str(&format!(" {word}"));
        }
        let guest = guest::files(kernel)?;
        Ok(Self { machine, emulator, files, guest, firmware: Vec::new(), command_line })
    }

    /// Brings firmware along, for the claims that need it.
    pub(crate) fn bring(&mut self, firmware: Vec<(String, u32, Vec<u8>)>) {
        self.firmware = firmware;
    }

    /// What emulates the machine, by its name and version.
    pub(crate) fn emulator(&self) -> &str {
        &self.emulator
    }
}

impl Boot for Lab {
    fn boot(&self, orders: &Orders) -> Result<Box<dyn Emulator>, BootError> {
        let text = serde_json::to_vec(orders)?;
        let guest = if guest::is_wanted(&orders.claims) { self.guest.as_slice() } else { &[] };
        let firmware = if firmware::is_wanted(&orders.claims) { self.firmware.as_slice() } else { &[] };
        let all = self.files.iter().chain(guest).chain(firmware);
        let mut files: Vec<(&str, u32, &[u8])> =
            all.map(|(path, mode, bytes)| (path.as_str(), *mode, bytes.as_slice())).collect();
        files.push((ORDERS.trim_start_matches('/'), 0o644, &text));
        let initramfs = initramfs(&files)?;
        Ok(match &self.machine {
            Machine::Qemu(image) => Box::new(Qemu::start(image, &initramfs, &self.command_line)?),
            Machine::Bochs { model, program } => {
                Box::new(Bochs::start(model, program, &initramfs, &self.command_line)?)
            }
        })
    }
}
