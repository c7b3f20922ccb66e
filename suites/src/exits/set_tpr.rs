//! KVM_EXIT_SET_TPR: without an in-kernel local APIC, MOV to CR8 that lowers the task priority leaves to the host, which may now
//! have an interrupt to inject.

use guests::Mode;
use guests::iced_x86::code_asm::{cr8, rax, rbx};
use harness::kvm::{Exit, KVM_CAP_IRQCHIP, KVM_CAP_SPLIT_IRQCHIP};
use harness::{Controllers, Outcome, Stop, claim, each, equal};

use super::provoked::Provoked;
use super::stage::{END, Stage, out};

/// What all of this rests on: the documentation names the exit and says nothing of it.
const CR8: &str = "cr8_write_interception, arch/x86/kvm/svm/svm.c; handle_cr, arch/x86/kvm/vmx/vmx.c";

/// A guest that begins at one priority and moves to another.
fn moving(from: u8, to: u8) -> Result<Stage, Stop> {
    let mut stage = Stage::of(Mode::Long, |a| {
        a.mov(cr8, rax)?;
        a.mov(rbx, cr8)?;
        a.hlt()
    })?;
    stage.enter_with(|regs| regs.rax = to.into())?;
    stage.page()?.put_cr8(from.into());
    Ok(stage)
}

fn lowering_leaves(a: u8, b: u8) -> Outcome {
    let (low, high) = ((a % 16).min(b % 16), (a % 16).max(b % 16));
    let stage = moving(high, low)?;
    if low < high {
        equal(stage.run()?, Exit::SetTpr)?;
        equal((stage.page()?.cr8(), stage.vcpu.get_sregs()?.cr8), (low.into(), low.into()))?;
        stage.stands(1, |_| ())?;
    }
    equal(stage.run()?, Exit::Hlt)?;
    equal((stage.page()?.cr8(), stage.vcpu.get_sregs()?.cr8), (low.into(), low.into()))?;
    stage.ended(|end| end.regs.rbx = low.into())
}
claim!(
    lowering_leaves,
    "MOV to CR8 that lowers it leaves KVM_EXIT_SET_TPR with RIP behind it and the new CR8 in the run page",
    [Code(CR8)],
    Any(&[Amd, Intel]),
);

fn raising_stays(a: u8, b: u8) -> Outcome {
    let (low, high) = ((a % 16).min(b % 16), (a % 16).max(b % 16));
    let stage = moving(low, high)?;
    equal(stage.run()?, Exit::Hlt)?;
    equal((stage.page()?.cr8(), stage.vcpu.get_sregs()?.cr8), (high.into(), high.into()))?;
    stage.ended(|end| end.regs.rbx = high.into())
}
claim!(
    raising_stays,
    "MOV to CR8 that raises it or leaves it as it is does not leave the guest, and its next exit shows the new CR8",
    [Code(CR8)],
    Any(&[Amd, Intel]),
);

fn the_host_may_raise_it_again(to: u8, given: u8) -> Outcome {
    let (to, given) = (to % 15, given % 16);
    let stage = moving(15, to)?;
    equal(stage.run()?, Exit::SetTpr)?;
    stage.page()?.put_cr8(given.into());
    equal(stage.run()?, Exit::Hlt)?;
    stage.ended(|end| end.regs.rbx = given.into())
}
claim!(
    the_host_may_raise_it_again,
    "What the host lays in the run page's cr8 at KVM_EXIT_SET_TPR is what the guest reads from CR8 after it",
    [Api("5. The kvm_run structure")],
    Any(&[Amd, Intel]),
);

fn reserved_bits_are_a_fault(bit: u8) -> Outcome {
    let mut stage = moving(15, 0)?;
    stage.catch_exceptions()?;
    stage.enter_with(|regs| regs.rax = 1 << (4 + bit % 60))?;
    equal(stage.run()?, Exit::Hlt)?;
    equal(stage.registers()?.rip, super::stage::handler(13))?;
    equal((stage.page()?.cr8(), stage.vcpu.get_sregs()?.cr8), (15, 15))
}
claim!(
    reserved_bits_are_a_fault,
    "MOV to CR8 with a bit above 3 gives the guest #GP, changes no priority and leaves no KVM_EXIT_SET_TPR",
    [
        Manual("Intel SDM volume 3, 11.8.6.1 Interaction of Task Priorities between CR8 and APIC"),
        Code("kvm_set_cr8, arch/x86/kvm/x86.c")
    ],
);

fn a_local_apic_takes_it() -> Outcome {
    each(Controllers::WITH_LAPIC, |controllers| {
        let mut stage = Stage::within(controllers.vm()?, Mode::Long, |a| {
            a.mov(cr8, rbx)?;
            a.mov(cr8, rax)?;
            a.mov(rbx, cr8)?;
            a.out(u32::from(END), guests::iced_x86::code_asm::al)
        })?;
        stage.enter_with(|regs| (regs.rax, regs.rbx) = (2, 9))?;
        equal(stage.run()?, out(END, &[2]))?;
        equal((stage.page()?.cr8(), stage.vcpu.get_sregs()?.cr8), (2, 2))?;
        stage.stands(3, |regs| regs.rbx = 2)
    })
}
claim!(
    a_local_apic_takes_it,
    "With an in-kernel local APIC, MOV to CR8 that lowers it does not leave the guest",
    [Code(CR8)],
    Any(&[Amd, Intel]),
    Has(KVM_CAP_IRQCHIP),
    Has(KVM_CAP_SPLIT_IRQCHIP),
);

/// CR8 from 9 to 4.
pub(super) fn lower() -> Result<Provoked, Stop> {
    let mut provoked = Provoked::of(moving(9, 4)?, Exit::SetTpr);
    if let Some((_, end)) = &mut provoked.end {
        end.regs.rbx = 4;
    }
    Ok(provoked)
}
