//! The kernel's own interrupt controllers and timer as a twin: the script runs in a guest on bare KVM, its interrupt lines go by
//! KVM_IRQ_LINE, and the state comes from KVM_GET_IRQCHIP, KVM_GET_PIT2 and KVM_GET_LAPIC.

use std::sync::Arc;

use guests::script::{END_PORT, LINES_PORT, Script};
use guests::{Event, Image};
use harness::kvm::{
    Descriptor, Exit, KVM_GET_IRQCHIP, KVM_GET_LAPIC, KVM_GET_PIT2, KVM_IRQ_LINE, Kvm, Memory, Refused, Vcpu,
    Vm, abi,
};
use harness::twins::Answers;
use harness::{Broken, HostFault, Stop, entry};

use super::parts::{Parts, put};

/// After so many exits a script will not come to its end any more.
const EXITS: usize = 2000;
/// The lines that a script can reach.
const LINES: u16 = 24;

/// What the kernel's devices say; of their state, the parts whose names begin so.
pub(super) fn answer(script: &Script, device: &str) -> Result<Answers, Stop> {
    let image = script.image().map_err(fault)?;
    let (vm, vcpu) = machine(&image)?;
    let events = run(&vm, &vcpu)?;
    let said = script.said(&events).ok_or_else(|| fault(format!("these are no answers: {events:?}")))?;
    let mut state = state(&vm, &vcpu)?;
    state.retain(|part, _| part.contains(device));
    Ok(Answers { said, state })
}

/// A VM with everything in the kernel, and a vCPU about to run the image.
fn machine(image: &Image) -> Result<(Vm, Vcpu), Stop> {
    let kvm = Kvm::open()?;
    let vm = kvm.create_vm(0)?;
    vm.create_irqchip()?;
    vm.create_pit2(abi::KVM_PIT_SPEAKER_DUMMY)?;
    vm.set_tss_addr()?;
    let ram = image.ram();
    let memory = Arc::new(Memory::new(ram.len())?);
    memory.write(0, &ram)?;
    vm.set_memory(0, 0, 0, &memory)?;
    let vcpu = vm.create_vcpu(0)?;
    vcpu.set_cpuid2(&kvm.get_supported_cpuid()?)?;
    vcpu.set_sregs(&entry::sregs(&image.entry, vcpu.get_sregs()?))?;
    vcpu.set_regs(&entry::regs(&image.entry.registers))?;
    Ok((vm, vcpu))
}

/// Runs the guest to the end of its script. What it asks of others than the kernel's devices nobody answers.
fn run(vm: &Vm, vcpu: &Vcpu) -> Result<Vec<Event>, Stop> {
    let mut events = Vec::new();
    let mut lines = 0_u32;
    for _ in 0..EXITS {
        match vcpu.run()? {
            Exit::Io { out: true, port: END_PORT, .. } => return Ok(events),
            Exit::Io { out: true, port, data, .. } if (LINES_PORT..LINES_PORT + LINES).contains(&port) => {
                let (line, level) = (u32::from(port - LINES_PORT), data.first() != Some(&0));
                // A line that a device holds already changes nothing, as on our bus.
                if (lines >> line & 1 != 0) != level {
                    lines ^= 1 << line;
                    set_line(vm, line, level)?;
                }
            }
            Exit::Io { out: true, port, data, .. } => events.push(Event::out(port, data)),
            other => return Err(fault(format!("the script left its machine with {other:?}"))),
        }
    }
    let broken = Broken::new(format!("the script did not come to its end within {EXITS} exits"));
    Err(Stop::Hung(Box::new(broken)))
}

fn set_line(vm: &Vm, line: u32, level: bool) -> Result<(), Refused> {
    let mut request = abi::kvm_irq_level { level: level.into(), ..Default::default() };
    request.__bindgen_anon_1.irq = line;
    vm.write(KVM_IRQ_LINE, &request).map(drop)
}

fn state(vm: &Vm, vcpu: &Vcpu) -> Result<Parts, Stop> {
    let mut parts = Parts::new();
    for (chip, name) in [(abi::KVM_IRQCHIP_PIC_MASTER, "first"), (abi::KVM_IRQCHIP_PIC_SLAVE, "second")] {
        pic(&mut parts, name, &irqchip(vm, chip)?);
    }
    ioapic(&mut parts, &irqchip(vm, abi::KVM_IRQCHIP_IOAPIC)?);
    let pit: abi::kvm_pit_state2 = vm.read(KVM_GET_PIT2)?;
    for (number, channel) in pit.channels.iter().enumerate() {
        counter(&mut parts, number, channel);
    }
    let lapic: abi::kvm_lapic_state = vcpu.read(KVM_GET_LAPIC)?;
    let register = |at: usize| {
        let bytes = lapic.regs[at..at + 4].iter().map(|byte| byte.cast_unsigned());
        bytes.rev().fold(0, |word, byte| word << 8 | u64::from(byte))
    };
    for at in (0x20..0x400).step_by(0x10) {
        put(&mut parts, &format!("local APIC {at:#x}"), register(at));
    }
    Ok(parts)
}

/// `struct kvm_irqchip` in words: the chip, padding, the state.
type Chip = [u32; 130];

fn irqchip(vm: &Vm, id: u32) -> Result<Chip, Refused> {
    let mut chip: Chip = [0; 130];
    chip[0] = id;
    vm.update(KVM_GET_IRQCHIP, &mut chip).map(|_| chip)
}

/// `struct kvm_pic_state`, whose fields are bytes.
fn pic(parts: &mut Parts, name: &str, chip: &Chip) {
    let bytes: Vec<u8> = chip[2..6].iter().flat_map(|word| word.to_le_bytes()).collect();
    let fields = [
        "last_irr",
        "requests",
        "mask",
        "in service",
        "rotation",
        "base",
        "reads in service",
        "polls",
        "special mask",
        "step",
        "auto EOI",
        "rotates on auto EOI",
        "special fully nested",
        "wants ICW4",
        "ELCR",
    ];
    for (field, byte) in fields.into_iter().zip(bytes) {
        put(parts, &format!("{name} i8259 {field}"), byte.into());
    }
}

/// `struct kvm_ioapic_state`.
fn ioapic(parts: &mut Parts, chip: &Chip) {
    let state = &chip[2..];
    put(parts, "IOAPIC selected", state[2].into());
    put(parts, "IOAPIC id", state[3].into());
    for (pin, entry) in state[6..54].chunks(2).enumerate() {
        put(parts, &format!("IOAPIC pin {pin}"), u64::from(entry[1]) << 32 | u64::from(entry[0]));
    }
}

/// What of a counter does not tell the time.
fn counter(parts: &mut Parts, number: usize, state: &abi::kvm_pit_channel_state) {
    let mut put = |field: &str, value: u64| put(parts, &format!("i8254 counter {number} {field}"), value);
    put("count", state.count.into());
    put("mode", state.mode.into());
    put("is BCD", state.bcd.into());
    put("access", state.rw_mode.into());
    put("gate", state.gate.into());
    put("reads next", state.read_state.into());
    put("writes next", state.write_state.into());
    put("count latched", state.count_latched.into());
    put("status latched", state.status_latched.into());
}

fn fault(error: impl std::fmt::Display) -> Stop {
    Stop::HostFault(HostFault(format!("cannot have the kernel's devices answer: {error}")))
}
