//! Code is assembled for its mode, and its listing says what it is.

use guests::iced_x86::code_asm::{CodeAssembler, al, eax, rax};
use guests::iced_x86::{Decoder, DecoderOptions, Encoder};
use guests::{CODE, Mode, code, disassemble};
use proptest::prelude::*;
use rstest::rstest;

#[rstest]
#[case(Mode::Real, "00001000 66b878563412         mov eax, 0x12345678")]
#[case(Mode::Protected, "00001000 b878563412           mov eax, 0x12345678")]
#[case(Mode::Long, "00001000 b878563412           mov eax, 0x12345678")]
fn a_line_says_address_bytes_and_text(#[case] mode: Mode, #[case] line: &str) {
    let code = code(mode, |a| a.mov(eax, 0x1234_5678)).unwrap();
    assert_eq!(code.disassemble(), [line]);
}

#[rstest]
#[case(Mode::Real)]
#[case(Mode::Protected)]
fn what_the_mode_does_not_have_is_refused(#[case] mode: Mode) {
    let refused = code(mode, |a| a.mov(rax, 1u64)).unwrap_err().to_string();
    assert!(refused.starts_with(&format!("assemble {mode} mode code: ")), "{refused}");
}

/// Two bytes each, at 0x1000, 0x1002, 0x1004, 0x1006 and 0x1008.
fn five(a: &mut CodeAssembler) -> Result<(), guests::iced_x86::IcedError> {
    (0..5).try_for_each(|port| a.out(port, al))
}

#[rstest]
#[case::first(CODE, 0, ">", 4)]
#[case::middle(CODE + 4, 2, ">", 5)]
#[case::last(CODE + 8, 3, ">", 4)]
#[case::end(CODE + 10, 3, "> 0000100a the end of the code", 4)]
#[case::inside(CODE + 3, 2, "> 00001003 inside an instruction", 6)]
#[case::before(7, 0, "> 00000007 outside the code", 4)]
#[case::behind(u64::MAX, 3, "> ffffffffffffffff outside the code", 4)]
fn around_marks_where_it_is(#[case] rip: u64, #[case] at: usize, #[case] mark: &str, #[case] count: usize) {
    let shown = code(Mode::Long, five).unwrap().around(rip);
    assert_eq!(shown.len(), count, "{shown:#?}");
    let marked: Vec<usize> = (0..count).filter(|&i| shown[i].starts_with('>')).collect();
    assert_eq!(marked, [at], "{shown:#?}");
    assert!(shown[at].starts_with(mark), "{shown:#?}");
}

proptest! {
    #[test]
    fn any_bytes_have_a_listing_that_loses_none(bytes: Vec<u8>, address: u64, mode in proptest::sample::select(Mode::ALL)) {
        let hex: String = disassemble(&bytes, address, mode)
            .iter()
            .filter_map(|line| line.split_whitespace().nth(1))
            .flat_map(str::chars)
            .collect();
        prop_assert_eq!(hex.len(), bytes.len() * 2);
    }

    #[test]
    fn what_is_assembled_decodes_to_the_same(values: Vec<u32>, mode in proptest::sample::select(Mode::ALL)) {
        let code = code(mode, |a| values.iter().try_for_each(|&value| a.mov(eax, value))).unwrap();
        let mut encoder = Encoder::new(mode.bitness());
        let mut count = 0;
        for instruction in &mut Decoder::with_ip(mode.bitness(), &code.bytes, code.origin, DecoderOptions::NONE) {
            prop_assert_eq!(instruction.immediate32(), values[count]);
            encoder.encode(&instruction, instruction.ip()).unwrap();
            count += 1;
        }
        prop_assert_eq!(count, values.len());
        prop_assert_eq!(encoder.take_buffer(), code.bytes);
    }
}
