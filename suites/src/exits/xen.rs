//! KVM_EXIT_XEN: hypercalls of a guest that takes its host for Xen.

use guests::Mode;
use harness::kvm::{Descriptor, Exit, KVM_CAP_XEN_HVM, KVM_XEN_HVM_CONFIG, Kvm, Vm, XenExit};
use harness::{Outcome, Stop, claim, each, equal};

use super::generated::InMode;
use super::provoked::{Provoked, Reply};
use super::stage::{Stage, hypercall};

/// The headings that all of this rests on.
const XEN: &str = "5. The kvm_run structure, KVM_EXIT_XEN";
const CONFIG: &str = "4.28 KVM_XEN_HVM_CONFIG";
/// KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL.
const INTERCEPT_HCALL: u32 = 1 << 1;
/// The first of the hypercalls that are a platform's own, which KVM never answers itself.
const ARCHITECTURAL: u64 = 48;
/// The MSR by which a guest asks for its hypercall page.
const PAGE_MSR: u32 = 0x4000_0200;

/// A VM that intercepts hypercalls.
fn intercepting() -> Result<Vm, Stop> {
    let vm = Kvm::open()?.create_vm(0)?;
    // struct kvm_xen_hvm_config: flags, the MSR, two addresses, two sizes, padding.
    let mut config = [0u32; 14];
    (config[0], config[1]) = (INTERCEPT_HCALL, PAGE_MSR);
    vm.write(KVM_XEN_HVM_CONFIG, &config)?;
    Ok(vm)
}

/// A guest in this VM that makes a hypercall.
fn calling(vm: Vm, mode: Mode, number: u64, params: [u64; 6]) -> Result<Stage, Stop> {
    let mut stage = Stage::within(vm, mode, |a| {
        hypercall(a)?;
        a.hlt()
    })?;
    stage.enter_with(|regs| {
        regs.rax = number;
        if mode == Mode::Long {
            (regs.rdi, regs.rsi, regs.rdx) = (params[0], params[1], params[2]);
            (regs.r10, regs.r8, regs.r9) = (params[3], params[4], params[5]);
        } else {
            (regs.rbx, regs.rcx, regs.rdx) = (params[0], params[1], params[2]);
            (regs.rsi, regs.rdi, regs.rbp) = (params[3], params[4], params[5]);
        }
    })?;
    Ok(stage)
}

/// The exit of a hypercall at privilege level 0.
fn told(mode: Mode, input: u64, params: [u64; 6]) -> Exit {
    let longmode = u32::from(mode == Mode::Long);
    Exit::Xen(XenExit::Hypercall { longmode, cpl: 0, input, result: 0, params })
}

fn hypercalls_are_told(mode: InMode, number: u8, params: [u32; 6], result: u64) -> Outcome {
    let (number, params) = (ARCHITECTURAL + u64::from(number), params.map(u64::from));
    let stage = calling(intercepting()?, mode.0, number, params)?;
    let exit = stage.run()?;
    equal(&exit, &told(mode.0, number, params))?;
    stage.stands(0, |_| ())?;
    stage.answer(&exit, result)?;
    equal(stage.run()?, Exit::Hlt)?;
    stage.ended(|end| end.regs.rax = result)
}
claim!(
    hypercalls_are_told,
    "A Xen hypercall leaves KVM_EXIT_XEN with number, mode, privilege level and six parameters, and returns what the host lays",
    [Api(XEN), Api(CONFIG)],
    AtLeast(KVM_CAP_XEN_HVM, 2),
);

fn wide_parameters_are_whole(params: [u64; 6]) -> Outcome {
    let stage = calling(intercepting()?, Mode::Long, ARCHITECTURAL, params)?;
    equal(stage.run()?, told(Mode::Long, ARCHITECTURAL, params))
}
claim!(
    wide_parameters_are_whole,
    "In long mode the parameters of KVM_EXIT_XEN have all 64 bits of their registers",
    [Api(XEN)],
    AtLeast(KVM_CAP_XEN_HVM, 2),
);

fn unprivileged_calls_are_told(number: u8) -> Outcome {
    let number = ARCHITECTURAL + u64::from(number);
    let stage = calling(intercepting()?, Mode::Protected, number, [1, 2, 3, 4, 5, 6])?;
    stage.enter_under(|sregs| {
        (sregs.cs.dpl, sregs.ss.dpl) = (3, 3);
        (sregs.cs.selector, sregs.ss.selector) = (sregs.cs.selector | 3, sregs.ss.selector | 3);
    })?;
    let params = [1, 2, 3, 4, 5, 6];
    equal(
        stage.run()?,
        Exit::Xen(XenExit::Hypercall { longmode: 0, cpl: 3, input: number, result: 0, params }),
    )
}
claim!(
    unprivileged_calls_are_told,
    "A Xen hypercall at privilege level 3 leaves KVM_EXIT_XEN that says so",
    [Api(XEN), Code("kvm_xen_hypercall, arch/x86/kvm/xen.c")],
    AtLeast(KVM_CAP_XEN_HVM, 2),
);

fn a_moved_rip_is_respected() -> Outcome {
    let stage = calling(intercepting()?, Mode::Long, ARCHITECTURAL, [0; 6])?;
    let exit = stage.run()?;
    stage.answer(&exit, 0x1234)?;
    let mut regs = stage.vcpu.get_regs()?;
    regs.rip = stage.at(1);
    stage.vcpu.set_regs(&regs)?;
    equal(stage.run()?, Exit::Hlt)?;
    stage.ended(|_| ())
}
claim!(
    a_moved_rip_is_respected,
    "Where the host has moved RIP at KVM_EXIT_XEN, KVM_RUN neither stores a result nor skips an instruction",
    [Code("kvm_xen_hypercall_complete_userspace, arch/x86/kvm/xen.c")],
    AtLeast(KVM_CAP_XEN_HVM, 2),
);

fn without_interception_it_is_kvms_own() -> Outcome {
    each([Mode::Protected, Mode::Long], |&mode| {
        let stage = calling(Kvm::open()?.create_vm(0)?, mode, 0x1000, [0; 6])?;
        equal(stage.run()?, Exit::Hlt)?;
        let enosys = (-1000i64).cast_unsigned();
        let answer = if mode == Mode::Long { enosys } else { enosys & 0xffff_ffff };
        stage.ended(|end| end.regs.rax = answer)
    })
}
claim!(
    without_interception_it_is_kvms_own,
    "Without KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL the same instruction is a hypercall of KVM's and leaves no KVM_EXIT_XEN",
    [Api(CONFIG)],
    Any(&[Amd, Intel]),
);

/// A hypercall, answered.
pub(super) fn call() -> Result<Provoked, Stop> {
    let params = [0x11, 0x22, 0x33, 0x44, 0x55, 0x66];
    let stage = calling(intercepting()?, Mode::Long, ARCHITECTURAL, params)?;
    let at = stage.before(0);
    let exit = told(Mode::Long, ARCHITECTURAL, params);
    let mut provoked = Provoked { at, reply: Reply::Answer(0x9988_7766_5544), ..Provoked::of(stage, exit) };
    provoked.completed.rax = 0x9988_7766_5544;
    if let Some((_, end)) = &mut provoked.end {
        end.regs.rax = 0x9988_7766_5544;
    }
    Ok(provoked)
}
