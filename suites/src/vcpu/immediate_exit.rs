//! `immediate_exit` in the run page: api.rst 5, KVM_RUN comes back before the guest runs.

use harness::kvm::{
    Descriptor, EINTR, Exit, KVM_CAP_IMMEDIATE_EXIT, KVM_CAP_IRQCHIP, KVM_RUN, KVM_SET_MP_STATE, Vcpu, Vm,
    abi,
};
use harness::{Outcome, claim, each, equal, fails, unchanged};

use super::pages::{PAGE, PIO};
use super::real_mode::{RealMode, input};

/// Runs with `immediate_exit` set, which KVM_RUN refuses with EINTR, and clears it again.
#[track_caller]
fn runs_nothing(vcpu: &Vcpu) -> Outcome {
    let page = vcpu.run_page()?;
    page.put(Exit::IMMEDIATE_EXIT, 1u8);
    fails(EINTR, vcpu.value(KVM_RUN, 0))?;
    page.put(Exit::IMMEDIATE_EXIT, 0u8);
    Ok(())
}

fn any_value_but_zero(value: u8) -> Outcome {
    let guest = RealMode::running(&[0x90, 0xf4])?; // nop; hlt
    guest.vcpu.run_page()?.put(Exit::IMMEDIATE_EXIT, value);
    if value != 0 {
        unchanged(|| guest.vcpu.get_regs(), || fails(EINTR, guest.vcpu.value(KVM_RUN, 0)))?;
        guest.vcpu.run_page()?.put(Exit::IMMEDIATE_EXIT, 0u8);
    }
    equal(guest.run()?, Exit::Hlt)?;
    guest.ended(|_| ())
}
claim!(
    any_value_but_zero,
    "KVM_RUN fails with EINTR and runs nothing while immediate_exit holds anything but zero",
    [Api("5. The kvm_run structure")],
    Has(KVM_CAP_IMMEDIATE_EXIT),
);

fn is_not_cleared() -> Outcome {
    let guest = RealMode::running(&[0x90, 0xf4])?; // nop; hlt
    let page = guest.vcpu.run_page()?;
    page.put(Exit::IMMEDIATE_EXIT, 1u8);
    unchanged(
        || Ok::<_, harness::Stop>((guest.vcpu.get_regs()?, page.get::<u8>(Exit::IMMEDIATE_EXIT))),
        || each(0..3, |_| fails(EINTR, guest.vcpu.value(KVM_RUN, 0))),
    )?;
    page.put(Exit::IMMEDIATE_EXIT, 0u8);
    equal(guest.run()?, Exit::Hlt)?;
    guest.ended(|_| ())
}
claim!(
    is_not_cleared,
    "KVM_RUN leaves immediate_exit as it found it, so that each further KVM_RUN fails too",
    [Api("5. The kvm_run structure")],
    Has(KVM_CAP_IMMEDIATE_EXIT),
);

fn is_no_exit() -> Outcome {
    let guest = RealMode::running(&[0xf4])?;
    let page = guest.vcpu.run_page()?;
    page.put(Exit::REASON, 0xdead_u32);
    runs_nothing(&guest.vcpu)?;
    equal(page.get::<u32>(Exit::REASON), 0xdead)?;
    equal(guest.run()?, Exit::Hlt)?;
    guest.ended(|_| ())
}
claim!(
    is_no_exit,
    "KVM_RUN that immediate_exit ended leaves the exit reason as it was",
    [Observed("kvm_arch_vcpu_ioctl_run, arch/x86/kvm/x86.c of Linux 6.1 and 6.12")],
    Has(KVM_CAP_IMMEDIATE_EXIT),
);

fn completes_a_port_read() -> Outcome {
    let guest = RealMode::running(&[0xe4, 0x20, 0x90, 0xf4])?; // in al, 0x20; nop; hlt
    equal(guest.run()?, input(0x20, 1, 1))?;
    guest.vcpu.run_page()?.put(PIO * PAGE, 0x5cu8);
    runs_nothing(&guest.vcpu)?;
    let regs = guest.vcpu.get_regs()?;
    equal((regs.rax, regs.rip), (0x5c, 0x1002))?;
    equal(guest.run_to_halt(0)?, vec![])?;
    guest.ended(|end| end.regs.rax = 0x5c)
}
claim!(
    completes_a_port_read,
    "KVM_RUN with immediate_exit completes a pending IN and runs no instruction after it",
    [Api("5. The kvm_run structure")],
    Has(KVM_CAP_IMMEDIATE_EXIT),
);

fn completes_a_memory_read() -> Outcome {
    let guest = RealMode::running(&[0xa0, 0x00, 0x90, 0x90, 0xf4])?; // mov al, [0x9000]; nop; hlt
    let exit = guest.run()?;
    equal(&exit, &Exit::Mmio { write: false, address: 0x9000, data: vec![0] })?;
    if let Some(at) = exit.reply_at() {
        guest.vcpu.run_page()?.put(at, 0x5du8);
    }
    runs_nothing(&guest.vcpu)?;
    let regs = guest.vcpu.get_regs()?;
    equal((regs.rax, regs.rip), (0x5d, 0x1003))?;
    equal(guest.run_to_halt(0)?, vec![])?;
    guest.ended(|end| end.regs.rax = 0x5d)
}
claim!(
    completes_a_memory_read,
    "KVM_RUN with immediate_exit completes a pending MMIO read and runs no instruction after it",
    [Api("5. The kvm_run structure")],
    Has(KVM_CAP_IMMEDIATE_EXIT),
);

fn does_not_wait_for_init(vm: Vm) -> Outcome {
    vm.create_irqchip()?;
    let _boot = vm.create_vcpu(0)?;
    let waiting = vm.create_vcpu(1)?;
    unchanged(|| waiting.get_regs(), || runs_nothing(&waiting))
}
claim!(
    does_not_wait_for_init,
    "KVM_RUN with immediate_exit comes back from a vCPU that waits for INIT",
    [Api("5. The kvm_run structure"), Code("kvm_arch_vcpu_ioctl_run, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_IMMEDIATE_EXIT),
    Has(KVM_CAP_IRQCHIP),
);

fn does_not_wait_for_an_interrupt(vm: Vm) -> Outcome {
    vm.create_irqchip()?;
    let halted = vm.create_vcpu(0)?;
    halted.write(KVM_SET_MP_STATE, &abi::kvm_mp_state { mp_state: abi::KVM_MP_STATE_HALTED })?;
    unchanged(|| halted.get_regs(), || runs_nothing(&halted))
}
claim!(
    does_not_wait_for_an_interrupt,
    "KVM_RUN with immediate_exit comes back from a halted vCPU",
    [Api("5. The kvm_run structure"), Code("kvm_arch_vcpu_ioctl_run, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_IMMEDIATE_EXIT),
    Has(KVM_CAP_IRQCHIP),
);
