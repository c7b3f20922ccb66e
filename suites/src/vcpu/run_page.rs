//! The run page: api.rst 5, the fields of `struct kvm_run` that every exit has.

use std::ops::RangeInclusive;

use harness::kvm::{
    Descriptor, EINTR, EINVAL, Exit, KVM_CAP_IMMEDIATE_EXIT, KVM_CAP_IRQCHIP, KVM_RUN, Vm, abi::kvm_regs,
};
use harness::{Outcome, claim, each, equal, fails, unchanged, within};

use super::pages::field;
use super::real_mode::{CODE, RealMode};

fn says_why_it_came_back() -> Outcome {
    let guest = RealMode::running(&[0x90, 0xf4])?; // nop; hlt
    let page = guest.vcpu.run_page()?;
    page.put(Exit::REASON, 0xdead_beef_u32);
    guest.vcpu.value(KVM_RUN, 0)?;
    equal(page.get::<u32>(Exit::REASON), 5)?;
    guest.ended(|_| ())
}
claim!(
    says_why_it_came_back,
    "KVM_RUN lays the exit reason eight bytes into the run page",
    [Api("5. The kvm_run structure")],
);

fn refuses_an_argument(argument: u64) -> Outcome {
    let guest = RealMode::running(&[0x90, 0xf4])?; // nop; hlt
    let page = guest.vcpu.run_page()?;
    if argument != 0 {
        unchanged(
            || Ok::<_, harness::Stop>((guest.vcpu.get_regs()?, page.get::<u32>(Exit::REASON))),
            || fails(EINVAL, guest.vcpu.value(KVM_RUN, argument)),
        )?;
    }
    equal(guest.run()?, Exit::Hlt)?;
    guest.ended(|_| ())
}
claim!(
    refuses_an_argument,
    "KVM_RUN refuses any argument but zero with EINVAL and runs nothing",
    [Api("4.10 KVM_RUN"), Code("kvm_vcpu_ioctl, virt/kvm/kvm_main.c")],
);

fn flags_are_written() -> Outcome {
    let guest = RealMode::running(&[0xf4])?;
    guest.vcpu.run_page()?.put(field::FLAGS, 0xffff_u16);
    equal(guest.run()?, Exit::Hlt)?;
    equal(guest.vcpu.run_page()?.get::<u16>(field::FLAGS), 0)?;
    guest.ended(|_| ())
}
claim!(
    flags_are_written,
    "KVM_RUN clears the run page's flags where the vCPU is in neither SMM nor a nested guest nor met a bus lock",
    [Api("5. The kvm_run structure"), Code("kvm_arch_vcpu_ioctl_run, arch/x86/kvm/x86.c")],
);

fn if_flag_is_the_guests() -> Outcome {
    // sti or cli; nop, past the shadow of sti; hlt
    each([(0xfb, 1u8, 0x202), (0xfa, 0, 2)], |&(code, if_flag, rflags)| {
        let guest = RealMode::running(&[code, 0x90, 0xf4])?;
        let page = guest.vcpu.run_page()?;
        page.put(field::IF_FLAG, 0xffu8);
        equal(guest.run()?, Exit::Hlt)?;
        equal(page.get::<u8>(field::IF_FLAG), if_flag)?;
        guest.ended(|end| end.regs.rflags = rflags)
    })
}
claim!(
    if_flag_is_the_guests,
    "The run page's if_flag is the guest's IF at the exit",
    [Api("5. The kvm_run structure")],
);

fn ready_while_interrupts_are_let_in() -> Outcome {
    each([(0xfb, 1u8, 0x202), (0xfa, 0, 2)], |&(code, ready, rflags)| {
        let guest = RealMode::running(&[code, 0x90, 0xf4])?;
        let page = guest.vcpu.run_page()?;
        page.put(field::READY, 0xffu8);
        equal(guest.run()?, Exit::Hlt)?;
        equal(page.get::<u8>(field::READY), ready)?;
        guest.ended(|end| end.regs.rflags = rflags)
    })
}
claim!(
    ready_while_interrupts_are_let_in,
    "Without an in-kernel PIC, ready_for_interrupt_injection says whether the guest would take an interrupt",
    [Api("5. The kvm_run structure"), Code("post_kvm_run_save, arch/x86/kvm/x86.c")],
);

