//! Commands become instructions that say the same, and a puppet's orders lead back to where it stores its registers.

use guests::protocol::{self, BLOCK, REGISTERS, Report};
use guests::{Act, Command, Control, Done, MMIO_HOLE, Mode, Puppet, PuppetError, Registers, SCRATCH, Width};
use proptest::prelude::*;
use rstest::rstest;

const MODES: [Mode; 5] = [Mode::Real, Mode::Protected, Mode::Pae, Mode::Compat, Mode::Long];

#[rstest]
#[case::input(Command::In(0x1f80, Width::Word), Mode::Long, "in ax, dx", Registers { rdx: 0x1f80, ..Registers::default() })]
#[case::output(Command::Out(0x80, Width::Byte, 7), Mode::Real, "out dx, al", Registers { rdx: 0x80, rax: 7, ..Registers::default() })]
#[case::ins(Command::Ins(0x80, Width::Dword, 3), Mode::Protected, "rep insd [edi], dx", Registers { rdx: 0x80, rcx: 3, rdi: SCRATCH, ..Registers::default() })]
#[case::outs(Command::Outs(0x80, Width::Byte, 3), Mode::Long, "rep outsb dx, [rsi]", Registers { rdx: 0x80, rcx: 3, rsi: SCRATCH, ..Registers::default() })]
#[case::read(Command::Read(SCRATCH, Width::Qword), Mode::Long, "mov rax, [rsi]", Registers { rsi: SCRATCH, ..Registers::default() })]
#[case::read_hole(Command::Read(MMIO_HOLE + 4, Width::Dword), Mode::Real, "mov eax, fs:[si]", Registers { rsi: 4, ..Registers::default() })]
#[case::write(Command::Write(MMIO_HOLE, Width::Byte, 9), Mode::Compat, "mov [edi], al", Registers { rdi: MMIO_HOLE, rax: 9, ..Registers::default() })]
#[case::rdmsr(Command::Rdmsr(0x10), Mode::Real, "rdmsr", Registers { rcx: 0x10, ..Registers::default() })]
#[case::wrmsr(Command::Wrmsr(0x10, 0x2_0000_0003), Mode::Long, "wrmsr", Registers { rcx: 0x10, rax: 3, rdx: 2, ..Registers::default() })]
#[case::cpuid(Command::Cpuid(7, 1), Mode::Long, "cpuid", Registers { rax: 7, rcx: 1, ..Registers::default() })]
#[case::read_control(Command::ReadControl(Control::Cr3), Mode::Long, "mov rax, cr3", Registers::default())]
#[case::write_control(Command::WriteControl(Control::Dr7, 0x400), Mode::Protected, "mov dr7, eax", Registers { rax: 0x400, ..Registers::default() })]
#[case::halt(Command::Halt, Mode::Real, "hlt", Registers::default())]
#[case::vmmcall(Command::Vmmcall(Registers::default()), Mode::Long, "vmmcall", Registers::default())]
#[case::vmcall(Command::Vmcall(Registers::default()), Mode::Long, "vmcall", Registers::default())]
fn a_command_is_its_instruction(
    #[case] command: Command,
    #[case] mode: Mode,
    #[case] text: &str,
    #[case] registers: Registers,
) {
    let act = command.act(mode).unwrap();
    let lines = act.disassemble(0, mode);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].ends_with(text), "{lines:?}");
    assert_eq!(act.registers, registers);
    let written = serde_json::to_string(&command).unwrap();
    assert_eq!(serde_json::from_str::<Command>(&written).unwrap(), command);
}

#[test]
fn what_a_mode_lacks_is_refused() {
    assert!(Command::Read(SCRATCH, Width::Qword).act(Mode::Protected).is_err());
    for mode in [Mode::Virtual8086, Mode::Segmented] {
        assert!(matches!(Puppet::new(mode, 1), Err(PuppetError::NoSuchMode(refused)) if refused == mode));
    }
    let puppet = Puppet::new(Mode::Long, 1).unwrap();
    let long = Act { bytes: vec![0x90; 0x200], registers: Registers::default() };
    assert!(matches!(puppet.orders(0, &long), Err(PuppetError::TooLong(0x200))));
}

