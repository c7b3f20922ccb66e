//! A vCPU in real mode with a few bytes of code: what claims about the pages that a vCPU shares with user space run.

use std::sync::Arc;

use harness::kvm::abi::kvm_regs;
use harness::kvm::{Descriptor, Exit, KVM_SET_TSS_ADDR, Kvm, Memory, Vcpu, Vm};
use harness::{Broken, Outcome, Stop, equal};

use super::pages::{PAGE, PIO};

/// Where the code lies, by guest-physical address.
pub(crate) const CODE: u16 = 0x1000;
/// How much RAM there is, from address 0 on. Above it an access is MMIO.
pub(crate) const RAM: usize = 0x8000;
/// HLT: what RAM without code holds, so that a guest that goes astray stops at once.
const HLT: u8 = 0xf4;
/// Where Intel's KVM may lay the three pages that real mode needs there: below the BIOS, where no claim has RAM.
const TSS: u64 = 0xfffb_d000;

/// Where in the mapping port I/O data lies.
const DATA: u64 = (PIO * PAGE) as u64;

/// A vCPU in real mode, its code, and its RAM.
#[derive(Debug)]
pub(crate) struct RealMode {
    pub(crate) vm: Vm,
    pub(crate) vcpu: Vcpu,
    pub(crate) ram: Arc<Memory>,
    end: Ending,
}

/// What a run should leave.
#[derive(Clone, Debug)]
pub(crate) struct Ending {
    pub(crate) regs: kvm_regs,
    pub(crate) ram: Vec<u8>,
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

impl RealMode {
    /// A new VM with this code, which ends with HLT.
    pub(crate) fn running(code: &[u8]) -> Result<Self, Stop> {
        Self::within(Kvm::open()?.create_vm(0)?, 0, code)
    }

    /// A vCPU in this VM, whose RAM is slot 0 with these flags.
    pub(crate) fn within(vm: Vm, slot_flags: u32, code: &[u8]) -> Result<Self, Stop> {
        vm.value(KVM_SET_TSS_ADDR, TSS)?;
        let ram = Arc::new(Memory::new(RAM)?);
        ram.fill(HLT)?;
        ram.write(CODE.into(), code)?;
        vm.set_memory(0, slot_flags, 0, &ram)?;
        let vcpu = vm.create_vcpu(0)?;
        let mut sregs = vcpu.get_sregs()?;
        sregs.cs.base = 0;
        sregs.cs.selector = 0;
        vcpu.set_sregs(&sregs)?;
        let regs = kvm_regs { rip: CODE.into(), rflags: 2, ..Default::default() };
        vcpu.set_regs(&regs)?;
        let end = Ending {
            regs: kvm_regs { rip: u64::from(CODE) + code.len() as u64, ..regs },
            ram: ram.read(0, RAM)?,
        };
        Ok(Self { vm, vcpu, ram, end })
    }

    /// Runs to the next exit.
    #[track_caller]
    pub(crate) fn run(&self) -> Result<Exit, Stop> {
        self.vcpu.run()
    }

    /// Runs until HLT, and says what came before it; breaks the claim where that is more than `budget` exits.
    #[track_caller]
    pub(crate) fn run_to_halt(&self, budget: usize) -> Result<Vec<Exit>, Stop> {
        let mut before = Vec::new();
        loop {
            match self.run()? {
                Exit::Hlt => return Ok(before),
                exit if before.len() == budget => {
                    return Err(
                        Broken::new(format!("no HLT within {budget} exits, but one more: {exit:?}")).into()
                    );
                }
                exit => before.push(exit),
            }
        }
    }

    /// Checks that the guest came to the end of its code, having changed nothing but what `changes` changes.
    #[track_caller]
    pub(crate) fn ended(&self, changes: impl FnOnce(&mut Ending)) -> Outcome {
        let mut end = self.end.clone();
        changes(&mut end);
        equal(self.vcpu.get_regs()?, end.regs)?;
        let ram = self.ram.read(0, RAM)?;
        let differing = (0..RAM).find(|&at| ram[at] != end.ram[at]).map(|at| (at, ram[at]));
        equal(differing, None)
    }
}
