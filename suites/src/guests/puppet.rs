//! What a puppet is told is done inside of the guest: Intel SDM volume 2, the instructions' own pages.

use guests::{Command, Control, Event, MMIO_HOLE, Mode, Registers, SCRATCH, Width};
use harness::kvm::Kvm;
use harness::{Outcome, Puppet, Stop, Told, claim, each, equal, holds};

/// The modes that puppets live in.
const MODES: [Mode; 4] = [Mode::Real, Mode::Protected, Mode::Compat, Mode::Long];
const PORT: u16 = 0x1f80;
const VALUE: u64 = 0x8877_6655_4433_2211;
const KERNEL_GS_BASE: u32 = 0xc000_0102;
/// An MSR that no processor has.
const NO_MSR: u32 = 0x4321_8765;
/// What a hypercall answers that there is not.
const ENOSYS: i64 = -1000;
const UNKNOWN_HYPERCALL: u64 = 0xffff;

/// In each mode, `check` holds of a puppet; where it breaks, the witness has what the puppet ran.
fn in_each_mode(check: impl Fn(&Puppet, Mode) -> Outcome) -> Outcome {
    each(MODES, |mode| {
        let puppet = Puppet::of(*mode)?;
        puppet.witnessed(check(&puppet, *mode))
    })
}

fn widths(mode: Mode) -> impl Iterator<Item = Width> {
    Width::ALL.into_iter().filter(move |width| mode.widths().contains(&width.bytes()))
}

fn ports() -> Outcome {
    in_each_mode(|puppet, _| {
        each([Width::Byte, Width::Word, Width::Dword], |&width| {
            let data = &VALUE.to_le_bytes()[..width.bytes()];
            let Told { events, done } = puppet.tell(&Command::Out(PORT, width, VALUE), &[])?;
            equal((events, done.report), (vec![Event::out(PORT, data)], None))?;
            let read = Command::In(PORT, width);
            let Told { events, done } = puppet.tell(&read, &[data])?;
            equal((events, done.report), (vec![Event::read(PORT, data)], None))?;
            equal(read.value(&done.registers), VALUE & width.mask())
        })
    })
}
claim!(
    ports,
    "IN and OUT of each width, told to a guest while it runs, leave it as told and take what the host gives",
    [
        Api("5 The kvm_run structure, KVM_EXIT_IO"),
        Manual("Intel SDM volume 2, IN—Input From Port, OUT—Output to Port")
    ]
);

fn string_ports() -> Outcome {
    in_each_mode(|puppet, _| {
        each([Width::Byte, Width::Word, Width::Dword], |&width| {
            let given: Vec<u8> = (1..).take(3 * width.bytes()).collect();
            let told =
                puppet.tell(&Command::Ins(PORT, width, 3), &given.chunks(given.len()).collect::<Vec<_>>())?;
            equal(values(&told.events), given.clone())?;
            equal(puppet.guest().memory().read(0x8000, given.len())?, given.clone())?;
            let told = puppet.tell(&Command::Outs(PORT, width, 3), &[])?;
            equal(values(&told.events), given)?;
            let Registers { rcx, rsi, .. } = told.done.registers;
            equal((rcx, rsi), (0, SCRATCH + 3 * width.bytes() as u64))
        })
    })
}
claim!(
    string_ports,
    "REP INS and REP OUTS of each width, told to a guest while it runs, move their values in order",
    [
        Api("5 The kvm_run structure, KVM_EXIT_IO"),
        Manual("Intel SDM volume 2, REP/REPE/REPZ/REPNE/REPNZ—Repeat String Operation Prefix")
    ]
);

/// What was moved, however many exits it took.
fn values(events: &[Event]) -> Vec<u8> {
    let data = events.iter().map(|event| match event {
        Event::Out { port: PORT, data, .. } | Event::In { port: PORT, data, .. } => data.clone(),
        _ => Vec::new(),
    });
    data.flatten().collect()
}

