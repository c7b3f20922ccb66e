//! Page tables decode back: an independent walker, which looks up addresses as a processor does, finds the same pages.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use guests::{Builder, Image, ImageError, Levels, Mode, Page, Paging, RAM, code};
use proptest::prelude::*;

/// A mode that the layout suits.
fn mode_of(paging: Paging) -> Mode {
    Mode::ALL.iter().copied().find(|mode| paging.suits(*mode)).unwrap()
}

fn image(paging: Paging, change: impl FnOnce(Builder<'_>) -> Builder<'_>) -> Image {
    let code = code(mode_of(paging), |a| a.hlt()).unwrap();
    change(Image::builder(&code).under(paging)).build().unwrap()
}

/// What a lookup finds: the address, the size of the page as a power of two, and whether ring 3 reaches it.
type Found = (u64, u32, bool);

/// Looks an address up by CR3, CR4 and EFER alone. Every bit that the processor would set must be set.
fn walk(image: &Image, ram: &[u8], address: u64) -> Option<Found> {
    let state = &image.entry;
    let (pae, la57) = (state.cr4 >> 5 & 1 != 0, state.cr4 >> 12 & 1 != 0);
    let (width, index_bits) = if pae { (8, 9) } else { (4, 10) };
    let levels = match (pae, state.is_long(), la57) {
        (false, false, false) => 2,
        (true, false, false) => 3,
        (true, true, false) => 4,
        (true, true, true) => 5,
        other => panic!("no processor has {other:?}"),
    };
    let (mut table, mut user) = (state.cr3, true);
    for level in (1..=levels).rev() {
        let shift = 12 + index_bits * (level - 1);
        let index = address >> shift & ((1 << index_bits) - 1);
        let at = usize::try_from(table + index * width).unwrap();
        let mut bytes = [0; 8];
        let width = usize::try_from(width).unwrap();
        bytes[..width].copy_from_slice(&ram[at..at + width]);
        let held = u64::from_le_bytes(bytes);
        if held & 1 == 0 {
            return None;
        }
        if levels == 3 && level == 3 {
            assert_eq!(held & 0x1e6, 0, "reserved in the pointers of PAE paging");
        } else {
            assert_eq!(held & 0x22, 0x22, "writable and accessed");
            user &= held & 4 != 0;
        }
        let base = held & 0x000f_ffff_ffff_f000;
        let leaf = level == 1 || level < 4 && held & 0x80 != 0 && !(levels == 3 && level == 3);
        if leaf {
            assert_eq!(held & 0x40, 0x40, "dirty");
            assert_eq!(base & ((1 << shift) - 1), 0, "a page begins at a multiple of its size");
            return Some((base | address & ((1 << shift) - 1), shift, user));
        }
        assert!(level < 4 || held & 0x80 == 0, "no level above the third has pages");
        table = base;
    }
    None
}

/// What a page's size should be.
fn shift(paging: Paging, address: u64) -> u32 {
    match (paging.page, paging.levels) {
        (Page::Huge, _) => 30,
        (Page::Large, Levels::Two) => 22,
        (Page::Large, _) => 21,
        (Page::Small, Levels::Two) => {
            if address < 1 << 22 {
                12
            } else {
                22
            }
        }
        (Page::Small, _) => {
            if address < 1 << 21 {
                12
            } else {
                21
            }
        }
    }
}

fn any_paging() -> impl Strategy<Value = Paging> {
    proptest::sample::select(Paging::ALL)
}

proptest! {
    #[test]
    fn the_low_4_gib_are_mapped_to_themselves(
        paging in any_paging(),
        address in prop_oneof![0..1u64 << 32, 0..1u64 << 22, 0..RAM],
        above in 1u64 << 32..1 << 47,
    ) {
        let image = image(paging, |builder| builder);
        let ram = image.ram();
        prop_assert_eq!(walk(&image, &ram, address), Some((address, shift(paging, address), false)));
        if image.entry.is_long() {
            prop_assert_eq!(walk(&image, &ram, above), None);
        }
    }

    #[test]
    fn ring_3_reaches_all_of_it_where_code_is_there(paging in any_paging(), address in 0..1u64 << 32) {
        prop_assume!(mode_of(paging) != Mode::Segmented);
        let image = image(paging, |builder| builder.in_user_mode());
        prop_assert_eq!(walk(&image, &image.ram(), address).map(|found| found.2), Some(true));
    }
}

#[test]
fn each_layout_suits_some_mode_and_no_other_is_taken() {
    for &paging in Paging::ALL {
        for &mode in Mode::ALL {
            let code = code(mode, |a| a.hlt()).unwrap();
            let built = Image::builder(&code).under(paging).build();
            match paging.suits(mode) {
                true => assert_eq!(built.unwrap().entry.paging, Some(paging)),
                false => assert_eq!(built, Err(ImageError::NoSuchPaging { mode, paging })),
            }
        }
        assert!(!paging.features().is_empty());
        let written = serde_json::to_string(&paging).unwrap();
        assert_eq!(serde_json::from_str::<Paging>(&written).unwrap(), paging);
    }
    assert!(!Paging::new(Levels::Three, Page::Huge).suits(Mode::Pae));
}

#[test]
fn a_modes_own_layout_suits_it() {
    for &mode in Mode::ALL {
        assert!(mode.paging().is_none_or(|paging| paging.suits(mode)));
        assert_eq!(mode.paging().is_none(), mode.features().is_empty());
    }
}

#[test]
fn walking_notices_a_bit_that_is_missing() {
    for paging in Paging::ALL {
        let image = image(*paging, |builder| builder);
        let mut ram = image.ram();
        let top = usize::try_from(image.entry.cr3).unwrap();
        ram[top] &= !1;
        assert_eq!(walk(&image, &ram, 0), None);
    }
}
