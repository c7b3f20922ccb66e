//! The entry states pass the checks that VM entry makes: Intel SDM volume 3, 27.3.1.

use guests::{CODE, EntryState, Image, Mode, Segment, code};
use rstest::rstest;

#[test]
fn vm_entry_takes_it() {
    for &mode in Mode::ALL {
        let EntryState { registers, cs, ds, es, fs, gs, ss, tr, ldt, cr0, cr4, efer, .. } =
            EntryState::of(mode);
        let v86 = mode == Mode::Virtual8086;
        assert_eq!(registers.rip + if mode == Mode::Segmented { cs.base } else { 0 }, CODE);
        assert_eq!(registers.rflags & 2, 2);
        assert_eq!(registers.rflags >> 17 & 1 != 0, v86);
        for segment in [cs, ds, es, fs, gs, ss] {
            assert!(segment.present && segment.s && segment.type_ & 1 == 1, "usable and accessed");
            assert!(segment.g || segment.limit <= 0xf_ffff, "{segment:?}");
            assert!(!segment.g || segment.limit & 0xfff == 0xfff, "{segment:?}");
            assert_eq!(segment.dpl, if v86 { 3 } else { 0 });
            assert!(segment.base >> 32 == 0);
        }
        assert!(ss.type_ == 3 || ss.type_ == 7, "a stack can be written");
        assert_eq!((tr.type_, tr.s, tr.present), (0xb, false, true), "a busy task state segment");
        assert!(!ldt.present);
        assert!(!(cs.l && cs.db), "L and D exclude each other");
        let (protected, paging) = (cr0 & 1 != 0, cr0 >> 31 & 1 != 0);
        assert_eq!(protected, mode != Mode::Real);
        assert_eq!(cs.l, mode == Mode::Long);
        assert_eq!(efer & 0x500, if matches!(mode, Mode::Long | Mode::Compat) { 0x500 } else { 0 });
        assert!(efer & 0x500 == 0 || paging && cr4 & 0x20 != 0);
        assert_eq!(paging, mode.paging().is_some());
        if mode.has_paragraphs() {
            for segment in [cs, ds, es, fs, gs, ss] {
                assert_eq!((segment.base, segment.limit), (u64::from(segment.selector) << 4, 0xffff));
            }
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

#[test]
fn the_descriptor_table_holds_what_the_registers_hold() {
    for &mode in Mode::ALL.iter().filter(|mode| !mode.has_paragraphs()) {
        let image = Image::of(&code(mode, |a| a.hlt()).unwrap()).unwrap();
        let (ram, state) = (image.ram(), image.entry);
        for segment in [state.cs, state.ds, state.es, state.fs, state.gs, state.ss, state.tr] {
            let held = entry(&ram, state.gdt.base + u64::from(segment.selector));
            assert_eq!(held, segment.descriptor(), "{mode} {segment:?}");
            assert!(segment.selector + 7 <= state.gdt.limit);
        }
        assert_eq!(entry(&ram, state.tr.base + 0x60) >> 48, u64::from(state.tr.limit) + 1, "no I/O map");
    }
}

#[test]
fn the_task_of_virtual_8086_mode_permits_every_port() {
    let image = Image::of(&code(Mode::Virtual8086, |a| a.hlt()).unwrap()).unwrap();
    let (ram, tr) = (image.ram(), image.entry.tr);
    let at = usize::try_from(tr.base).unwrap();
    let map = at + usize::from(u16::from_le_bytes(ram[at + 0x66..at + 0x68].try_into().unwrap()));
    assert!(ram[map..map + 0x2000].iter().all(|&byte| byte == 0));
    assert_eq!(ram[map + 0x2000], 0xff, "the byte behind the map");
    assert_eq!(map + 0x2000, at + tr.limit as usize);
    assert_eq!(
        u64::from(u32::from_le_bytes(ram[at + 4..at + 8].try_into().unwrap())),
        image.entry.ring_0_stack
    );
}
