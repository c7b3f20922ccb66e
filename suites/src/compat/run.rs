//! KVM_RUN by 32-bit callers, and by both in turn.

use std::sync::Arc;

use harness::kvm::{
    Compat, EINTR, EINVAL, Exit, KVM_CAP_IMMEDIATE_EXIT, KVM_GET_REGS, KVM_GET_SREGS, KVM_INTERRUPT, KVM_RUN,
    KVM_SET_REGS, KVM_SET_SREGS, KVM_SET_TSS_ADDR, Kvm, Memory, Vcpu, abi,
};
use harness::{Outcome, Stop, claim, each, equal, fails, unchanged};

use crate::vcpu::real_mode::{RealMode, input, out};

/// KVM_RUN by a 32-bit caller, and why it came back.
#[track_caller]
fn run_32(guest: &RealMode) -> Result<Exit, Stop> {
    guest.vcpu.run_page()?;
    equal(Compat.value(&guest.vcpu, KVM_RUN, 0)?, 0)?;
    guest.vcpu.exit()
}

fn runs_a_guest(byte: u8) -> Outcome {
    // mov al, byte; out 0x10, al; in al, 0x11; hlt
    let guest = RealMode::running(&[0xb0, byte, 0xe6, 0x10, 0xe4, 0x11, 0xf4])?;
    equal(run_32(&guest)?, out(0x10, &[byte]))?;
    let question = run_32(&guest)?;
    equal(&question, &input(0x11, 1, 1))?;
    if let Some(at) = question.reply_at() {
        guest.vcpu.run_page()?.put(at, !byte);
    }
    equal(run_32(&guest)?, Exit::Hlt)?;
    guest.ended(|end| end.regs.rax = (!byte).into())
}
claim!(
    runs_a_guest,
    "KVM_RUN of a 32-bit caller runs a guest from exit to exit",
    [Api("4.10 KVM_RUN")],
    Compat32,
);

fn callers_may_take_turns(bytes: [u8; 4], turns: [bool; 5]) -> Outcome {
    // mov al, byte; out 0x10, al, for each byte; hlt
    let mut code: Vec<u8> = bytes.iter().flat_map(|&byte| [0xb0, byte, 0xe6, 0x10]).collect();
    code.push(0xf4);
    let guest = RealMode::running(&code)?;
    let exits = turns.map(|by_32| if by_32 { run_32(&guest) } else { guest.run() });
    let told = exits.into_iter().collect::<Result<Vec<_>, _>>()?;
    let mut expected: Vec<_> = bytes.iter().map(|&byte| out(0x10, &[byte])).collect();
    expected.push(Exit::Hlt);
    equal(told, expected)?;
    guest.ended(|end| end.regs.rax = bytes[3].into())
}
claim!(
    callers_may_take_turns,
    "A guest runs alike whether each KVM_RUN comes from a 32-bit caller or from a 64-bit one",
    [Code("kvm_vcpu_compat_ioctl, virt/kvm/kvm_main.c")],
    Compat32,
);

fn refuses_an_argument(argument: u32) -> Outcome {
    let guest = RealMode::running(&[0x90, 0xf4])?; // nop; hlt
    let argument = argument.max(1);
    unchanged(|| guest.vcpu.get_regs(), || fails(EINVAL, Compat.value(&guest.vcpu, KVM_RUN, argument)))?;
    equal(run_32(&guest)?, Exit::Hlt)?;
    guest.ended(|_| ())
}
claim!(
    refuses_an_argument,
    "KVM_RUN refuses any argument of a 32-bit caller but zero with EINVAL and runs nothing",
    [Code("kvm_vcpu_ioctl, virt/kvm/kvm_main.c")],
    Compat32,
);

fn ends_at_once() -> Outcome {
    let guest = RealMode::running(&[0x90, 0xf4])?; // nop; hlt
    let page = guest.vcpu.run_page()?;
    page.put(Exit::IMMEDIATE_EXIT, 1u8);
    unchanged(|| guest.vcpu.get_regs(), || fails(EINTR, Compat.value(&guest.vcpu, KVM_RUN, 0)))?;
    page.put(Exit::IMMEDIATE_EXIT, 0u8);
    equal(run_32(&guest)?, Exit::Hlt)?;
    guest.ended(|_| ())
}
claim!(
    ends_at_once,
    "KVM_RUN of a 32-bit caller fails with EINTR while immediate_exit is set",
    [Api("5. The kvm_run structure")],
    Compat32,
    Has(KVM_CAP_IMMEDIATE_EXIT),
);

fn everything_by_32(kvm: Kvm, compat: Compat) -> Outcome {
    let vm = compat.create_vm(&kvm, 0)?;
    compat.value(&vm, KVM_SET_TSS_ADDR, 0xfffb_d000)?;
    let ram = Arc::new(Memory::new(0x8000)?);
    ram.fill(0xf4)?;
    ram.write(0x1000, &[0xb0, 0x77, 0xa2, 0x00, 0x20, 0xe6, 0x10, 0xf4])?; // mov al, 0x77; mov [0x2000], al; out 0x10, al; hlt
    compat.set_memory(&vm, 0, 0, 0, &ram)?;
    let vcpu = compat.create_vcpu(&vm, 0)?;
    let mut sregs: abi::kvm_sregs = compat.read(&vcpu, KVM_GET_SREGS)?;
    (sregs.cs.base, sregs.cs.selector) = (0, 0);
    compat.write(&vcpu, KVM_SET_SREGS, sregs)?;
    let start = abi::kvm_regs { rip: 0x1000, rflags: 2, ..Default::default() };
    compat.write(&vcpu, KVM_SET_REGS, start)?;
    vcpu.run_page()?;
    equal(compat.value(&vcpu, KVM_RUN, 0)?, 0)?;
    equal(vcpu.exit()?, out(0x10, &[0x77]))?;
    equal(compat.value(&vcpu, KVM_RUN, 0)?, 0)?;
    equal(vcpu.exit()?, Exit::Hlt)?;
    equal(ram.read(0x2000, 1)?, vec![0x77])?;
    equal(
        compat.read::<abi::kvm_regs>(&vcpu, KVM_GET_REGS)?,
        abi::kvm_regs { rip: 0x1008, rax: 0x77, ..start },
    )
}
claim!(
    everything_by_32,
    "A VM that was made, given memory and set up by a 32-bit caller alone runs a guest",
    [Api("4.35 KVM_SET_USER_MEMORY_REGION"), Api("4.10 KVM_RUN")],
    Compat32,
);

fn interrupts(vcpu: Vcpu, compat: Compat) -> Outcome {
    each([256, 0x8000_0020, u32::MAX], |&irq| {
        fails(EINVAL, compat.write(&vcpu, KVM_INTERRUPT, abi::kvm_interrupt { irq }))
    })?;
    equal(vcpu.get_sregs()?.interrupt_bitmap, [0; 4])?;
    equal(compat.write(&vcpu, KVM_INTERRUPT, abi::kvm_interrupt { irq: 0x41 })?, 0)?;
    equal(vcpu.get_sregs()?.interrupt_bitmap, [0, 1 << 1, 0, 0])
}
claim!(
    interrupts,
    "KVM_INTERRUPT of a 32-bit caller queues a vector, and refuses one above 255 with EINVAL",
    [Api("4.16 KVM_INTERRUPT")],
    Compat32,
);
