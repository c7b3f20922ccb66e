//! KVM_EXIT_IOAPIC_EOI: with a split irqchip, the end of a level-triggered interrupt is told to the IOAPIC in user space.

use guests::Mode;
use guests::iced_x86::code_asm::{al, dword_ptr, eax};
use harness::kvm::{
    Descriptor, Exit, KVM_CAP_IRQCHIP, KVM_CAP_SIGNAL_MSI, KVM_CAP_SPLIT_IRQCHIP, KVM_SET_GSI_ROUTING,
    KVM_SIGNAL_MSI, Vm, abi, list_over,
};
use harness::{Controllers, Outcome, Stop, claim, each, equal};

use super::provoked::Provoked;
use super::stage::{END, Ending, Stage, out};

/// The headings that all of this rests on.
const EOI: &str = "5. The kvm_run structure, KVM_EXIT_IOAPIC_EOI";
const SPLIT: &str = "7.5 KVM_CAP_SPLIT_IRQCHIP";
/// Where a local APIC has its end-of-interrupt register and its spurious-interrupt vector register.
const EOI_REGISTER: u64 = 0xfee0_00b0;
const SPURIOUS: u64 = 0xfee0_00f0;
/// The port by which the guest says that it takes interrupts.
const READY: u16 = 0x80;
/// A message's address: the local APIC with identifier 0.
const APIC_0: u32 = 0xfee0_0000;
/// A message's data: level-triggered, asserted.
const LEVEL: u32 = 1 << 15 | 1 << 14;
/// KVM_IRQ_ROUTING_MSI.
const ROUTE_MSI: u32 = 2;

/// Routes these pins to the local APIC by messages with this data.
fn route(vm: &Vm, pins: &[(u32, u32)]) -> Outcome {
    // struct kvm_irq_routing_entry: pin, type, flags, padding, then the message's address, its upper half, data, device.
    let entries: Vec<[u32; 12]> =
        pins.iter().map(|&(pin, data)| [pin, ROUTE_MSI, 0, 0, APIC_0, 0, data, 0, 0, 0, 0, 0]).collect();
    let count = u32::try_from(entries.len()).unwrap_or(u32::MAX);
    list_over(vm, KVM_SET_GSI_ROUTING, 8, count, &entries).answer?;
    Ok(())
}

/// A guest that lets interrupts in, and whose handler of this vector ends the interrupt; run up to where it waits for one.
fn waiting(controllers: Controllers, vector: u8, pins: &[(u32, u32)]) -> Result<(Stage, Vec<u64>), Stop> {
    let vm = controllers.vm()?;
    route(&vm, pins)?;
    let mut stage = Stage::within(vm, Mode::Long, |a| {
        a.mov(eax, 0x1ff)?;
        a.mov(dword_ptr(SPURIOUS), eax)?;
        a.sti()?;
        a.out(u32::from(READY), al)?;
        a.out(u32::from(END + 1), al)
    })?;
    stage.catch_exceptions()?;
    let handler = stage.handle(vector, |a| {
        a.mov(dword_ptr(EOI_REGISTER), eax)?;
        a.out(u32::from(END), al)
    })?;
    equal(stage.run()?, out(READY, &[0xff]))?;
    Ok((stage, handler))
}

/// Sends the guest a message.
fn interrupt(stage: &Stage, data: u32) -> Outcome {
    let msi = abi::kvm_msi { address_lo: APIC_0, data, ..Default::default() };
    equal(stage.vm.write(KVM_SIGNAL_MSI, &msi)?, 1)
}

/// A vector that a device may have.
fn device(vector: u8) -> u8 {
    vector.max(0x20)
}

fn level_triggered_ends_are_told(vector: u8, pin: u8) -> Outcome {
    let (vector, pin) = (device(vector), u32::from(pin % 24));
    let data = LEVEL | u32::from(vector);
    let (stage, handler) = waiting(Controllers::Split, vector, &[(pin, data)])?;
    interrupt(&stage, data)?;
    equal(stage.run()?, Exit::IoapicEoi { vector })?;
    equal(stage.registers()?.rip, handler[1])?;
    equal(stage.run()?, out(END, &[0xff]))
}
claim!(
    level_triggered_ends_are_told,
    "The end of an interrupt that a reserved pin routes as level-triggered leaves KVM_EXIT_IOAPIC_EOI with its vector, done",
    [Api(EOI), Api(SPLIT)],
    Has(KVM_CAP_SPLIT_IRQCHIP),
    Has(KVM_CAP_SIGNAL_MSI),
);

fn a_repeated_interrupt_is_told_again(vector: u8, times: u8) -> Outcome {
    let vector = device(vector);
    let data = LEVEL | u32::from(vector);
    let (stage, handler) = waiting(Controllers::Split, vector, &[(0, data)])?;
    for _ in 0..=times % 4 {
        // As an IOAPIC in user space does whose pin is still asserted.
        interrupt(&stage, data)?;
        equal(stage.run()?, Exit::IoapicEoi { vector })?;
        // Interrupts are let in again, as an IRET would.
        let regs = stage.vcpu.get_regs()?;
        equal(regs.rip, handler[1])?;
        stage.vcpu.set_regs(&abi::kvm_regs { rflags: regs.rflags | 1 << 9, ..regs })?;
    }
    equal(stage.run()?, out(END, &[0xff]))
}
claim!(
    a_repeated_interrupt_is_told_again,
    "An interrupt that is sent again at KVM_EXIT_IOAPIC_EOI is taken, and its end leaves again",
    [Api(EOI)],
    Has(KVM_CAP_SPLIT_IRQCHIP),
    Has(KVM_CAP_SIGNAL_MSI),
);

