//! Guest RAM is a whole number of pages, and nothing outside of it is reached.

use rstest::rstest;
use vmm::Ram;

#[rstest]
#[case(0)]
#[case(0xfff)]
#[case(0x1001)]
#[case(!0xfff)]
fn what_the_host_does_not_give_is_refused(#[case] size: u64) {
    let told = Ram::new(size).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(told.starts_with(&format!("get {size:#x} bytes of RAM: ")), "{told}");
}

#[rstest]
#[case::whole(0x1000, 0x1000, true)]
#[case::the_last_byte(0x1fff, 1, true)]
#[case::over_the_end(0x1fff, 2, false)]
#[case::behind(0x2000, 1, false)]
#[case::at_the_end_of_all(u64::MAX, 2, false)]
fn nothing_outside_is_reached(#[case] address: u64, #[case] length: usize, #[case] reached: bool) {
    let ram = Ram::new(0x2000).unwrap();
    assert_eq!(ram.write(address, &vec![7; length]).is_ok(), reached);
    assert_eq!(ram.read(address, &mut vec![0; length]).is_ok(), reached);
}

#[test]
fn clones_are_the_same_ram() {
    let ram = Ram::new(0x1000).unwrap();
    ram.clone().write(0xffe, &[1, 2]).unwrap();
    assert_eq!(ram.contents().unwrap()[0xffd..], [0, 1, 2]);
    assert_eq!(ram.size(), 0x1000);
}