fn memory() -> Outcome {
    in_each_mode(|puppet, mode| {
        each(widths(mode), |&width| {
            let value = VALUE & width.mask();
            equal(puppet.write(SCRATCH, width, VALUE)?, Ok(0))?;
            equal(puppet.read(SCRATCH, width, &[])?, Ok(value))?;
            let data = &VALUE.to_le_bytes()[..width.bytes()];
            let at = MMIO_HOLE + 0x40;
            let told = puppet.tell(&Command::Write(at, width, VALUE), &[])?;
            equal(told.events, vec![Event::mmio_write(at, data)])?;
            equal(puppet.read(at, width, data)?, Ok(value))
        })
    })
}
claim!(
    memory,
    "MOV of each width, told to a guest while it runs, keeps its value in RAM and leaves with it where there is none",
    [Api("5 The kvm_run structure, KVM_EXIT_MMIO"), Manual("Intel SDM volume 2, MOV—Move")]
);

fn msrs() -> Outcome {
    in_each_mode(|puppet, mode| {
        let kept = KERNEL_GS_BASE;
        equal(puppet.wrmsr(kept, 0x1234_5678)?, Ok(0))?;
        equal(puppet.rdmsr(kept)?, Ok(0x1234_5678))?;
        for refused in [puppet.rdmsr(NO_MSR)?, puppet.wrmsr(NO_MSR, 0)?] {
            let report = refused.err().map(|exception| (exception.0.vector, exception.0.error));
            let error = if mode == Mode::Real { None } else { Some(0) };
            equal(report, Some((13, error)))?;
        }
        equal(puppet.rdmsr(kept)?, Ok(0x1234_5678))
    })
}
claim!(
    msrs,
    "WRMSR and RDMSR, told to a guest while it runs, keep a value, and raise #GP for an MSR that there is not",
    [Manual(
        "Intel SDM volume 2, RDMSR—Read From Model Specific Register, WRMSR—Write to Model Specific Register"
    )]
);

fn cpuid() -> Outcome {
    let offered = Kvm::open()?.get_supported_cpuid()?;
    let leaf = offered.iter().find(|entry| entry.function == 0);
    let vendor = leaf.map(|entry| [entry.ebx, entry.ecx, entry.edx].map(u64::from));
    in_each_mode(|puppet, _| {
        let seen = puppet.cpuid(0, 0)?;
        equal(seen.ok().map(|[_, rbx, rcx, rdx]| [rbx, rcx, rdx]), vendor)
    })
}
claim!(
    cpuid,
    "CPUID, told to a guest while it runs, answers the vendor that KVM_SET_CPUID2 was given",
    [
        Code("kvm_vcpu_ioctl_set_cpuid2, arch/x86/kvm/cpuid.c"),
        Manual("Intel SDM volume 2, CPUID—CPU Identification")
    ]
);

fn controls() -> Outcome {
    in_each_mode(|puppet, mode| {
        let wide = if mode == Mode::Long { 0x1234_5678_0000 } else { 0x5678_0000 };
        for control in [Control::Cr2, Control::Dr0, Control::Dr3] {
            equal(puppet.write_control(control, wide)?, Ok(0))?;
            equal(puppet.read_control(control)?, Ok(wide))?;
        }
        let cr0 = puppet.read_control(Control::Cr0)?;
        equal(cr0.map(|cr0| cr0 & 1), Ok((mode != Mode::Real).into()))?;
        let reserved = puppet.write_control(Control::Cr4, 1 << 31)?;
        equal(reserved.err().map(|exception| exception.0.vector), Some(13))
    })
}
claim!(
    controls,
    "MOV to and from control and debug registers, told to a guest while it runs, keeps values, and raises #GP for a reserved bit of CR4",
    [Manual("Intel SDM volume 2, MOV—Move to/from Control Registers, MOV—Move to/from Debug Registers")]
);

fn task_priority() -> Outcome {
    let puppet = Puppet::of(Mode::Long)?;
    equal(puppet.write_control(Control::Cr8, 5)?, Ok(0))?;
    puppet.witnessed(equal(puppet.read_control(Control::Cr8)?, Ok(5)))
}
claim!(
    task_priority,
    "CR8, told to a guest while it runs, keeps its value where there is no local APIC in the kernel",
    [Manual("Intel SDM volume 3, 12.8.6 Task Priority in IA-32e Mode")]
);

