//! INIT and start-up interrupts from one vCPU to others: Intel SDM volume 3, 10.4 "Multiple-Processor (MP) Initialization".

use harness::kvm::{
    Descriptor, EAGAIN, KVM_CAP_IRQCHIP, KVM_GET_FPU, KVM_GET_VCPU_EVENTS, KVM_NMI, KVM_SET_FPU,
    KVM_SET_VCPU_EVENTS, Kvm, Vcpu, abi,
};
use harness::{Outcome, Stop, claim, equal};

use super::mp_state::{get, set};
use super::processors::{INIT, INIT_DEASSERT, NMI, OTHER_PAGE, OTHERS, PAGE, Processors, STARTUP};

/// The headings that most of this rests on.
const PROTOCOL: &str = "Intel SDM volume 3, 10.4 Multiple-Processor (MP) Initialization";
const ICR: &str = "Intel SDM volume 3, 12.6.1 Interrupt Command Register (ICR)";
const STATES: &str = "4.38 KVM_GET_MP_STATE";
/// Where the kernel takes what a local APIC received.
const ACCEPTS: &str = "kvm_apic_accept_events, arch/x86/kvm/lapic.c";
const RUNNABLE: u32 = abi::KVM_MP_STATE_RUNNABLE;
const UNINITIALIZED: u32 = abi::KVM_MP_STATE_UNINITIALIZED;
const INIT_RECEIVED: u32 = abi::KVM_MP_STATE_INIT_RECEIVED;

/// The SIPI of a page.
fn startup(page: u8) -> u32 {
    STARTUP | u32::from(page)
}

fn a_sipi_starts_in_its_page(page: u8) -> Outcome {
    let all = Processors::sending(1, &[(1, INIT), (1, startup(page))])?;
    all.send(INIT)?;
    all.send(startup(page))?;
    equal(all.states()?, vec![RUNNABLE])?;
    let (regs, sregs) = (all.others[0].get_regs()?, all.others[0].get_sregs()?);
    equal((regs.rip, regs.rflags), (0, 2))?;
    equal(
        (sregs.cs.selector, sregs.cs.base, sregs.cs.limit),
        (u16::from(page) << 8, u64::from(page) << 12, 0xffff),
    )?;
    equal((sregs.cr0 & 0x8000_0001, sregs.efer), (0, 0))
}
claim!(
    a_sipi_starts_in_its_page,
    "A SIPI behind INIT starts a vCPU in real mode at the beginning of the page that it names",
    [Manual(PROTOCOL), Api(STATES)],
    Has(KVM_CAP_IRQCHIP),
);

