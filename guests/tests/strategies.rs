//! Generated programs are total: in each mode they assemble, are made of instructions alone, reach nothing but the window and the
//! stack, keep to the control flow, look at no flag that is undefined, and know what they need. The oracle is the disassembler's own
//! knowledge of instructions.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use guests::iced_x86::{
    CpuidFeature, Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, OpAccess,
    OpKind, Register as Name, RflagsBits,
};
use guests::strategies::{
    Atomics, Moves, Msrs, Operands, Place, Ports, Program, Stack, Step, Straight, Strings, WINDOW,
};
use guests::{EntryState, Feature, Image, Mode};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde::Serialize;
use serde::de::DeserializeOwned;

fn instructions(image: &Image) -> Vec<Instruction> {
    let code = &image.code;
    Decoder::with_ip(code.mode.bitness(), &code.bytes, code.origin, DecoderOptions::NONE).iter().collect()
}

/// What holds of every program, whatever its steps.
fn is_total<S>(program: &Program<S>, mode: Mode, place: Place) -> Result<Vec<Instruction>, TestCaseError>
where
    S: Step + PartialEq + Serialize + DeserializeOwned,
{
    let image = program.image(mode, place).map_err(|error| TestCaseError::fail(error.to_string()))?;
    let all = instructions(&image);
    prop_assert!(all.iter().all(|instruction| !instruction.is_invalid()), "{:#?}", image.code.disassemble());
    prop_assert_eq!(all.last().map(|last| last.code()), Some(guests::iced_x86::Code::Hlt));
    prop_assert_eq!(program.count(mode, place).unwrap(), all.len());
    let written = serde_json::to_string(program).unwrap();
    prop_assert_eq!(&serde_json::from_str::<Program<S>>(&written).unwrap(), program);
    flags_are_defined(&all, program.undefined_flags(mode), &image)?;
    features_are_known(&all, &program.features(mode))?;
    Ok(all)
}

/// The flags of arithmetic among those that the disassembler tells of, as RFLAGS has them.
fn flags(bits: u32) -> u64 {
    let places = [
        (RflagsBits::CF, 0),
        (RflagsBits::PF, 2),
        (RflagsBits::AF, 4),
        (RflagsBits::ZF, 6),
        (RflagsBits::SF, 7),
        (RflagsBits::OF, 11),
    ];
    places.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, place)| 1 << place).sum()
}

fn flags_are_defined(all: &[Instruction], known: u64, image: &Image) -> Result<(), TestCaseError> {
    let mut undefined = 0;
    for instruction in all {
        let reads = flags(instruction.rflags_read());
        prop_assert_eq!(reads & undefined, 0, "{} {:#?}", instruction.ip(), image.code.disassemble());
        undefined = undefined & !flags(instruction.rflags_modified()) | flags(instruction.rflags_undefined());
    }
    prop_assert_eq!(undefined & !known, 0, "{:#?}", image.code.disassemble());
    Ok(())
}

fn features_are_known(all: &[Instruction], known: &[Feature]) -> Result<(), TestCaseError> {
    let needed = |feature: &CpuidFeature| match feature {
        CpuidFeature::MOVBE => Some(Feature::MOVBE),
        CpuidFeature::BMI1 => Some(Feature::BMI1),
        CpuidFeature::BMI2 => Some(Feature::BMI2),
        CpuidFeature::CX8 => Some(Feature::CX8),
        CpuidFeature::CMPXCHG16B => Some(Feature::CX16),
        CpuidFeature::SSE => Some(Feature::SSE),
        CpuidFeature::SSE2 => Some(Feature::SSE2),
        CpuidFeature::AVX => Some(Feature::AVX),
        _ => None,
    };
    for instruction in all {
        for feature in instruction.cpuid_features().iter().filter_map(needed) {
            prop_assert!(known.contains(&feature), "{feature} is not among {known:?}");
        }
    }
    Ok(())
}

/// The bases and indexes of addresses, which nothing may write to.
const FIXED: [Name; 6] = [Name::RBX, Name::RSI, Name::R12, Name::R13, Name::RSP, Name::RBP];

/// Where an operand in memory lies; none if the instruction has none, or does not reach it.
fn reached(instruction: &Instruction, image: &Image) -> Option<(u64, u64)> {
    let operand = (0..instruction.op_count()).find(|&i| instruction.op_kind(i) == OpKind::Memory)?;
    if instruction.mnemonic() == guests::iced_x86::Mnemonic::Lea {
        return None;
    }
    let EntryState { registers, ds, .. } = &image.entry;
    let address = instruction.virtual_address(operand, 0, |register, _, _| match register {
        Name::DS => Some(ds.base),
        _ => match register.full_register() {
            Name::RBX => Some(registers.rbx),
            Name::RSI => Some(registers.rsi),
            Name::R12 => Some(registers.r12),
            Name::R13 => Some(registers.r13),
            other => panic!("{other:?} is in an address"),
        },
    });
    Some((address.expect("every part is known"), instruction.memory_size().size() as u64))
}

