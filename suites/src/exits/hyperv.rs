//! KVM_EXIT_HYPERV: what a guest of Hyper-V does to its synthetic interrupt controller and debugger, and its hypercalls.

use guests::Mode;
use guests::iced_x86::code_asm::al;
use harness::kvm::{Exit, HypervExit, KVM_CAP_HYPERV_CPUID, KVM_CAP_HYPERV_SYNIC2};
use harness::{Controllers, Outcome, Stop, claim, each, equal};

use super::hyperv_guest::{enlighten, identify, writing};
use super::msr;
use super::provoked::{Provoked, Reply};
use super::stage::{END, Stage, handler, hypercall, out};

/// The headings that all of this rests on.
const HYPERV: &str = "5. The kvm_run structure, KVM_EXIT_HYPERV";
const SYNIC: &str = "8.11 KVM_CAP_HYPERV_SYNIC2";
/// HV_X64_MSR_SCONTROL, HV_X64_MSR_SIEFP, HV_X64_MSR_SIMP.
const SCONTROL: u32 = 0x4000_0080;
const SIEFP: u32 = 0x4000_0082;
const SIMP: u32 = 0x4000_0083;
/// HV_X64_MSR_SINT0.
const SINT0: u32 = 0x4000_0090;
/// The synthetic debugger's MSRs: control, status, and three buffers.
const SYNDBG_CONTROL: u32 = 0x4000_00f1;
const SYNDBG_STATUS: u32 = 0x4000_00f2;
const SYNDBG_SEND: u32 = 0x4000_00f3;
const SYNDBG_RECV: u32 = 0x4000_00f4;
const SYNDBG_PENDING: u32 = 0x4000_00f5;
/// HvCallPostMessage, and an extended hypercall.
const POST_MESSAGE: u64 = 0x5c;
const EXTENDED: u64 = 0x8001;
/// HV_STATUS_INVALID_HYPERCALL_INPUT.
const INVALID_INPUT: u64 = 3;

/// The exit of a write to the synthetic interrupt controller, of which only this register was ever written.
fn synic_exit(msr: u32, value: u64) -> Exit {
    // The controller is on from its start.
    let (mut control, mut evt_page, mut msg_page) = (1, 0, 0);
    match msr {
        SCONTROL => control = value,
        SIEFP => evt_page = value,
        _ => msg_page = value,
    }
    Exit::Hyperv(HypervExit::Synic { msr, control, evt_page, msg_page })
}

fn synic_writes_are_told(value: u64) -> Outcome {
    each([SCONTROL, SIEFP, SIMP], |&msr| {
        each(Controllers::WITH_LAPIC, |&controllers| {
            let stage = writing(controllers, true, msr, value)?;
            equal(stage.run()?, synic_exit(msr, value))?;
            stage.stands(1, |_| ())?;
            equal(msr::get(&stage.vcpu, msr)?, value)?;
            equal(stage.run()?, out(END, &value.to_le_bytes()[..1]))
        })
    })
}
claim!(
    synic_writes_are_told,
    "Writes to SCONTROL, SIEFP and SIMP leave KVM_EXIT_HYPERV_SYNIC with the MSR and all three values, done",
    [Api(HYPERV), Api(SYNIC)],
    Has(KVM_CAP_HYPERV_SYNIC2),
    Has(KVM_CAP_HYPERV_CPUID),
);

fn synic_keeps_what_was_written(control: u64, event: u64) -> Outcome {
    let stage = writing(Controllers::Split, true, SCONTROL, control)?;
    msr::set(&stage.vcpu, SIEFP, event)?;
    let expected = HypervExit::Synic { msr: SCONTROL, control, evt_page: event, msg_page: 0 };
    equal(stage.run()?, Exit::Hyperv(expected))
}
claim!(
    synic_keeps_what_was_written,
    "KVM_EXIT_HYPERV_SYNIC shows the registers that the host had set, too, and KVM_SET_MSRS itself makes no exit",
    [Api(HYPERV), Code("synic_set_msr, arch/x86/kvm/hyperv.c")],
    Has(KVM_CAP_HYPERV_SYNIC2),
    Has(KVM_CAP_HYPERV_CPUID),
);

fn sint_writes_are_not_told(index: u8) -> Outcome {
    const MASKED: u64 = 1 << 16;
    let stage = writing(Controllers::Split, true, SINT0 + u32::from(index % 16), MASKED | 0x30)?;
    equal(stage.run()?, out(END, &[0x30]))
}
claim!(
    sint_writes_are_not_told,
    "Writes to the SINT registers do not leave the guest",
    [Code("synic_set_msr, arch/x86/kvm/hyperv.c")],
    Has(KVM_CAP_HYPERV_SYNIC2),
    Has(KVM_CAP_HYPERV_CPUID),
);