fn it_runs_from_there(twice: bool) -> Outcome {
    let all = Processors::sending(1, &[(1, INIT), (1, startup(PAGE))])?;
    all.send(INIT)?;
    if twice {
        equal(all.attempt(0)?.0, Some(EAGAIN))?;
    }
    all.send(startup(PAGE))?;
    if !twice {
        equal(all.attempt(0)?.0, Some(EAGAIN))?;
    }
    all.starts(0, PAGE)
}
claim!(
    it_runs_from_there,
    "The KVM_RUN that finds INIT comes back with EAGAIN, before or behind the SIPI, and the next runs the code of the page",
    [Manual(PROTOCOL), Code("kvm_arch_vcpu_ioctl_run, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_IRQCHIP),
);

fn init_alone_waits() -> Outcome {
    let all = Processors::sending(2, &[(2, INIT)])?;
    all.send(INIT)?;
    equal(all.states()?, vec![UNINITIALIZED, INIT_RECEIVED])?;
    let cs = all.others[1].get_sregs()?.cs;
    equal((all.others[1].get_regs()?.rip, cs.selector, cs.base), (0xfff0, 0xf000, 0xffff_0000))
}
claim!(
    init_alone_waits,
    "INIT makes the vCPU that it is sent to KVM_MP_STATE_INIT_RECEIVED, at the reset vector, and no other",
    [Api(STATES), Manual(PROTOCOL)],
    Has(KVM_CAP_IRQCHIP),
);

fn a_sipi_alone_is_ignored() -> Outcome {
    let all = Processors::sending(1, &[(1, startup(PAGE)), (1, INIT)])?;
    all.send(startup(PAGE))?;
    equal(all.states()?, vec![UNINITIALIZED])?;
    // Nor is it remembered.
    all.send(INIT)?;
    equal(all.states()?, vec![INIT_RECEIVED])
}
claim!(
    a_sipi_alone_is_ignored,
    "A SIPI to a vCPU that had no INIT is ignored, and forgotten by the time of one",
    [Manual(PROTOCOL), Code(ACCEPTS)],
    Has(KVM_CAP_IRQCHIP),
);

fn a_second_sipi_is_ignored() -> Outcome {
    let all = Processors::sending(1, &[(1, INIT), (1, startup(PAGE)), (1, startup(OTHER_PAGE))])?;
    all.send(INIT)?;
    equal(all.states()?, vec![INIT_RECEIVED])?;
    all.send(startup(PAGE))?;
    equal(all.states()?, vec![RUNNABLE])?;
    all.send(startup(OTHER_PAGE))?;
    equal(all.states()?, vec![RUNNABLE])?;
    all.starts(0, PAGE)
}
claim!(
    a_second_sipi_is_ignored,
    "A SIPI to a vCPU that was started already is ignored",
    [Manual(PROTOCOL), Code(ACCEPTS)],
    Has(KVM_CAP_IRQCHIP),
);

fn the_last_of_two_waiting_sipis_counts() -> Outcome {
    let all = Processors::sending(1, &[(1, INIT), (1, startup(PAGE)), (1, startup(OTHER_PAGE))])?;
    all.send(INIT)?;
    all.send(startup(PAGE))?;
    all.send(startup(OTHER_PAGE))?;
    equal(all.states()?, vec![RUNNABLE])?;
    all.starts(0, OTHER_PAGE)
}
claim!(
    the_last_of_two_waiting_sipis_counts,
    "Of two SIPIs that come before KVM looks at the vCPU, the later one's page is taken",
    [Observed("__apic_accept_irq of Linux 3.10 to 7.3, which keeps one vector")],
    Has(KVM_CAP_IRQCHIP),
);

fn init_stops_what_runs() -> Outcome {
    let commands = [(1, INIT), (1, startup(PAGE)), (1, INIT), (1, startup(OTHER_PAGE))];
    let all = Processors::sending(1, &commands)?;
    all.send(INIT)?;
    all.send(startup(PAGE))?;
    equal(all.states()?, vec![RUNNABLE])?;
    all.starts(0, PAGE)?;
    all.send(INIT)?;
    equal(all.states()?, vec![INIT_RECEIVED])?;
    equal(all.others[0].get_regs()?.rip, 0xfff0)?;
    all.send(startup(OTHER_PAGE))?;
    equal(all.states()?, vec![RUNNABLE])?;
    all.starts(0, OTHER_PAGE)
}
claim!(
    init_stops_what_runs,
    "INIT stops a vCPU that was started, and the next SIPI starts it anew",
    [Manual(PROTOCOL), Code(ACCEPTS)],
    Has(KVM_CAP_IRQCHIP),
);

fn the_others_are_all_but_itself() -> Outcome {
    let all = Processors::sending(3, &[(0, OTHERS | INIT), (0, OTHERS | startup(PAGE)), (0, 0)])?;
    all.send(INIT)?;
    equal(all.states()?, vec![INIT_RECEIVED; 3])?;
    all.send(startup(PAGE))?;
    equal(all.states()?, vec![RUNNABLE; 3])?;
    (0..3).try_for_each(|other| all.starts(other, PAGE))?;
    equal(get(&all.stage.vcpu)?, RUNNABLE)?;
    // It goes on with its next command.
    all.send(0)
}
claim!(
    the_others_are_all_but_itself,
    "INIT and a SIPI to all but itself start every other vCPU, and the sender goes on",
    [Manual(ICR), Manual(PROTOCOL)],
    Has(KVM_CAP_IRQCHIP),
);

fn nobody_is_meant(destination: u8) -> Outcome {
    let destination = destination.clamp(3, 0xfe);
    let all = Processors::sending(2, &[(destination, INIT), (destination, startup(PAGE))])?;
    all.send(INIT)?;
    all.send(startup(PAGE))?;
    equal(all.states()?, vec![UNINITIALIZED; 2])?;
    equal(get(&all.stage.vcpu)?, RUNNABLE)
}
claim!(
    nobody_is_meant,
    "INIT and a SIPI to an APIC ID that no vCPU has change none",
    [Manual(ICR)],
    Has(KVM_CAP_IRQCHIP),
);

fn the_end_of_init_is_ignored() -> Outcome {
    let all =
        Processors::sending(1, &[(1, INIT_DEASSERT), (1, INIT), (1, INIT_DEASSERT), (1, startup(PAGE))])?;
    all.send(INIT_DEASSERT)?;
    equal(all.states()?, vec![UNINITIALIZED])?;
    all.send(INIT)?;
    all.send(INIT_DEASSERT)?;
    all.send(startup(PAGE))?;
    equal(all.states()?, vec![RUNNABLE])?;
    all.starts(0, PAGE)
}
claim!(
    the_end_of_init_is_ignored,
    "INIT level de-assert does nothing, before INIT and behind it",
    [Manual(ICR), Code("__apic_accept_irq, arch/x86/kvm/lapic.c")],
    Has(KVM_CAP_IRQCHIP),
);

/// What a vCPU that received INIT has of a host that had set this before.
fn after_init(prepare: impl FnOnce(&Vcpu) -> Outcome) -> Result<Processors, Stop> {
    let all = Processors::sending(1, &[(1, INIT)])?;
    set(&all.others[0], RUNNABLE)?;
    prepare(&all.others[0])?;
    all.send(INIT)?;
    equal(all.states()?, vec![INIT_RECEIVED])?;
    Ok(all)
}

fn init_resets_registers(value: u64, cache: u8) -> Outcome {
    // CD and NW, in the three ways that go together.
    let cache = [0, 2u64, 3][usize::from(cache % 3)] << 29;
    let all = after_init(|vcpu| {
        let mut regs = vcpu.get_regs()?;
        (regs.rax, regs.r15, regs.rsp, regs.rflags) = (value, value, value, 0x246);
        vcpu.set_regs(&regs)?;
        let mut sregs = vcpu.get_sregs()?;
        (sregs.cr0, sregs.cr2, sregs.ds.base) = (0x10 | cache, value, 0x1000);
        Ok(vcpu.set_sregs(&sregs)?)
    })?;
    let (regs, sregs) = (all.others[0].get_regs()?, all.others[0].get_sregs()?);
    let model =
        Kvm::open()?.get_supported_cpuid()?.iter().find(|entry| entry.function == 1).map_or(0, |e| e.eax);
    let expected = abi::kvm_regs { rip: 0xfff0, rflags: 2, rdx: model.into(), ..Default::default() };
    equal(regs, expected)?;
    equal((sregs.cr0, sregs.cr2, sregs.ds.base), (0x10 | cache, 0, 0))
}
claim!(
    init_resets_registers,
    "INIT gives a vCPU the registers of a reset, but for CR0's CD and NW, which stay",
    [
        Manual("Intel SDM volume 3, 11.1.1 Processor State After Reset"),
        Code("kvm_vcpu_reset, arch/x86/kvm/x86.c")
    ],
    Has(KVM_CAP_IRQCHIP),
    Kernel(">=6.1"),
);

fn init_keeps_vectors(low: u64, control: u16) -> Outcome {
    let control = control & 0xf3f | 0x40;
    let all = after_init(|vcpu| {
        let mut fpu: abi::kvm_fpu = vcpu.read(KVM_GET_FPU)?;
        fpu.xmm[5][..8].copy_from_slice(&low.to_le_bytes());
        fpu.fcw = control;
        Ok(vcpu.write(KVM_SET_FPU, &fpu).map(drop)?)
    })?;
    let fpu: abi::kvm_fpu = all.others[0].read(KVM_GET_FPU)?;
    equal((fpu.xmm[5][..8].to_vec(), fpu.fcw), (low.to_le_bytes().to_vec(), control))
}
claim!(
    init_keeps_vectors,
    "INIT leaves the x87 and SSE registers of a vCPU as they were",
    [Manual("Intel SDM volume 3, 11.1.1 Processor State After Reset")],
    Has(KVM_CAP_IRQCHIP),
);

fn init_drops_events() -> Outcome {
    let all = after_init(|vcpu| {
        vcpu.value(KVM_NMI, 0)?;
        let mut events: abi::kvm_vcpu_events = vcpu.read(KVM_GET_VCPU_EVENTS)?;
        (events.exception.injected, events.exception.nr, events.nmi.injected) = (1, 6, 1);
        (events.interrupt.injected, events.interrupt.nr) = (1, 0x33);
        Ok(vcpu.write(KVM_SET_VCPU_EVENTS, &events).map(drop)?)
    })?;
    let events: abi::kvm_vcpu_events = all.others[0].read(KVM_GET_VCPU_EVENTS)?;
    equal((events.exception.injected, events.exception.pending), (0, 0))?;
    equal((events.nmi.injected, events.nmi.pending, events.interrupt.injected), (0, 0, 0))
}
claim!(
    init_drops_events,
    "INIT drops the exception, the interrupt and the NMIs that a vCPU had, injected and pending",
    [Code("kvm_vcpu_reset, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_IRQCHIP),
);

fn a_latched_init_resets_the_bootstrap_processor() -> Outcome {
    let all = Processors::sending(0, &[])?;
    let vcpu = &all.stage.vcpu;
    let mut events: abi::kvm_vcpu_events = vcpu.read(KVM_GET_VCPU_EVENTS)?;
    events.flags |= abi::KVM_VCPUEVENT_VALID_SMM;
    events.smi.latched_init = 1;
    vcpu.write(KVM_SET_VCPU_EVENTS, &events)?;
    equal(vcpu.read::<abi::kvm_vcpu_events>(KVM_GET_VCPU_EVENTS)?.smi.latched_init, 1)?;
    equal((get(vcpu)?, vcpu.get_regs()?.rip), (RUNNABLE, 0xfff0))?;
    equal(vcpu.read::<abi::kvm_vcpu_events>(KVM_GET_VCPU_EVENTS)?.smi.latched_init, 0)
}
claim!(
    a_latched_init_resets_the_bootstrap_processor,
    "An INIT that KVM_SET_VCPU_EVENTS has as latched is taken outside of SMM, and the bootstrap processor runs on from reset",
    [Api("4.31 KVM_GET_VCPU_EVENTS"), Code(ACCEPTS)],
    Has(KVM_CAP_IRQCHIP),
);

fn smm_latches_init() -> Outcome {
    let all = Processors::sending(1, &[(1, INIT), (1, startup(PAGE))])?;
    let vcpu = &all.others[0];
    set(vcpu, RUNNABLE)?;
    let events = || -> Result<abi::kvm_vcpu_events, Stop> { Ok(vcpu.read(KVM_GET_VCPU_EVENTS)?) };
    vcpu.write(KVM_SET_VCPU_EVENTS, &{
        let mut events = events()?;
        events.smi.smm = 1;
        events
    })?;
    all.send(INIT)?;
    all.send(startup(PAGE))?;
    // The SIPI came too early, and is gone.
    equal((get(vcpu)?, events()?.smi.latched_init), (RUNNABLE, 1))?;
    vcpu.write(KVM_SET_VCPU_EVENTS, &{
        let mut events = events()?;
        events.smi.smm = 0;
        events
    })?;
    equal((get(vcpu)?, events()?.smi.latched_init), (INIT_RECEIVED, 0))
}
claim!(
    smm_latches_init,
    "INIT to a vCPU in SMM is latched until it leaves, and a SIPI there is lost",
    [Manual("AMD APM volume 2, 10.3.3 Exceptions and Interrupts"), Code(ACCEPTS)],
    Has(KVM_CAP_IRQCHIP),
    Has(harness::kvm::KVM_CAP_X86_SMM),
);

fn nmis_are_sent_too() -> Outcome {
    let all = Processors::sending(2, &[(1, NMI), (0, OTHERS | NMI)])?;
    let pending = || -> Result<Vec<bool>, Stop> {
        let of = |vcpu: &Vcpu| -> Result<bool, Stop> {
            Ok(vcpu.read::<abi::kvm_vcpu_events>(KVM_GET_VCPU_EVENTS)?.nmi.pending != 0)
        };
        [&all.stage.vcpu].into_iter().chain(&all.others).map(of).collect()
    };
    all.send(NMI)?;
    equal(pending()?, vec![false, true, false])?;
    all.send(NMI)?;
    equal(pending()?, vec![false, true, true])
}
claim!(
    nmis_are_sent_too,
    "An NMI that one vCPU sends another pends there, and one to all but itself at all but itself",
    [Manual(ICR), Api("4.31 KVM_GET_VCPU_EVENTS")],
    Has(KVM_CAP_IRQCHIP),
);

fn whoever_was_created_is_reached(count: u8) -> Outcome {
    let count = count % 3 + 1;
    let all = Processors::fresh(count.into(), &[(count, INIT)])?;
    all.send(INIT)?;
    equal(all.states()?.last().copied(), Some(INIT_RECEIVED))
}
claim!(
    whoever_was_created_is_reached,
    "The vCPU that was created last receives an interrupt that is sent to its APIC ID, although nothing was set of its local APIC",
    [Manual(ICR), Code("kvm_recalculate_apic_map, arch/x86/kvm/lapic.c")],
    Has(KVM_CAP_IRQCHIP),
);