fn edge_triggered_ends_are_not_told(vector: u8) -> Outcome {
    let vector = device(vector);
    let data = u32::from(vector);
    let (stage, _) = waiting(Controllers::Split, vector, &[(0, data)])?;
    interrupt(&stage, data)?;
    equal(stage.run()?, out(END, &[0xff]))
}
claim!(
    edge_triggered_ends_are_not_told,
    "The end of an interrupt that its pin routes as edge-triggered does not leave the guest",
    [Api(EOI)],
    Has(KVM_CAP_SPLIT_IRQCHIP),
    Has(KVM_CAP_SIGNAL_MSI),
);

fn other_vectors_are_not_told(a: u8, b: u8) -> Outcome {
    let vector = device(a);
    let other = if device(b) == vector { vector ^ 1 } else { device(b) };
    let (stage, _) = waiting(Controllers::Split, vector, &[(0, LEVEL | u32::from(other))])?;
    interrupt(&stage, LEVEL | u32::from(vector))?;
    equal(stage.run()?, out(END, &[0xff]))
}
claim!(
    other_vectors_are_not_told,
    "The end of a level-triggered interrupt whose vector no pin has does not leave the guest",
    [Api(EOI), Code("kvm_ioapic_handles_vector, arch/x86/kvm/lapic.c")],
    Has(KVM_CAP_SPLIT_IRQCHIP),
    Has(KVM_CAP_SIGNAL_MSI),
);

fn pins_that_are_not_reserved_are_not_told(vector: u8, pin: u8) -> Outcome {
    let vector = device(vector);
    let data = LEVEL | u32::from(vector);
    let (stage, _) = waiting(Controllers::Split, vector, &[(24 + u32::from(pin % 100), data)])?;
    interrupt(&stage, data)?;
    equal(stage.run()?, out(END, &[0xff]))
}
claim!(
    pins_that_are_not_reserved_are_not_told,
    "The end of an interrupt that only a pin past the reserved ones routes does not leave the guest",
    [Api(SPLIT)],
    Has(KVM_CAP_SPLIT_IRQCHIP),
    Has(KVM_CAP_SIGNAL_MSI),
);

fn an_end_without_an_interrupt_is_not_told() -> Outcome {
    let vm = Controllers::Split.vm()?;
    route(&vm, &[(0, LEVEL | 0x40)])?;
    let stage = Stage::within(vm, Mode::Long, |a| {
        a.mov(eax, 0x1ff)?;
        a.mov(dword_ptr(SPURIOUS), eax)?;
        a.mov(dword_ptr(EOI_REGISTER), eax)?;
        a.out(u32::from(END), al)
    })?;
    equal(stage.run()?, out(END, &[0xff]))
}
claim!(
    an_end_without_an_interrupt_is_not_told,
    "A write to the EOI register without an interrupt in service does not leave the guest",
    [Code("apic_set_eoi, arch/x86/kvm/lapic.c")],
    Has(KVM_CAP_SPLIT_IRQCHIP),
);

fn an_in_kernel_ioapic_is_not_asked(vector: u8) -> Outcome {
    let vector = device(vector);
    each([0, 23], |&pin| {
        let data = LEVEL | u32::from(vector);
        let (stage, _) = waiting(Controllers::Kernel, vector, &[(pin, data)])?;
        interrupt(&stage, data)?;
        equal(stage.run()?, out(END, &[0xff]))
    })
}
claim!(
    an_in_kernel_ioapic_is_not_asked,
    "With an in-kernel IOAPIC, the end of a level-triggered interrupt does not leave the guest",
    [Api(EOI)],
    Has(KVM_CAP_IRQCHIP),
    Has(KVM_CAP_SIGNAL_MSI),
);

/// The end of a level-triggered interrupt, which is over by the time of its exit.
pub(super) fn end() -> Result<Provoked, Stop> {
    const VECTOR: u8 = 0x51;
    let data = LEVEL | u32::from(VECTOR);
    let (stage, handler) = waiting(Controllers::Split, VECTOR, &[(3, data)])?;
    interrupt(&stage, data)?;
    let before = stage.registers()?;
    let mut at = before;
    (at.rip, at.rsp, at.rflags) = (handler[1], before.rsp - 5 * 8, before.rflags & !(1 << 9));
    let mut regs = at;
    regs.rip = handler[1];
    let mut end = Ending { regs, ..stage.untouched(4) };
    // RIP behind the OUT, CS, RFLAGS, RSP and SS, as an interrupt in long mode leaves them.
    let entry = &stage.image.entry;
    let selectors = [entry.cs.selector, entry.ss.selector].map(u64::from);
    let frame = [stage.at(4), selectors[0], before.rflags, before.rsp, selectors[1]];
    end.wrote(at.rsp, &frame.map(u64::to_le_bytes).concat());
    Ok(Provoked {
        at,
        completed: at,
        end: Some((out(END, &[0xff]), end)),
        ..Provoked::of(stage, Exit::IoapicEoi { vector: VECTOR })
    })
}
