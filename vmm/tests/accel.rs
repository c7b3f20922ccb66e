//! An accel that cannot be had says why, and what there is.

use rstest::rstest;
use vmm::accel::{accels, kvm, open};

#[rstest]
#[case::nothing(
    "",
    "open an accel: \"\" is not known; there is kvm (the kernel's virtualization, by /dev/kvm)"
)]
#[case::unknown(
    "tcg",
    "open an accel: \"tcg\" is not known; there is kvm (the kernel's virtualization, by /dev/kvm)"
)]
#[case::two("tcg, hax", "open an accel: \"tcg\" is not known; \"hax\" is not known; there is kvm")]
fn what_is_not_known_is_told(#[case] names: &str, #[case] why: &str) {
    let told = open(names).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(told.starts_with(why), "{told}");
}

#[rstest]
#[case::no_folder(c"/dev/null/kvm", "open /dev/null/kvm: Not a directory (os error 20)")]
#[case::absent(
    c"/dev/no-kvm",
    "open /dev/no-kvm: No such file or directory (os error 2); it is there once the module kvm_intel or kvm_amd is loaded"
)]
#[case::no_kvm(c"/dev/null", "do without KVM_GET_API_VERSION")]
fn a_device_that_is_no_kvm_is_told(#[case] path: &std::ffi::CStr, #[case] why: &str) {
    assert_eq!(kvm::open_device(path).err().map(|error| error.to_string()).as_deref(), Some(why));
}

#[test]
fn the_first_that_works_is_taken() {
    match (open("kvm"), open("tcg,kvm")) {
        (Ok(_), Ok((accel, _))) => assert_eq!(accel.name, "kvm"),
        (Err(one), Err(other)) => {
            assert!(other.to_string().contains("kvm: cannot "));
            println!("skipped: cannot {one}");
        }
        _ => panic!("the answer depends on what else is asked for"),
    }
}

#[test]
fn names_are_unique_and_sorted() {
    assert!(accels().is_sorted_by(|one, other| one.name < other.name));
}
