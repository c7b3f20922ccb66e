//! A guest that counts in its memory and shows each number: whether it goes on counting tells whether its VM is whole.

use std::sync::Arc;

use harness::kvm::{Descriptor, Exit, KVM_SET_TSS_ADDR, Kvm, Memory, Vcpu, Vm};
use harness::{Broken, Stop, fixture};

/// Where the number lies, in bytes: a page of its own.
const NUMBER: usize = 0x1000;
/// How much memory the guest has, in bytes.
const SIZE: usize = 0x2000;
/// The port where it shows the number.
const PORT: u16 = 0x10;

/// `again: mov al, [0x1000]; out 0x10, al; inc byte [0x1000]; jmp again`, in real mode.
const CODE: [u8; 11] = [0xa0, 0x00, 0x10, 0xe6, 0x10, 0xfe, 0x06, 0x00, 0x10, 0xeb, 0xf5];

/// The guest, and every descriptor that made it.
pub(super) struct CountingGuest {
    pub(super) kvm: Kvm,
    pub(super) vm: Vm,
    pub(super) vcpu: Vcpu,
    pub(super) memory: Arc<Memory>,
}

fixture!(CountingGuest, CountingGuest::new);

impl CountingGuest {
    /// A guest that has not run yet and will begin with 0.
    pub(super) fn new() -> Result<Self, Stop> {
        let kvm = Kvm::open()?;
        let vm = kvm.create_vm(0)?;
        // Processors of Intel that cannot run real mode themselves need three pages of their own for it.
        vm.value(KVM_SET_TSS_ADDR, 0xfffb_d000)?;
        let memory = Arc::new(Memory::new(SIZE)?);
        memory.fill(0xf4)?;
        memory.write(0, &CODE)?;
        set_number(&memory, 0)?;
        vm.set_memory(0, 0, 0, &memory)?;
        let vcpu = vm.create_vcpu(0)?;
        let mut sregs = vcpu.get_sregs()?;
        (sregs.cs.base, sregs.cs.selector) = (0, 0);
        vcpu.set_sregs(&sregs)?;
        let mut regs = vcpu.get_regs()?;
        (regs.rip, regs.rflags) = (0, 2);
        vcpu.set_regs(&regs)?;
        Ok(Self { kvm, vm, vcpu, memory })
    }
}

/// Runs the guest until it shows its next number.
#[track_caller]
pub(super) fn next(vcpu: &Vcpu) -> Result<u8, Stop> {
    match vcpu.run()? {
        Exit::Io { out: true, port: PORT, data, .. } if data.len() == 1 => Ok(data[0]),
        other => {
            Err(Broken::new(format!("the guest should have shown its next number, not {other:?}")).into())
        }
    }
}

/// The number as it stands in the guest's memory.
pub(super) fn number(memory: &Memory) -> Result<u8, Stop> {
    Ok(memory.read(NUMBER, 1)?[0])
}

/// Lays another number in the guest's memory.
pub(super) fn set_number(memory: &Memory, number: u8) -> Result<(), Stop> {
    memory.write(NUMBER, &[number])
}
