//! Lists of packages as apt prints them, shortened.

use super::*;

fn paragraph(name: &str, version: &str, kib: u64) -> String {
    let sha256 = "a".repeat(64);
    format!(
        "Package: {name}\nVersion: {version}\nInstalled-Size: {kib}\nArchitecture: amd64\n\
         Description: x\n Version: 9 in a long text\nSize: 7\nSHA256: {sha256}\n"
    )
}

/// For each kernel that is offered: its release, and the packages.
fn offered(packages: &[(&str, &str, u64)]) -> Vec<(String, Vec<String>)> {
    let list: Vec<_> = packages.iter().map(|&(name, version, kib)| paragraph(name, version, kib)).collect();
    let names = |offer: Offer| offer.packages.into_iter().map(|package| package.name).collect();
    offers(&list.join("\n")).into_iter().map(|offer| (offer.release.clone(), names(offer))).collect()
}

fn one(release: &str, packages: &[&str]) -> Vec<(String, Vec<String>)> {
    vec![(release.to_owned(), packages.iter().map(|&name| name.to_owned()).collect())]
}

#[test]
fn an_image_is_a_whole_kernel_and_a_signed_one_comes_first() {
    let found = offered(&[
        ("linux-image-6.1.0-47-cloud-amd64-unsigned", "6.1.170-1", 100_000),
        ("linux-image-6.1.0-47-cloud-amd64", "6.1.170-1", 100_000),
        ("linux-image-6.1.0-47-cloud-amd64-dbg", "6.1.170-1", 900_000),
        ("linux-image-6.1-cloud-amd64", "6.1.170-1", 13),
        ("linux-image-cloud-amd64", "6.1.170-1", 13),
        ("linux-doc-6.1", "6.1.170-1", 13),
    ]);
    assert_eq!(found, one("6.1.0-47-cloud-amd64", &["linux-image-6.1.0-47-cloud-amd64"]));
}

#[test]
fn a_stub_stands_for_a_binary_and_its_modules() {
    let found = offered(&[
        ("linux-image-7.2-cloud-amd64", "7.2-1", 15),
        ("linux-binary-7.2-cloud-amd64", "7.2-1", 13_000),
        ("linux-binary-unsigned-7.2-cloud-amd64", "7.2-1", 13_000),
        ("linux-modules-7.2-cloud-amd64", "7.2-1", 37_000),
        ("linux-base-7.2-cloud-amd64", "7.2-1", 200),
    ]);
    let expected =
        ["linux-binary-7.2-cloud-amd64", "linux-modules-7.2-cloud-amd64", "linux-base-7.2-cloud-amd64"];
    assert_eq!(found, one("7.2-cloud-amd64", &expected));
}

#[test]
fn the_unsigned_kernel_is_taken_where_the_signed_one_is_of_another_version() {
    let found = offered(&[
        ("linux-binary-7.3-cloud-amd64", "7.3-1", 13_000),
        ("linux-binary-unsigned-7.3-cloud-amd64", "7.3-2", 13_000),
        ("linux-modules-7.3-cloud-amd64", "7.3-2", 37_000),
    ]);
    let expected = ["linux-binary-unsigned-7.3-cloud-amd64", "linux-modules-7.3-cloud-amd64"];
    assert_eq!(found, one("7.3-cloud-amd64", &expected));
}

#[test]
fn a_kernel_whose_modules_left_the_suite_is_not_complete() {
    let found = offered(&[("linux-binary-7.0-cloud-amd64", "7.0-1", 13_000)]);
    assert_eq!(found, one("7.0-cloud-amd64", &[]));
}

#[test]
fn what_apt_has_no_checksum_of_is_not_offered() {
    let list = paragraph("linux-image-6.1-cloud-amd64", "6.1-1", 100_000).replace("SHA256", "MD5sum");
    assert_eq!(offers(&list), []);
}

fn offer(release: &str, version: &str) -> Offer {
    Offer { release: release.into(), version: version.into(), packages: vec![] }
}

#[test]
fn a_kernel_is_meant_by_its_name_or_its_version() {
    let cloud = offer("6.1.0-47-cloud-amd64", "6.1.170-1");
    for prefix in ["6.1", "6.1.0-47", "6.1.170", "6.1.170-1", "6.1.0-47-cloud-amd64", ""] {
        assert!(cloud.is_meant_by(prefix), "{prefix}");
    }
    for prefix in ["6.1.1", "6.12", "6.1.0-4"] {
        assert!(!cloud.is_meant_by(prefix), "{prefix}");
    }
    let other = offer("6.1.0-47-amd64", "6.1.170-1");
    assert!(other.is_meant_by("6.1.0-47-amd64"));
    assert!(!other.is_meant_by("6.1"));
}

#[test]
fn the_newest_is_the_one_of_the_highest_version() {
    let (old, new) =
        (offer("6.12.9+deb13-cloud-amd64", "6.12.9-1"), offer("6.12.107-cloud-amd64", "6.12.107-1"));
    assert_eq!(newest([(1, &old), (2, &new), (3, &old)].into_iter()).map(|(at, _)| at), Some(2));
    assert_eq!(new.series(), "6.12");
}