#[test]
fn answers_are_found_in_the_registers() {
    let after = Registers { rax: 0xa1a2_a3a4_a5a6_a7a8, rdx: 0xb1b2_b3b4, ..Registers::default() };
    assert_eq!(Command::In(0, Width::Byte).value(&after), 0xa8);
    assert_eq!(Command::Read(0, Width::Qword).value(&after), after.rax);
    assert_eq!(Command::Rdmsr(0).value(&after), 0xb1b2_b3b4_a5a6_a7a8);
    assert_eq!(Command::Halt.value(&after), 0);
}

fn any_registers() -> impl Strategy<Value = Registers> {
    proptest::collection::vec(any::<u64>(), Registers::NAMES.len()).prop_map(|values| Registers::of(&values))
}

proptest! {
    /// The orders hold the registers and the bytes, and behind them a jump to the code behind the puppet's own jump to its buffer.
    #[test]
    fn orders_lead_back(
        mode in proptest::sample::select(&MODES[..]),
        vcpu in 0..guests::VCPUS,
        bytes in proptest::collection::vec(any::<u8>(), 0..0x40),
        registers in any_registers(),
    ) {
        let puppet = Puppet::new(mode, guests::VCPUS).unwrap();
        let orders = puppet.orders(vcpu, &Act { bytes: bytes.clone(), registers }).unwrap();
        let (at, held) = &orders[0];
        prop_assert_eq!(*at, protocol::block(vcpu) + REGISTERS as u64);
        let read = protocol::read_registers(held, 0).unwrap();
        let rsp = if registers.rsp == 0 { read.rsp } else { registers.rsp };
        prop_assert_eq!(read, Registers { rflags: registers.rflags | 2, rsp, ..registers });
        prop_assert!(read.rsp != 0);
        let (at, laid) = &orders[1];
        prop_assert_eq!(*at, puppet.buffer(vcpu));
        prop_assert_eq!(&laid[..bytes.len()], &bytes[..]);
        let behind = at + bytes.len() as u64;
        let jump = guests::disassemble(&laid[bytes.len()..], behind, mode);
        prop_assert_eq!(jump.len(), 1);
        let target = u64::from_str_radix(jump[0].rsplit("0x").next().unwrap(), 16).unwrap();
        let ram = puppet.image.ram();
        let start = usize::try_from(at - 0x200).unwrap();
        let own = guests::disassemble(&ram[start..start + 0x200], start as u64, mode);
        let leads = |line: &String| {
            line.contains(" jmp ") && u64::from_str_radix(line.rsplit("0x").next().unwrap(), 16) == Ok(*at)
        };
        let to_buffer = own.iter().position(leads).unwrap();
        let next = u64::from_str_radix(own[to_buffer + 1].split(' ').next().unwrap(), 16).unwrap();
        prop_assert_eq!(target, next);
    }

    #[test]
    fn what_became_of_an_act_reads_back(registers in any_registers(), report in any::<bool>(), vcpu in 0usize..2) {
        let puppet = Puppet::new(Mode::Long, 2).unwrap();
        let mut block = vec![0; usize::try_from(BLOCK).unwrap()];
        protocol::write_registers(&mut block, REGISTERS, &registers);
        let raised = Report { vector: 13, error: Some(0), cs: 8, ss: 0x10, cr2: 0, registers: Registers::default() };
        raised.write(&mut block);
        let done = puppet.done(vcpu, &block, report).unwrap();
        let expected = match report {
            true => Done { registers: raised.registers, report: Some(raised) },
            false => Done { registers: Registers { rip: puppet.buffer(vcpu), ..registers }, report: None },
        };
        prop_assert_eq!(done, expected);
    }
}
