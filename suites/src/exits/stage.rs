//! Where claims on exits are tried: a VM that the claim has set up, one vCPU, and code that was assembled for a mode.

use std::ops::Range;
use std::sync::Arc;

use guests::iced_x86::code_asm::CodeAssembler;
use guests::iced_x86::{Decoder, DecoderOptions, IcedError};
use guests::tables::{Gate, Idt};
use guests::{Image, Mode, Registers, code};
use harness::kvm::{
    Argument, Descriptor, EINTR, Errno, Exit, Guarded, KVM_RUN, KVM_SET_SIGNAL_MASK, Kvm, Memory, RunPage,
    Vcpu, Vm, abi,
};
use harness::signal::Pending;
use harness::{HostFault, Outcome, Stop, entry, equal, fails, holds};

use crate::vcpu::pages::{PAGE, PIO};

/// Where in the mapping port data lies.
pub(crate) const DATA: u64 = (PIO * PAGE) as u64;
/// The port by which a guest says that it is at its end, where HLT would not leave.
pub(crate) const END: u16 = 0xe9;
/// Where the handler of exception 0 would lie; those of the others follow, each one byte long: HLT.
pub(crate) const HANDLERS: u64 = 0x4000;
/// Where the table of [`Stage::lead_vectors`] lies in the modes that have descriptors.
const IDT: u64 = 0x9000;
/// How many vectors have a handler.
const VECTORS: u64 = 256;

/// A vCPU about to run code in a mode.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) vm: Vm,
    pub(crate) vcpu: Vcpu,
    pub(crate) image: Image,
    ram: Arc<Memory>,
    laid: Vec<u8>,
}

/// What a run should leave.
#[derive(Clone, Debug)]
pub(crate) struct Ending {
    pub(crate) regs: Registers,
    pub(crate) ram: Vec<u8>,
}

/// What makes KVM_RUN come back although the guest could go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interruption {
    /// `immediate_exit` in the run page.
    ImmediateExit,
    /// A signal that KVM_SET_SIGNAL_MASK lets in.
    Signal,
}

/// The exit of one OUT of this data.
pub(crate) fn out(port: u16, data: &[u8]) -> Exit {
    let size = u8::try_from(data.len()).unwrap_or(u8::MAX);
    Exit::Io { out: true, size, port, count: 1, data_offset: DATA, data: data.to_vec() }
}

/// The exit of `count` INs of `size` bytes each.
pub(crate) fn input(port: u16, size: u8, count: u32) -> Exit {
    Exit::Io { out: false, size, port, count, data_offset: DATA, data: Vec::new() }
}

impl Stage {
    /// Code in a VM without interrupt controllers.
    pub(crate) fn of(
        mode: Mode,
        write: impl FnOnce(&mut CodeAssembler) -> Result<(), IcedError>,
    ) -> Result<Self, Stop> {
        Self::within(Kvm::open()?.create_vm(0)?, mode, write)
    }

    /// Code in this VM, as its first vCPU. Whatever the VM should have or do, it has and does already.
    pub(crate) fn within(
        vm: Vm,
        mode: Mode,
        write: impl FnOnce(&mut CodeAssembler) -> Result<(), IcedError>,
    ) -> Result<Self, Stop> {
        let image = code(mode, write).map_err(|error| fault(&error))?;
        let image = Image::of(&image).map_err(|error| fault(&error))?;
        let laid = image.ram();
        let ram = Arc::new(Memory::new(laid.len())?);
        ram.write(0, &laid)?;
        vm.set_memory(0, 0, 0, &ram)?;
        vm.set_tss_addr()?;
        let vcpu = vm.create_vcpu(0)?;
        vcpu.set_cpuid2(&Kvm::open()?.get_supported_cpuid()?)?;
        vcpu.set_sregs(&entry::sregs(&image.entry, vcpu.get_sregs()?))?;
        vcpu.set_regs(&entry::regs(&image.entry.registers))?;
        Ok(Self { vm, vcpu, image, ram, laid })
    }

    /// Shows the guest its RAM in SMM too, which has an address space of its own.
    pub(crate) fn show_in_smm(&self) -> Outcome {
        const SECOND_ADDRESS_SPACE: u32 = 1 << 16;
        Ok(self.vm.set_memory(SECOND_ADDRESS_SPACE, 0, 0, &self.ram)?)
    }

