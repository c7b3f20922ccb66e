//! Gates, handlers and the protocol page: each vector leads to an entry that knows it, and reports read back as they were written.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use guests::protocol::{self, BLOCK, Report, block};
use guests::{
    After, Builder, Handlers, Image, ImageError, Mode, PROTOCOL, Registers, VCPUS, code, disassemble,
};
use proptest::prelude::*;
use rstest::rstest;

const AFTER: [After; 3] = [After::Halts, After::Returns, After::Resumes];

fn image(mode: Mode, after: After, change: impl FnOnce(Builder<'_>) -> Builder<'_>) -> Image {
    let code = code(mode, |a| a.hlt()).unwrap();
    change(Image::builder(&code).handled(Handlers { after, own_stack: true })).build().unwrap()
}

/// Where a vector leads: the address of the code, its selector, and the stack's number. An independent reading of the gates.
fn lead(image: &Image, ram: &[u8], vector: u8) -> (u64, u16, u8) {
    let at = usize::try_from(Handlers::gate(image.code.mode, vector)).unwrap();
    let half =
        |offset: usize| u64::from(u16::from_le_bytes(ram[at + offset..at + offset + 2].try_into().unwrap()));
    let selector = u16::try_from(half(2)).unwrap();
    match image.code.mode.handler_bitness() {
        16 => (half(2) * 16 + half(0), selector, 0),
        bitness => {
            assert_eq!(ram[at + 5], 0xee, "a present interrupt gate for every ring");
            let high = if bitness == 64 { half(8) << 32 | half(10) << 48 } else { 0 };
            (half(0) | half(6) << 16 | high, selector, ram[at + 4])
        }
    }
}

fn handler_mode(mode: Mode) -> Mode {
    match mode.handler_bitness() {
        16 => Mode::Real,
        32 => Mode::Protected,
        _ => Mode::Long,
    }
}

#[test]
fn each_vector_leads_to_an_entry_that_pushes_it() {
    for &mode in Mode::ALL {
        let image = image(mode, After::Halts, |builder| builder);
        let ram = image.ram();
        let mut body = None;
        for vector in 0..=u8::MAX {
            let (address, selector, stack) = lead(&image, &ram, vector);
            assert_eq!(stack, u8::from(mode.handler_bitness() == 64));
            let at = usize::try_from(address).unwrap();
            let lines = disassemble(&ram[at..at + 10], address, handler_mode(mode));
            // Intel SDM volume 3, table 7-1; none of them in real mode.
            let with_error = matches!(vector, 8 | 10..=14 | 17 | 21 | 30) && mode != Mode::Real;
            let pushes: Vec<&str> = lines.iter().filter_map(|line| line.split("push ").nth(1)).collect();
            assert_eq!(pushes.len(), if with_error { 1 } else { 2 }, "{mode} {vector}: {lines:#?}");
            let last = pushes.last().unwrap().trim_start_matches("0x");
            let pushed = u64::from_str_radix(last, 16).unwrap();
            assert_eq!(pushed & 0xff, u64::from(vector), "{mode}: {lines:#?}");
            let target = lines.iter().find_map(|line| line.split("jmp ").nth(1)).unwrap().to_owned();
            assert_eq!(*body.get_or_insert(target.clone()), target, "all entries lead to one body");
            if mode != Mode::Real {
                let gdt = usize::try_from(image.entry.gdt.base).unwrap() + usize::from(selector);
                let access = ram[gdt + 5];
                assert_eq!(access & 0xfb, 0x9b, "a present code segment of ring 0");
                assert_eq!(ram[gdt + 6] >> 5 & 1 != 0, mode.handler_bitness() == 64);
            }
        }
    }
}

#[test]
fn every_body_has_room_and_is_all_instructions() {
    for &mode in Mode::ALL {
        for after in AFTER {
            let image = image(mode, after, |builder| builder);
            let (address, bytes) = image.pieces.iter().find(|(address, _)| *address == 0x1_b000).unwrap();
            assert!(bytes.len() < 0x1000, "{} bytes", bytes.len());
            let lines = disassemble(bytes, *address, handler_mode(mode));
            assert!(lines.iter().all(|line| !line.contains("(bad)")));
            let last = lines.last().unwrap();
            let ends = match after {
                After::Halts => last.ends_with("hlt"),
                _ => last.contains("iret") || last.contains("jmp"),
            };
            assert!(ends, "{mode} {after:?}: {last}");
        }
    }
}

#[rstest]
#[case(Mode::Protected)]
#[case(Mode::Compat)]
#[case(Mode::Long)]
fn each_vcpu_has_tables_and_stacks_of_its_own(#[case] mode: Mode) {
    let image = image(mode, After::Returns, |builder| builder.on_vcpus(VCPUS));
    let ram = image.ram();
    let states: Vec<_> = [&image.entry].into_iter().chain(&image.others).collect();
    assert_eq!(states.len(), VCPUS);
    for (index, state) in states.iter().enumerate() {
        assert_eq!(state.gdt.base >> 8 & 3, index as u64, "the handlers tell vCPUs apart by it");
        let at = usize::try_from(state.gdt.base).unwrap() + usize::from(state.tr.selector);
        assert_eq!(ram[at..at + 8], state.tr.descriptor().to_le_bytes());
        let task = usize::try_from(state.tr.base).unwrap();
        assert_eq!(ram[task + 4..task + 8], u32::try_from(state.ring_0_stack).unwrap().to_le_bytes());
        for other in &states[..index] {
            assert!(other.registers.rsp != state.registers.rsp && other.ring_0_stack != state.ring_0_stack);
            assert_eq!((other.idt, other.cr3), (state.idt, state.cr3));
        }
    }
}

#[rstest]
#[case(Mode::Real, 0)]
#[case(Mode::Long, VCPUS + 1)]
#[case(Mode::Virtual8086, 2)]
fn there_is_no_room_for_other_numbers_of_vcpus(#[case] mode: Mode, #[case] vcpus: usize) {
    let code = code(mode, |a| a.hlt()).unwrap();
    assert_eq!(Image::builder(&code).on_vcpus(vcpus).build(), Err(ImageError::TooManyVcpus(vcpus)));
}

#[test]
fn ring_3_is_for_modes_with_flat_segments() {
    for &mode in Mode::ALL {
        let code = code(mode, |a| a.hlt()).unwrap();
        let built = Image::builder(&code).in_user_mode().build();
        if mode.has_paragraphs() || mode == Mode::Segmented {
            assert_eq!(built, Err(ImageError::NoRing3(mode)));
        } else {
            let state = built.unwrap().entry;
            for segment in [state.cs, state.ds, state.es, state.fs, state.gs, state.ss] {
                assert_eq!((segment.dpl, segment.selector & 3), (3, 3));
            }
        }
    }
}

fn any_registers() -> impl Strategy<Value = Registers> {
    proptest::collection::vec(any::<u64>(), Registers::NAMES.len()).prop_map(|values| Registers::of(&values))
}

proptest! {
    #[test]
    fn a_report_reads_back(
        vector in any::<u8>(),
        error in proptest::option::of(0u32..0xffff),
        (cs, ss) in any::<(u16, u16)>(),
        cr2 in any::<u64>(),
        registers in any_registers(),
    ) {
        let report = Report { vector, error, cs, ss, cr2, registers };
        let mut bytes = vec![0; usize::try_from(BLOCK).unwrap()];
        report.write(&mut bytes);
        prop_assert_eq!(Report::read(&bytes), Some(report));
        prop_assert_eq!(protocol::count(&bytes), Some(0));
        prop_assert_eq!(protocol::read_registers(&bytes, protocol::REGISTERS), Some(Registers::default()));
    }

    #[test]
    fn registers_read_back_and_a_short_block_holds_none(registers in any_registers(), length in 0usize..0x90) {
        let mut bytes = vec![0; 0x90];
        protocol::write_registers(&mut bytes, 0, &registers);
        prop_assert_eq!(protocol::read_registers(&bytes, 0), Some(registers));
        prop_assert_eq!(protocol::read_registers(&bytes[..length], 0), None);
        prop_assert_eq!(Report::read(&bytes), None);
    }
}

#[test]
fn blocks_fill_one_page() {
    assert_eq!(block(0), PROTOCOL);
    assert_eq!(block(VCPUS), PROTOCOL + 0x1000);
}