fn without_synic_there_is_gp(value: u64) -> Outcome {
    each([SCONTROL, SIEFP, SIMP], |&msr| {
        let stage = writing(Controllers::Split, false, msr, value)?;
        equal(stage.run()?, out(0xd0, &value.to_le_bytes()[..1]))
    })
}
claim!(
    without_synic_there_is_gp,
    "Without KVM_CAP_HYPERV_SYNIC2 the same writes give the guest #GP and leave no KVM_EXIT_HYPERV",
    [Api(SYNIC), Code("synic_set_msr, arch/x86/kvm/hyperv.c")],
    Has(KVM_CAP_HYPERV_SYNIC2),
    Has(KVM_CAP_HYPERV_CPUID),
);

/// A guest that makes a hypercall with these registers, and then says that it is at its end.
fn calling(mode: Mode, synic: bool, input: u64, [first, second]: [u64; 2]) -> Result<Stage, Stop> {
    let mut stage = Stage::within(Controllers::Split.vm()?, mode, |a| {
        hypercall(a)?;
        a.out(u32::from(END), al)
    })?;
    enlighten(&stage.vcpu)?;
    if synic {
        stage.vcpu.enable_cap(KVM_CAP_HYPERV_SYNIC2, [0; 4])?;
    }
    identify(&stage)?;
    let low = |value: u64| value & 0xffff_ffff;
    stage.enter_with(|regs| {
        if mode == Mode::Long {
            (regs.rcx, regs.rdx, regs.r8) = (input, first, second);
        } else {
            (regs.rdx, regs.rax) = (input >> 32, low(input));
            (regs.rbx, regs.rcx) = (first >> 32, low(first));
            (regs.rdi, regs.rsi) = (second >> 32, low(second));
        }
    })?;
    Ok(stage)
}

/// The hypercall leaves, and the guest has its result.
fn told(stage: &Stage, mode: Mode, input: u64, params: [u64; 2], result: u64) -> Outcome {
    let exit = stage.run()?;
    equal(&exit, &Exit::Hyperv(HypervExit::Hypercall { input, result: 0, params }))?;
    stage.stands(0, |_| ())?;
    stage.answer(&exit, result)?;
    equal(stage.run()?, out(END, &result.to_le_bytes()[..1]))?;
    stage.stands(1, |regs| {
        if mode == Mode::Long {
            regs.rax = result;
        } else {
            (regs.rdx, regs.rax) = (result >> 32, result & 0xffff_ffff);
        }
    })
}

fn messages_are_told(params: [u64; 2], result: u64) -> Outcome {
    each([Mode::Protected, Mode::Long], |&mode| {
        told(&calling(mode, true, POST_MESSAGE, params)?, mode, POST_MESSAGE, params, result)
    })
}
claim!(
    messages_are_told,
    "HvCallPostMessage leaves KVM_EXIT_HYPERV_HCALL with input value and both addresses, and returns what the host lays",
    [Api(HYPERV), Manual("Hyper-V TLFS 11.10.1 HvCallPostMessage")],
    Has(KVM_CAP_HYPERV_SYNIC2),
    Has(KVM_CAP_HYPERV_CPUID),
);

fn extended_calls_are_told(params: [u64; 2], result: u64) -> Outcome {
    each([Mode::Protected, Mode::Long], |&mode| {
        told(&calling(mode, false, EXTENDED, params)?, mode, EXTENDED, params, result)
    })
}
claim!(
    extended_calls_are_told,
    "An extended hypercall of Hyper-V leaves KVM_EXIT_HYPERV_HCALL, without a synthetic interrupt controller too",
    [Api(HYPERV), Manual("Hyper-V TLFS 3.11 Extended Hypercall Interface")],
    Has(KVM_CAP_HYPERV_CPUID),
    Has(harness::kvm::KVM_CAP_SPLIT_IRQCHIP),
    Kernel(">=6.3"),
);

fn messages_without_synic_are_refused() -> Outcome {
    let stage = calling(Mode::Long, false, POST_MESSAGE, [0x1000, 0x2000])?;
    equal(stage.run()?, out(END, &[3]))?;
    stage.stands(1, |regs| regs.rax = INVALID_INPUT)
}
claim!(
    messages_without_synic_are_refused,
    "Without a synthetic interrupt controller, HvCallPostMessage answers the guest invalid input and does not leave it",
    [Code("kvm_hv_hypercall, arch/x86/kvm/hyperv.c")],
    Has(KVM_CAP_HYPERV_CPUID),
    Has(harness::kvm::KVM_CAP_SPLIT_IRQCHIP),
);