    /// Lays bytes in RAM before the guest runs.
    pub(crate) fn lay(&mut self, address: u64, bytes: &[u8]) -> Result<(), Stop> {
        let start = usize::try_from(address).unwrap_or(usize::MAX);
        self.ram.write(start, bytes)?;
        self.laid[start..start + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    /// Starts the guest with other general registers.
    pub(crate) fn enter_with(&mut self, change: impl FnOnce(&mut Registers)) -> Outcome {
        change(&mut self.image.entry.registers);
        Ok(self.vcpu.set_regs(&entry::regs(&self.image.entry.registers))?)
    }

    /// Starts the guest with other special registers.
    pub(crate) fn enter_under(&self, change: impl FnOnce(&mut abi::kvm_sregs)) -> Outcome {
        let mut sregs = self.vcpu.get_sregs()?;
        change(&mut sregs);
        Ok(self.vcpu.set_sregs(&sregs)?)
    }

    /// Gives each vector a handler that halts, at an address of its own: see [`handler`].
    pub(crate) fn catch_exceptions(&mut self) -> Outcome {
        self.lead_vectors(HANDLERS, 1)
    }

    /// Leads each vector to a handler, the first at this address and so many bytes from one to the next: by an interrupt gate, which clears
    /// IF, or a far pointer. In real, protected and long mode.
    pub(crate) fn lead_vectors(&mut self, handlers: u64, apart: u64) -> Outcome {
        let mode = self.image.code.mode;
        let (base, selector) = match mode {
            Mode::Real => (0, 0),
            _ => (IDT, self.image.entry.cs.selector),
        };
        let gate =
            |vector| Gate { offset: handlers + apart * vector, selector, present: true, ..Gate::default() };
        let gates = Idt((0..VECTORS).map(gate).collect()).bytes(mode.bitness());
        self.lay(base, &gates)?;
        let limit = u16::try_from(gates.len() - 1).unwrap_or(u16::MAX);
        self.enter_under(|sregs| (sregs.idt.base, sregs.idt.limit) = (base, limit))
    }

    /// Gives a vector a handler of its own, and says where each of its instructions lies and where it ends.
    pub(crate) fn handle(
        &mut self,
        vector: u8,
        write: impl FnOnce(&mut CodeAssembler) -> Result<(), IcedError>,
    ) -> Result<Vec<u64>, Stop> {
        let (bitness, origin) = (self.image.code.mode.bitness(), HANDLERS + u64::from(vector));
        let mut assembler = CodeAssembler::new(bitness).map_err(|error| fault(&error))?;
        write(&mut assembler).map_err(|error| fault(&error))?;
        let bytes = assembler.assemble(origin).map_err(|error| fault(&error))?;
        self.lay(origin, &bytes)?;
        let decoder = Decoder::with_ip(bitness, &bytes, origin, DecoderOptions::NONE);
        let starts = decoder.into_iter().map(|instruction| instruction.ip());
        Ok(starts.chain([origin + bytes.len() as u64]).collect())
    }

    /// The address of the code's instruction with this index; with their number, the end of the code.
    pub(crate) fn at(&self, index: usize) -> u64 {
        let code = &self.image.code;
        let decoder = Decoder::with_ip(code.mode.bitness(), &code.bytes, code.origin, DecoderOptions::NONE);
        decoder.into_iter().nth(index).map_or(code.end(), |instruction| instruction.ip())
    }

    /// The fields of the run page.
    #[track_caller]
    pub(crate) fn page(&self) -> Result<RunPage<'_>, Stop> {
        self.vcpu.fields()
    }

    /// Runs to the next exit.
    #[track_caller]
    pub(crate) fn run(&self) -> Result<Exit, Stop> {
        self.vcpu.run()
    }

    /// Runs to the next exit, and says what KVM_RUN answered and what stands in the run page.
    #[track_caller]
    pub(crate) fn attempt(&self) -> Result<(Option<Errno>, Exit), Stop> {
        self.vcpu.run_page()?;
        let errno = self.vcpu.value(KVM_RUN, 0).err().map(|refused| refused.errno);
        Ok((errno, self.vcpu.exit()?))
    }

    /// Has KVM_RUN come back with EINTR.
    #[track_caller]
    pub(crate) fn interrupt(&self, how: Interruption) -> Outcome {
        self.during(how, || fails(EINTR, self.vcpu.value(KVM_RUN, 0)))
    }

    /// Does something while KVM_RUN is kept from going on, and lets it go on again.
    pub(crate) fn during<T>(
        &self,
        how: Interruption,
        act: impl FnOnce() -> Result<T, Stop>,
    ) -> Result<T, Stop> {
        match how {
            Interruption::ImmediateExit => {
                self.page()?.put_immediate_exit(1);
                let done = act();
                self.page()?.put_immediate_exit(0);
                done
            }
            Interruption::Signal => {
                let _pending = Pending::new(libc::SIGUSR1)?;
                self.masked(act)
            }
        }
    }

    /// Does something while KVM_RUN lets SIGUSR1 in and no other signal.
    pub(crate) fn masked<T>(&self, act: impl FnOnce() -> Result<T, Stop>) -> Result<T, Stop> {
        let mut mask = Guarded::zeroed(12);
        mask.put(0, &8u32);
        mask.put(4, &!(1u64 << (libc::SIGUSR1 - 1)));
        self.vcpu.send(KVM_SET_SIGNAL_MASK, Argument::Bytes(&mut mask))?;
        let done = act();
        self.vcpu.value(KVM_SET_SIGNAL_MASK, 0)?;
        done
    }

    /// Lays what the guest reads at this exit.
    #[track_caller]
    pub(crate) fn reply(&self, exit: &Exit, bytes: &[u8]) -> Outcome {
        holds(self.page()?.reply(exit, bytes), format_args!("{exit:?} has room for {} bytes", bytes.len()))
    }

    /// Lays the answer to this exit.
    #[track_caller]
    pub(crate) fn answer(&self, exit: &Exit, value: u64) -> Outcome {
        holds(self.page()?.answer(exit, value), format_args!("{exit:?} has room for an answer"))
    }

    /// The general registers.
    #[track_caller]
    pub(crate) fn registers(&self) -> Result<Registers, Stop> {
        Ok(entry::registers(&self.vcpu.get_regs()?))
    }

    /// The registers with RIP at the instruction with this index, and otherwise as the guest was entered with them.
    pub(crate) fn before(&self, index: usize) -> Registers {
        Registers { rip: self.at(index), ..self.image.entry.registers }
    }

    /// The guest stands before the instruction with this index, its registers changed by `changes` alone.
    #[track_caller]
    pub(crate) fn stands(&self, index: usize, changes: impl FnOnce(&mut Registers)) -> Outcome {
        let mut expected = self.before(index);
        changes(&mut expected);
        self.holds_registers(expected)
    }

    /// The guest has these registers.
    #[track_caller]
    pub(crate) fn holds_registers(&self, expected: Registers) -> Outcome {
        let seen = self.registers()?;
        equal(seen, expected).map_err(|stop| {
            self.image.code.around(seen.rip).into_iter().rev().fold(stop, |stop, line| stop.during(line))
        })
    }

    /// What a run leaves that comes to the instruction with this index and changes nothing.
    pub(crate) fn untouched(&self, index: usize) -> Ending {
        Ending { regs: self.before(index), ram: self.laid.clone() }
    }

    /// The guest came to the end of its code, having changed nothing but what `changes` changes.
    #[track_caller]
    pub(crate) fn ended(&self, changes: impl FnOnce(&mut Ending)) -> Outcome {
        let mut end = self.untouched(usize::MAX);
        changes(&mut end);
        self.left(&end)
    }

    /// What lies in RAM.
    pub(crate) fn ram(&self, address: u64, length: usize) -> Result<Vec<u8>, Stop> {
        self.ram.read(usize::try_from(address).unwrap_or(usize::MAX), length)
    }

    /// RAM is as it was laid, but for these addresses.
    #[track_caller]
    pub(crate) fn keeps_ram_but(&self, rooms: &[Range<u64>]) -> Outcome {
        let ram = self.ram.read(0, self.ram.len())?;
        let changed = (0u64..).zip(ram.iter().zip(&self.laid)).filter(|(_, (seen, laid))| seen != laid);
        let elsewhere = changed.map(|(at, _)| at).find(|at| rooms.iter().all(|room| !room.contains(at)));
        equal(elsewhere, None)
    }

    /// The guest left this.
    #[track_caller]
    pub(crate) fn left(&self, end: &Ending) -> Outcome {
        self.holds_registers(end.regs)?;
        let ram = self.ram.read(0, self.ram.len())?;
        if ram == end.ram {
            return holds(true, "RAM is what it should be");
        }
        let differing =
            (0..ram.len()).find(|&at| ram[at] != end.ram[at]).map(|at| (at, ram[at], end.ram[at]));
        equal(differing, None)
    }
}

impl Ending {
    /// The guest wrote this too.
    pub(crate) fn wrote(&mut self, address: u64, bytes: &[u8]) {
        let start = usize::try_from(address).unwrap_or(usize::MAX);
        self.ram[start..start + bytes.len()].copy_from_slice(bytes);
    }
}

/// Writes the instruction that makes a hypercall on this processor.
pub(crate) fn hypercall(a: &mut CodeAssembler) -> Result<(), IcedError> {
    if is_intel() { a.vmcall() } else { a.vmmcall() }
}

/// Whether the host's processor says that it is Intel's.
pub(crate) fn is_intel() -> bool {
    std::arch::x86_64::__cpuid(0).ebx.to_le_bytes() == *b"Genu"
}

/// Where RIP stands once the handler of a vector has halted: see [`Stage::catch_exceptions`].
pub(crate) fn handler(vector: u64) -> u64 {
    HANDLERS + vector + 1
}

fn fault(error: &impl std::fmt::Display) -> Stop {
    Stop::HostFault(HostFault(format!("cannot make the guest's image: {error}")))
}
