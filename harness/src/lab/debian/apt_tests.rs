//! What can be tried of apt without a network.

use super::*;
use rstest::rstest;

#[rstest]
#[case("E: The repository 'x sid Release' is not signed.\n", "debian-archive-keyring")]
#[case(
    "W: GPG error: x sid InRelease: NO_PUBKEY 0E98\nE: The repository 'x' is not signed.\n",
    "debian-archive-keyring"
)]
#[case("E: The repository 'x nosuch Release' does not have a Release file.\n", "no such suite")]
#[case("E: Failed to fetch x  404  Not Found\n", "try again")]
#[case("E: Failed to fetch x  Could not resolve 'x'\n", "network")]
#[case("", "without a word")]
fn what_apt_says_comes_with_a_cure(#[case] said: &str, #[case] cure: &str) {
    let explained = explain(said);
    assert!(explained.contains(cure), "{explained}");
}

#[rstest]
#[case("trixie-backports", true)]
#[case("bullseye/updates", true)]
#[case("../trixie", false)]
#[case("a b", false)]
#[case("", false)]
fn a_suite_has_a_plain_name(#[case] suite: &str, #[case] is_plain: bool) {
    let apt = Apt { directory: "/cache".into(), entries: vec![] };
    assert_eq!(apt.place(suite).is_ok(), is_plain);
}

#[test]
fn a_program_that_is_not_there_is_said_with_the_other_forms() {
    let error = run("sid", &mut Command::new("no-such-apt")).unwrap_err().to_string();
    assert!(error.contains("apt is not installed here") && error.contains(".deb"), "{error}");
}
