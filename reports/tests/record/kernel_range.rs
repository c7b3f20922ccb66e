//! Kernel ranges hold what their bounds say, of releases as kernels spell them.

use reports::KernelRange;
use rstest::rstest;

#[rstest]
#[case(">=6.1, <6.13", "6.1.0-40-cloud-amd64", true)]
#[case(">=6.1, <6.13", "6.12.48", true)]
#[case(">=6.1, <6.13", "6.13.0", false)]
#[case(">=6.1, <6.13", "6.0.19", false)]
#[case(">=6.1", "6.18.44-fc-v669", true)]
#[case(">=7.3", "7.3-rc7+", true)]
#[case(">=7.3.1", "7.3-rc7+", false)]
#[case("<7.3", "7.3-rc1", false)]
#[case("<=6.12", "6.12.48", true)]
#[case(">6.12", "6.12.48", false)]
#[case(">6.12", "6.13-rc1", true)]
#[case("=6.12", "6.12.48", true)]
#[case("=6.12.1", "6.12.48", false)]
#[case("<10", "9.9", true)]
#[case(">=6.9", "6.10", true)]
#[case(">=6.1", "", false)]
#[case(">=6.1", "unknown", false)]
#[case(">=6.1", "99999999999.1", false)]
fn releases(#[case] range: &str, #[case] release: &str, #[case] expected: bool) {
    assert_eq!(KernelRange::parse(range).unwrap().contains(release), expected);
}

#[rstest]
fn what_is_no_range_is_refused(
    #[values("", "6.1", ">=", ">=6.", ">=6.1,", "~6.1", ">=+6.1", ">=6.1-rc1", "> = 6.1", ">=99999999999")]
    text: &str,
) {
    let expected = format!(
        "cannot understand the kernel range `{text}`: write bounds such as >=6.1, <6.13 (also >, <= and =)"
    );
    assert_eq!(format!("cannot {}", KernelRange::parse(text).unwrap_err()), expected);
}

#[test]
fn it_is_shown_as_it_is_written() {
    assert_eq!(KernelRange::parse(">=6.1,< 6.13").unwrap().to_string(), ">=6.1, <6.13");
}
