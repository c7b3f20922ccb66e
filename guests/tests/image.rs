//! Guest RAM holds the code and its tables, and the trapping byte everywhere else.

use guests::{CODE, Code, Image, ImageError, MMIO_HOLE, Mode, RAM, SCRATCH, STACK, TRAP, code};
use proptest::prelude::*;
use rstest::rstest;

fn any_code() -> impl Strategy<Value = Code> {
    let bytes = proptest::collection::vec(any::<u8>(), 0..0x8000);
    let origin = prop_oneof![Just(CODE), 0..RAM + 0x1000, any::<u64>()];
    (proptest::sample::select(Mode::ALL), origin, bytes).prop_map(|(mode, origin, bytes)| Code {
        mode,
        origin,
        bytes,
    })
}

proptest! {
    #[test]
    fn pieces_are_apart_and_the_rest_is_the_trapping_byte(code in any_code()) {
        let Ok(image) = Image::of(&code) else { return Ok(()) };
        let ram = image.ram();
        prop_assert_eq!(ram.len() as u64, RAM);
        let mut next = 0;
        for (address, bytes) in &image.pieces {
            let at = usize::try_from(*address).unwrap();
            prop_assert!(at >= next, "a piece begins inside the one before");
            prop_assert!(ram[next..at].iter().all(|&byte| byte == TRAP));
            next = at + bytes.len();
            prop_assert_eq!(&ram[at..next], &bytes[..]);
        }
        prop_assert!(ram[next..].iter().all(|&byte| byte == TRAP));
    }

    #[test]
    fn code_that_fits_below_the_stack_is_laid(mode in proptest::sample::select(Mode::ALL), length in 0..=STACK - CODE) {
        let bytes = vec![0x90; usize::try_from(length).unwrap()];
        let origin = code(mode, |a| a.hlt()).unwrap().origin;
        let laid = Image::of(&Code { mode, origin, bytes });
        prop_assert!(laid.is_ok());
    }
}

#[rstest]
#[case::into_the_stack(CODE, STACK - CODE + 1, STACK)]
#[case::out_of_ram(RAM - 4, 5, RAM)]
#[case::behind_ram(RAM, 1, RAM)]
#[case::far_behind_ram(u64::MAX, 2, RAM)]
fn code_without_room_is_refused(#[case] address: u64, #[case] length: u64, #[case] end: u64) {
    let length = usize::try_from(length).unwrap();
    let code = Code { mode: Mode::Real, origin: address, bytes: vec![0x90; length] };
    assert_eq!(Image::of(&code), Err(ImageError::NoRoom { address, length, end }));
}

#[rstest]
#[case(Mode::Real)]
#[case(Mode::Protected)]
#[case(Mode::Long)]
fn the_hole_and_the_scratch_room_are_where_they_should(#[case] mode: Mode) {
    let image = Image::of(&Code { mode, origin: CODE, bytes: vec![TRAP] }).unwrap();
    assert!(MMIO_HOLE >= image.size, "no RAM in the hole");
    let room = SCRATCH..0x1_0000;
    for (address, bytes) in &image.pieces {
        assert!(address + bytes.len() as u64 <= room.start || *address >= room.end, "{address:#x}");
    }
}