/// Every operand lies in the window, and no address changes on the way.
fn keeps_to_the_window(all: &[Instruction], image: &Image, place: Place) -> Result<usize, TestCaseError> {
    let mut factory = InstructionInfoFactory::new();
    let mut count = 0;
    for instruction in all {
        prop_assert_ne!(instruction.memory_segment(), Name::SS, "through the stack segment");
        if let Some((address, size)) = reached(instruction, image) {
            let window = place.address()..=place.address() + WINDOW - size;
            prop_assert!(window.contains(&address), "{:#x} {:#?}", address, image.code.disassemble());
            count += 1;
        }
        for used in factory.info(instruction).used_registers() {
            let writes =
                !matches!(used.access(), OpAccess::Read | OpAccess::CondRead | OpAccess::NoMemAccess);
            let full = used.register().full_register();
            let own = instruction.stack_pointer_increment() != 0 && matches!(full, Name::RSP | Name::RBP);
            let own = own || instruction.mnemonic() == guests::iced_x86::Mnemonic::Leave;
            let own = own || instruction.mnemonic() == guests::iced_x86::Mnemonic::Enter;
            prop_assert!(!writes || own || !FIXED.contains(&full), "{:?} is written", used);
        }
    }
    Ok(count)
}

fn goes_straight_on(all: &[Instruction]) -> Result<(), TestCaseError> {
    for instruction in &all[..all.len() - 1] {
        prop_assert_eq!(instruction.flow_control(), FlowControl::Next, "{:?}", instruction.code());
    }
    Ok(())
}

fn any_place() -> impl Strategy<Value = (Mode, Place)> {
    (any::<Mode>(), any::<Place>())
}