fn real_mode_gets_ud() -> Outcome {
    let mut stage = calling(Mode::Real, true, POST_MESSAGE, [0x1000, 0x2000])?;
    stage.catch_exceptions()?;
    stage.handle(6, |a| a.out(0xd6, al))?;
    equal(stage.run()?, out(0xd6, &[0x5c]))?;
    equal(stage.registers()?.rip, handler(6) - 1)
}
claim!(
    real_mode_gets_ud,
    "A hypercall of Hyper-V's in real mode gives the guest #UD and leaves no KVM_EXIT_HYPERV",
    [
        Manual("Hyper-V TLFS 3.7 Legal Hypercall Environments"),
        Code("kvm_hv_hypercall, arch/x86/kvm/hyperv.c")
    ],
    Has(KVM_CAP_HYPERV_SYNIC2),
    Has(KVM_CAP_HYPERV_CPUID),
);

fn debugger_writes_are_told(value: u64, pages: [u64; 3], status: u64) -> Outcome {
    let [send_page, recv_page, pending_page] = pages;
    let stage = writing(Controllers::User, false, SYNDBG_CONTROL, value)?;
    for (msr, page) in [(SYNDBG_SEND, send_page), (SYNDBG_RECV, recv_page), (SYNDBG_PENDING, pending_page)] {
        msr::set(&stage.vcpu, msr, page)?;
    }
    let exit = stage.run()?;
    let Exit::Hyperv(HypervExit::Syndbg { status: stale, .. }) = exit else {
        return equal(exit, Exit::Hlt);
    };
    let expected = HypervExit::Syndbg {
        msr: SYNDBG_CONTROL,
        control: value,
        status: stale,
        send_page,
        recv_page,
        pending_page,
    };
    equal(&exit, &Exit::Hyperv(expected))?;
    stage.stands(1, |_| ())?;
    stage.answer(&exit, status)?;
    equal(stage.run()?, out(END, &value.to_le_bytes()[..1]))?;
    equal(msr::get(&stage.vcpu, SYNDBG_STATUS)?, status)
}
claim!(
    debugger_writes_are_told,
    "A write to the synthetic debugger's control leaves KVM_EXIT_HYPERV_SYNDBG with its pages, and takes the host's status",
    [Api(HYPERV), Code("syndbg_exit and kvm_hv_syndbg_complete_userspace, arch/x86/kvm/hyperv.c")],
    Has(KVM_CAP_HYPERV_CPUID),
);

fn pending_buffers_are_told(page: u64) -> Outcome {
    let stage = writing(Controllers::User, false, SYNDBG_PENDING, page)?;
    let exit = stage.run()?;
    let expected = HypervExit::Syndbg {
        msr: SYNDBG_PENDING,
        control: 0,
        status: 0,
        send_page: 0,
        recv_page: 0,
        pending_page: page,
    };
    equal(exit, Exit::Hyperv(expected))?;
    equal(stage.run()?, out(END, &page.to_le_bytes()[..1]))
}
claim!(
    pending_buffers_are_told,
    "A write to the synthetic debugger's pending buffer leaves KVM_EXIT_HYPERV_SYNDBG",
    [Api(HYPERV), Code("syndbg_set_msr, arch/x86/kvm/hyperv.c")],
    Has(KVM_CAP_HYPERV_CPUID),
);

/// A write to the synthetic interrupt controller, which is over by the time of its exit.
pub(super) fn synic() -> Result<Provoked, Stop> {
    let stage = writing(Controllers::Split, true, SCONTROL, 1)?;
    let end = (out(END, &[1]), stage.untouched(1));
    Ok(Provoked { end: Some(end), ..Provoked::of(stage, synic_exit(SCONTROL, 1)) })
}

/// A hypercall, answered.
pub(super) fn call() -> Result<Provoked, Stop> {
    let params = [0x1000, 0x2000];
    let stage = calling(Mode::Long, true, POST_MESSAGE, params)?;
    let (at, mut end) = (stage.before(0), stage.untouched(1));
    end.regs.rax = 0x55;
    let exit = Exit::Hyperv(HypervExit::Hypercall { input: POST_MESSAGE, result: 0, params });
    let mut provoked = Provoked { at, reply: Reply::Answer(0x55), ..Provoked::of(stage, exit) };
    provoked.completed.rax = 0x55;
    Ok(Provoked { end: Some((out(END, &[0x55]), end)), ..provoked })
}