fn ready_where_the_kernel_injects(vm: Vm) -> Outcome {
    vm.create_irqchip()?;
    let vcpu = vm.create_vcpu(0)?;
    let page = vcpu.run_page()?;
    page.put(Exit::IMMEDIATE_EXIT, 1u8);
    fails(EINTR, vcpu.value(KVM_RUN, 0))?;
    equal(page.get::<u8>(field::READY), 1)
}
claim!(
    ready_where_the_kernel_injects,
    "With an in-kernel PIC, ready_for_interrupt_injection is always 1",
    [Code("post_kvm_run_save, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_IRQCHIP),
    Has(KVM_CAP_IMMEDIATE_EXIT),
);

/// Instructions of one byte that change nothing in a vCPU whose registers are zero: nop, clc, cld, cbw, cwd, xchg ax, cx.
const IDLE: [u8; 6] = [0x90, 0xf8, 0xfc, 0x98, 0x99, 0x91];

/// Asks for the interrupt window, checks that KVM_RUN tells it with RIP at `rip`, and runs on to the end.
fn window_opens_at(guest: &RealMode, rip: RangeInclusive<u16>) -> Outcome {
    let page = guest.vcpu.run_page()?;
    page.put(Exit::REQUEST_INTERRUPT_WINDOW, 1u8);
    equal(guest.run()?, Exit::IrqWindowOpen)?;
    equal((page.get::<u8>(field::READY), page.get::<u8>(field::IF_FLAG)), (1, 1))?;
    within(guest.vcpu.get_regs()?.rip, u64::from(*rip.start()), u64::from(*rip.end()))?;
    page.put(Exit::REQUEST_INTERRUPT_WINDOW, 0u8);
    equal(guest.run_to_halt(0)?, vec![])?;
    guest.ended(|end| end.regs.rflags = 0x202)
}

fn window_opens_when_asked_for() -> Outcome {
    each(IDLE, |&idle| {
        // nop; sti; two instructions, of which the first is in the shadow of sti; hlt
        let guest = RealMode::running(&[0x90, 0xfb, idle, idle, 0xf4])?;
        window_opens_at(&guest, CODE + 3..=CODE + 4)
    })
}
claim!(
    window_opens_when_asked_for,
    "KVM_RUN with request_interrupt_window comes back with KVM_EXIT_IRQ_WINDOW_OPEN once the guest sets IF",
    [Api("5. The kvm_run structure")],
);

fn open_window_is_told_at_once() -> Outcome {
    each(IDLE, |&idle| {
        let guest = RealMode::running(&[idle, 0xf4])?;
        guest.vcpu.set_regs(&kvm_regs { rflags: 0x202, ..guest.vcpu.get_regs()? })?;
        window_opens_at(&guest, CODE..=CODE)
    })
}
claim!(
    open_window_is_told_at_once,
    "KVM_RUN with request_interrupt_window comes back before the first instruction where IF is set already",
    [Api("5. The kvm_run structure")],
);

fn window_stays_shut_unasked() -> Outcome {
    let guest = RealMode::running(&[0x90, 0xfb, 0x90, 0x90, 0xf4])?; // nop; sti; nop; nop; hlt
    equal(guest.run_to_halt(0)?, vec![])?;
    guest.ended(|end| end.regs.rflags = 0x202)
}
claim!(
    window_stays_shut_unasked,
    "Without request_interrupt_window, a guest that sets IF runs on to its next exit",
    [Api("5. The kvm_run structure")],
);

fn cr8_is_taken_and_given() -> Outcome {
    each(0..16u64, |&priority| {
        let guest = RealMode::running(&[0xf4])?;
        let page = guest.vcpu.run_page()?;
        page.put(field::CR8, priority);
        equal(guest.run()?, Exit::Hlt)?;
        equal((page.get(field::CR8), guest.vcpu.get_sregs()?.cr8), (priority, priority))?;
        guest.ended(|_| ())
    })
}
claim!(
    cr8_is_taken_and_given,
    "Without an in-kernel local APIC, KVM_RUN takes CR8 from the run page, and lays it there again",
    [Api("5. The kvm_run structure")],
);

fn wide_cr8_is_refused() -> Outcome {
    let guest = RealMode::running(&[0x90, 0xf4])?; // nop; hlt
    let page = guest.vcpu.run_page()?;
    each([16, 0xff, 1 << 32, u64::MAX], |&cr8: &u64| {
        page.put(field::CR8, cr8);
        unchanged(
            || Ok::<_, harness::Stop>((guest.vcpu.get_regs()?, guest.vcpu.get_sregs()?)),
            || fails(EINVAL, guest.vcpu.value(KVM_RUN, 0)),
        )
    })?;
    page.put(field::CR8, 0u64);
    equal(guest.run()?, Exit::Hlt)?;
    guest.ended(|_| ())
}
claim!(
    wide_cr8_is_refused,
    "Without an in-kernel local APIC, KVM_RUN refuses a CR8 above 15 in the run page with EINVAL and runs nothing",
    [Code("kvm_arch_vcpu_ioctl_run and kvm_set_cr8, arch/x86/kvm/x86.c")],
);

fn cr8_is_only_given_with_an_apic(vm: Vm) -> Outcome {
    vm.create_irqchip()?;
    let vcpu = vm.create_vcpu(0)?;
    let mut sregs = vcpu.get_sregs()?;
    sregs.cr8 = 9;
    vcpu.set_sregs(&sregs)?;
    let page = vcpu.run_page()?;
    page.put(Exit::IMMEDIATE_EXIT, 1u8);
    page.put(field::CR8, u64::MAX);
    fails(EINTR, vcpu.value(KVM_RUN, 0))?;
    equal((page.get::<u64>(field::CR8), vcpu.get_sregs()?.cr8), (9, 9))
}
claim!(
    cr8_is_only_given_with_an_apic,
    "With an in-kernel local APIC, KVM_RUN lays CR8 in the run page and does not take it from there",
    [Code("kvm_arch_vcpu_ioctl_run and post_kvm_run_save, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_IRQCHIP),
    Has(KVM_CAP_IMMEDIATE_EXIT),
);

fn apic_base_is_given() -> Outcome {
    let guest = RealMode::running(&[0xf4])?;
    let page = guest.vcpu.run_page()?;
    page.put(field::APIC_BASE, u64::MAX);
    equal(guest.run()?, Exit::Hlt)?;
    equal(page.get::<u64>(field::APIC_BASE), guest.vcpu.get_sregs()?.apic_base)?;
    guest.ended(|_| ())
}
claim!(
    apic_base_is_given,
    "KVM_RUN lays IA32_APIC_BASE in the run page and does not take it from there",
    [Api("5. The kvm_run structure"), Code("post_kvm_run_save, arch/x86/kvm/x86.c")],
);