proptest! {
    #[test]
    fn straight(program: Straight, (mode, place) in any_place()) {
        let all = is_total(&program, mode, place)?;
        let image = program.image(mode, place).unwrap();
        prop_assert_eq!(all.len(), program.steps.len() + 1);
        goes_straight_on(&all)?;
        prop_assert_eq!(keeps_to_the_window(&all, &image, place)?, 0);
    }

    #[test]
    fn operands(program: Operands, (mode, place) in any_place()) {
        let all = is_total(&program, mode, place)?;
        let image = program.image(mode, place).unwrap();
        prop_assert_eq!(all.len(), program.steps.len() + 1);
        goes_straight_on(&all)?;
        keeps_to_the_window(&all, &image, place)?;
    }

    #[test]
    fn atomics(program: Atomics, (mode, place) in any_place()) {
        let all = is_total(&program, mode, place)?;
        let image = program.image(mode, place).unwrap();
        prop_assert_eq!(all.len(), program.steps.len() + 1);
        goes_straight_on(&all)?;
        // A carry that is undefined makes a NOP of what reads it.
        let nops = all.iter().filter(|one| one.mnemonic() == guests::iced_x86::Mnemonic::Nop).count();
        prop_assert_eq!(keeps_to_the_window(&all, &image, place)? + nops, program.steps.len());
    }

    #[test]
    fn moves(program: Moves, (mode, place) in any_place()) {
        let all = is_total(&program, mode, place)?;
        let image = program.image(mode, place).unwrap();
        keeps_to_the_window(&all, &image, place)?;
        let avx = program.features(mode).contains(&Feature::AVX);
        prop_assert_eq!(all.len(), program.steps.len() + if avx { 8 } else { 1 });
        for instruction in &all {
            let aligned = instruction.cpuid_features().contains(&CpuidFeature::CMPXCHG16B);
            if let (true, Some((address, _))) = (aligned, reached(instruction, &image)) {
                prop_assert_eq!(address % 16, 0);
            }
        }
    }

    /// Source and destination lie in the window from the first to the last element, whichever way they go.
    #[test]
    fn strings(program: Strings, (mode, place) in any_place()) {
        let all = is_total(&program, mode, place)?;
        let image = program.image(mode, place).unwrap();
        goes_straight_on(&all)?;
        prop_assert_eq!(all.len(), 5 * program.steps.len() + 1);
        for (one, step) in all.chunks_exact(5).zip(&program.steps) {
            let [count, source, destination] = [0, 1, 2].map(|i| one[i].immediate(1));
            let size = step.width.bytes().min(if mode == Mode::Long { 8 } else { 4 }) as u64;
            let length = count * size;
            for begin in [source, destination].map(|offset| image.entry.ds.base + offset) {
                let (first, last) = if step.down { (begin + size - length, begin + size) } else { (begin, begin + length) };
                prop_assert!(first >= place.address() && last <= place.address() + WINDOW, "{first:#x} to {last:#x}");
            }
        }
    }

    /// The stack pointer never comes above where it began, and calls lead to the function that stands in the beginning.
    #[test]
    fn stack(program: Stack, (mode, place) in any_place()) {
        let all = is_total(&program, mode, place)?;
        let image = program.image(mode, place).unwrap();
        keeps_to_the_window(&all, &image, place)?;
        let (mut depth, mut frames) = (0i64, Vec::new());
        let function = &all[1];
        prop_assert_eq!(all[0].near_branch_target(), all[3].ip());
        prop_assert_eq!(all[2].flow_control(), FlowControl::Return);
        let mut stored = 0;
        for instruction in &all[3..] {
            match instruction.flow_control() {
                FlowControl::IndirectCall => prop_assert_eq!(stored, function.ip()),
                _ if instruction.mnemonic() == guests::iced_x86::Mnemonic::Enter => {
                    frames.push(depth);
                    depth += i64::from(instruction.stack_pointer_increment());
                }
                _ if instruction.mnemonic() == guests::iced_x86::Mnemonic::Leave => {
                    depth = frames.pop().expect("there is a frame");
                }
                _ => depth += i64::from(instruction.stack_pointer_increment()),
            }
            if instruction.mnemonic() == guests::iced_x86::Mnemonic::Mov {
                stored = instruction.immediate(1);
            }
            prop_assert!(depth <= 0 && depth > -0x1000, "{depth}: {:#?}", image.code.disassemble());
        }
    }

    #[test]
    fn ports(program: Ports, mode: Mode) {
        let all = is_total(&program, mode, Place::Ram)?;
        goes_straight_on(&all)?;
        let accesses = all.iter().filter(|one| matches!(one.mnemonic(), guests::iced_x86::Mnemonic::In | guests::iced_x86::Mnemonic::Out));
        prop_assert_eq!(accesses.count(), program.steps.len());
    }

    #[test]
    fn msrs(program: Msrs, mode: Mode) {
        is_total(&program, mode, Place::Ram)?;
        for value in program.steps.iter().filter_map(|step| step.value()) {
            let top = value.cast_signed() >> 47;
            prop_assert!(top == 0 || top == -1, "{value:#x} is not canonical");
        }
    }

    /// A program is the same code wherever its data lies, where segments or registers lead there.
    #[test]
    fn places_differ_in_state_alone(program: Operands) {
        for mode in [Mode::Real, Mode::Virtual8086, Mode::Segmented] {
            let [ram, mmio] = Place::ALL.map(|place| program.image(mode, place).unwrap());
            prop_assert_eq!(ram.code, mmio.code);
            prop_assert_ne!(ram.entry.ds.base, mmio.entry.ds.base);
        }
    }
}

/// The shortest program that a search finds of which something holds.
fn shrunk<S: Step + Arbitrary + 'static>(holds: impl Fn(&Program<S>) -> bool) -> Program<S> {
    let mut runner = TestRunner::deterministic();
    loop {
        let mut tree = any::<Program<S>>().new_tree(&mut runner).unwrap();
        if !holds(&tree.current()) {
            continue;
        }
        let mut found = tree.current();
        let mut smaller = tree.simplify();
        while smaller {
            smaller = if holds(&tree.current()) {
                found = tree.current();
                tree.simplify()
            } else {
                tree.complicate()
            };
        }
        return found;
    }
}

#[test]
fn programs_shrink_to_the_step_that_matters() {
    let locked = shrunk(|program: &Atomics| {
        let image = program.image(Mode::Long, Place::Ram).unwrap();
        instructions(&image).iter().any(Instruction::has_lock_prefix)
    });
    assert_eq!(locked.steps.len(), 1, "{locked:?}");
    assert_eq!((locked.start.free, locked.start.index, locked.start.flags), ([0; 10], 0, 0));
    let text = locked.image(Mode::Long, Place::Ram).unwrap().code.disassemble();
    assert!(text[0].contains("lock add "), "{text:?}");
    let pushed = shrunk(|program: &Stack| {
        let image = program.image(Mode::Protected, Place::Ram).unwrap();
        instructions(&image).iter().any(|one| one.mnemonic() == guests::iced_x86::Mnemonic::Pop)
    });
    assert_eq!(pushed.steps.len(), 2, "a POP needs a PUSH: {pushed:?}");
}