fn halts() -> Outcome {
    in_each_mode(|puppet, _| {
        let Told { events, done } = puppet.tell(&Command::Halt, &[])?;
        equal((events, done.report), (vec![Event::Halt], None))
    })
}
claim!(
    halts,
    "HLT, told to a guest while it runs, leaves KVM_EXIT_HLT, and the guest goes on behind it",
    [Api("5 The kvm_run structure, KVM_EXIT_HLT"), Manual("Intel SDM volume 2, HLT—Halt")]
);

fn vmmcall(puppet: Puppet) -> Outcome {
    hypercall(&puppet, Command::Vmmcall)
}
claim!(
    vmmcall,
    "VMMCALL with a number that KVM does not know answers -KVM_ENOSYS",
    [Doc("virt/kvm/x86/hypercalls.rst"), Code("kvm_emulate_hypercall, arch/x86/kvm/x86.c")],
    Any(&[Amd, Intel])
);

fn vmcall(puppet: Puppet) -> Outcome {
    hypercall(&puppet, Command::Vmcall)
}
claim!(
    vmcall,
    "VMCALL with a number that KVM does not know answers -KVM_ENOSYS, whoever made the processor",
    [Doc("virt/kvm/x86/hypercalls.rst"), Code("emulator_fix_hypercall, arch/x86/kvm/x86.c")],
    Any(&[Amd, Intel])
);

fn hypercall(puppet: &Puppet, call: fn(Registers) -> Command) -> Outcome {
    let registers = Registers { rax: UNKNOWN_HYPERCALL, ..Registers::default() };
    let done = puppet.tell(&call(registers), &[])?.done;
    puppet.witnessed(equal((done.report, done.registers.rax.cast_signed()), (None, ENOSYS)))
}

fn any_bytes() -> Outcome {
    in_each_mode(|puppet, _| {
        // add eax, ebx in 16-bit code and elsewhere.
        let bytes: &[u8] = if puppet.mode().bitness() == 16 { &[0x66, 1, 0xd8] } else { &[1, 0xd8] };
        let given = Registers { rax: 0x7000_0000, rbx: 0x2000_0001, rsp: 0x7000, ..Registers::default() };
        let done = puppet.run(bytes, given)?.done;
        let Registers { rax, rbx, rsp, rflags, .. } = done.registers;
        // SF and OF, and the bit that is always set.
        equal((rax, rbx, rsp, rflags, done.report), (0x9000_0001, 0x2000_0001, 0x7000, 0x882, None))?;
        let report = puppet.run(&[0x0f, 0x0b], given)?.done.report;
        equal(report.map(|report| (report.vector, report.registers.rip)), Some((6, puppet.buffer())))?;
        let report = report.ok_or_else(|| Stop::Skip("there is no report".into()))?;
        equal((report.registers.rax, report.registers.rsp), (given.rax, given.rsp))
    })
}
claim!(
    any_bytes,
    "Any instruction bytes, told to a guest while it runs, find and leave the registers as the processor has it",
    [Manual("Intel SDM volume 2, ADD—Add, UD—Undefined Instruction")]
);

fn several_vcpus() -> Outcome {
    each([Mode::Protected, Mode::Long], |mode| {
        let puppets = Puppet::several(*mode, guests::VCPUS)?;
        for (index, puppet) in puppets.iter().enumerate() {
            equal(puppet.write_control(Control::Dr0, 0x100 + index as u64)?, Ok(0))?;
            equal(puppet.write(SCRATCH + 8 * index as u64, Width::Dword, index as u64)?, Ok(0))?;
        }
        for (index, puppet) in puppets.iter().enumerate().rev() {
            equal(puppet.read_control(Control::Dr0)?, Ok(0x100 + index as u64))?;
            let report = puppet.run(&[0x0f, 0x0b], Registers::default())?.done.report;
            equal(report.map(|report| report.vector), Some(6))?;
            let other = (index + 1) % puppets.len();
            puppet.witnessed(equal(
                puppet.read(SCRATCH + 8 * other as u64, Width::Dword, &[])?,
                Ok(other as u64),
            ))?;
        }
        holds(puppets.len() > 1, "there is more than one")
    })
}
claim!(
    several_vcpus,
    "vCPUs of one VM have registers and exceptions of their own, and RAM in common",
    [Api("4.7 KVM_CREATE_VCPU"), Api("4.35 KVM_SET_USER_MEMORY_REGION")]
);
