//! The entry states pass the checks that VM entry makes: Intel SDM volume 3, 27.3.1.

use guests::{CODE, EntryState, Image, Mode, Segment, code};
use rstest::rstest;

#[rstest]
#[case(Mode::Real)]
#[case(Mode::Protected)]
#[case(Mode::Long)]
fn vm_entry_takes_it(#[case] mode: Mode) {
    let EntryState { registers, cs, ds, es, fs, gs, ss, tr, ldt, cr0, cr4, efer, .. } = EntryState::of(mode);
    assert_eq!((registers.rip, registers.rflags), (CODE, 2));
    for segment in [cs, ds, es, fs, gs, ss] {
        assert!(segment.present && segment.s && segment.type_ & 1 == 1, "usable and accessed");
        assert_eq!(segment.g, segment.limit > 0xf_ffff);
        assert_eq!(segment.dpl, 0);
    }
    assert_eq!((tr.type_, tr.s, tr.present), (0xb, false, true), "a busy task state segment");
    assert!(!ldt.present);
    assert!(!(cs.l && cs.db), "L and D exclude each other");
    let (protected, paging) = (cr0 & 1 != 0, cr0 >> 31 & 1 != 0);
    assert_eq!(protected, mode != Mode::Real);
    assert_eq!(cs.l, efer >> 10 & 1 != 0);
    assert_eq!(efer & 0x500 == 0x500, paging && cr4 & 0x20 != 0);
    if mode == Mode::Real {
        for segment in [cs, ds, es, fs, gs, ss] {
            assert_eq!((segment.base, segment.limit), (u64::from(segment.selector) << 4, 0xffff));
        }
    }
}

#[rstest]
#[case::null(Segment::default(), 0)]
#[case::flat_code(EntryState::of(Mode::Protected).cs, 0x00cf_9b00_0000_ffff)]
#[case::flat_data(EntryState::of(Mode::Protected).ds, 0x00cf_9300_0000_ffff)]
#[case::long_code(EntryState::of(Mode::Long).cs, 0x00af_9b00_0000_ffff)]
#[case::task(EntryState::of(Mode::Long).tr, 0x0000_8b01_1000_0067)]
#[case::scattered(Segment { base: 0x1234_5678, limit: 0xa_bcde, dpl: 3, ..EntryState::of(Mode::Real).ds }, 0x120a_7334_5678_bcde | 1 << 47)]
fn a_descriptor_has_its_bits_in_place(#[case] segment: Segment, #[case] bits: u64) {
    assert_eq!(segment.descriptor(), bits, "{:#018x}", segment.descriptor());
}

/// Reads a table entry out of RAM.
fn entry(ram: &[u8], address: u64) -> u64 {
    let at = usize::try_from(address).expect("RAM is small");
    u64::from_le_bytes(ram[at..at + 8].try_into().expect("an entry has eight bytes"))
}

#[rstest]
#[case(Mode::Protected)]
#[case(Mode::Long)]
fn the_descriptor_table_holds_what_the_registers_hold(#[case] mode: Mode) {
    let image = Image::of(&code(mode, |a| a.hlt()).unwrap()).unwrap();
    let (ram, state) = (image.ram(), image.entry);
    for segment in [state.cs, state.ds, state.ss, state.tr] {
        let held = entry(&ram, state.gdt.base + u64::from(segment.selector));
        assert_eq!(held, segment.descriptor());
        assert!(segment.selector + 7 <= state.gdt.limit);
    }
    assert_eq!(entry(&ram, state.tr.base + 0x60) >> 48, u64::from(state.tr.limit) + 1, "no I/O map");
}

/// Walks the page tables as a processor does, and answers with the address; it must not have to set any bit itself.
fn walk(ram: &[u8], cr3: u64, address: u64) -> Option<u64> {
    let mut table = cr3;
    for shift in [39, 30, 21] {
        let held = entry(ram, table + (address >> shift & 0x1ff) * 8);
        if held & 1 == 0 {
            return None;
        }
        assert_eq!(held >> 5 & 1, 1, "accessed");
        table = held & 0x000f_ffff_ffff_f000;
        if shift == 21 {
            assert_eq!(held >> 6 & 3, 3, "dirty, and large");
        }
    }
    Some(table | address & 0x1f_ffff)
}

proptest::proptest! {
    #[test]
    fn long_mode_maps_the_low_four_gib_to_themselves(address in 0..1u64 << 32, above in 1u64 << 32..1 << 47) {
        let image = Image::of(&code(Mode::Long, |a| a.hlt()).unwrap()).unwrap();
        let ram = image.ram();
        proptest::prop_assert_eq!(walk(&ram, image.entry.cr3, address), Some(address));
        proptest::prop_assert_eq!(walk(&ram, image.entry.cr3, above), None);
    }
}
