//! Debian's versions: how they compare (deb-version(7)), and which of them a prefix means.

use std::cmp::Ordering;

/// Compares two versions as dpkg does.
pub(in crate::lab) fn compare(a: &str, b: &str) -> Ordering {
    let (epoch_a, upstream_a, revision_a) = parts(a);
    let (epoch_b, upstream_b, revision_b) = parts(b);
    epoch_a
        .cmp(&epoch_b)
        .then_with(|| compare_part(upstream_a, upstream_b))
        .then_with(|| compare_part(revision_a, revision_b))
}

fn parts(version: &str) -> (u64, &str, &str) {
    let (epoch, rest) = version.split_once(':').unwrap_or(("0", version));
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
    (epoch.parse().unwrap_or(0), upstream, revision)
}

/// Runs of other characters and of digits are compared in turns.
fn compare_part(mut a: &str, mut b: &str) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        let (text_a, text_b) = (run(&mut a, false), run(&mut b, false));
        let order = text_a.chars().map(weight).chain([0]).cmp(text_b.chars().map(weight).chain([0]));
        if order.is_ne() {
            return order;
        }
        let (number_a, number_b) = (run(&mut a, true), run(&mut b, true));
        let (number_a, number_b) = (number_a.trim_start_matches('0'), number_b.trim_start_matches('0'));
        let order = number_a.len().cmp(&number_b.len()).then_with(|| number_a.cmp(number_b));
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

/// Takes the leading digits, or all before them, off a text.
fn run<'a>(text: &mut &'a str, digits: bool) -> &'a str {
    let end = text.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(text.len());
    let (run, rest) = text.split_at(end);
    *text = rest;
    run
}

/// A tilde comes before the end (0), letters before all else.
fn weight(c: char) -> i64 {
    match c {
        '~' => -1,
        c if c.is_ascii_alphabetic() => i64::from(u32::from(c)),
        c => i64::from(u32::from(c)) + 0x1_0000,
    }
}

/// Whether a version is meant by a prefix: 6.1 means 6.1.0-47, but not 6.12.
pub(super) fn begins(version: &str, prefix: &str) -> bool {
    let is_digit = |c: char| c.is_ascii_digit();
    version
        .strip_prefix(prefix)
        .is_some_and(|rest| !(prefix.ends_with(is_digit) && rest.starts_with(is_digit)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("6.1.0-47", "6.12.107", Ordering::Less)]
    #[case("6.12.9", "6.12.107", Ordering::Less)]
    #[case("6.12.107-1", "6.12.107-1~bpo12+1", Ordering::Greater)]
    #[case("6.12.107-1~deb12u1", "6.12.107-1", Ordering::Less)]
    #[case("6.12.90+deb12-1", "6.12.90+deb12.1-1", Ordering::Less)]
    #[case("7.3~rc1-1", "7.3-1", Ordering::Less)]
    #[case("1:6.1", "7.2", Ordering::Greater)]
    #[case("6.01", "6.1", Ordering::Equal)]
    #[case("6.1-1", "6.1-1", Ordering::Equal)]
    #[case("1.0a", "1.0+", Ordering::Less)]
    #[case("1.0", "1.0-0", Ordering::Equal)]
    fn versions_compare_as_dpkg_says(#[case] a: &str, #[case] b: &str, #[case] expected: Ordering) {
        assert_eq!(compare(a, b), expected, "{a} {b}");
        assert_eq!(compare(b, a), expected.reverse(), "{b} {a}");
    }

    #[rstest]
    #[case("6.1.0-47", "6.1", true)]
    #[case("6.12.107+deb12", "6.1", false)]
    #[case("6.12.107+deb12", "6.12", true)]
    #[case("6.12.107+deb12", "6.12.107", true)]
    #[case("6.12.107+deb12", "6.12.10", false)]
    #[case("6.12.107+deb12", "6.12.107+deb", true)]
    #[case("6.1.0-47", "6.1.0-4", false)]
    #[case("6.1.0-47", "6", true)]
    #[case("6.1.0-47", "", true)]
    #[case("7.3", "7.3", true)]
    #[case("7.3", "7.3.1", false)]
    fn a_prefix_ends_where_a_number_ends(#[case] version: &str, #[case] prefix: &str, #[case] meant: bool) {
        assert_eq!(begins(version, prefix), meant);
    }
}
