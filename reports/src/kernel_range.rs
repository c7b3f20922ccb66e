//! A range of kernel versions, such as `>=6.1, <6.13`, and whether a kernel's release lies in it.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A range of kernel versions: bounds that must all hold.
///
/// Versions are compared as far as the bound says them: 6.12.5 is `<=6.12` and `=6.12`, and is not `>6.12`. A release
/// candidate counts as the version that it leads to, because what is new in 7.3 is in 7.3-rc1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelRange {
    bounds: Vec<Bound>,
}

/// Why text is no range; completes "cannot …".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("understand the kernel range `{0}`: write bounds such as >=6.1, <6.13 (also >, <= and =)")]
pub struct KernelRangeError(String);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Bound {
    operator: Operator,
    version: Vec<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Operator {
    AtLeast,
    AtMost,
    Above,
    Below,
    Exactly,
}

impl Operator {
    /// The operators as written; those of two letters first, so that no other is taken for their beginning.
    const ALL: [(&'static str, Self); 5] = [
        (">=", Self::AtLeast),
        ("<=", Self::AtMost),
        (">", Self::Above),
        ("<", Self::Below),
        ("=", Self::Exactly),
    ];

    fn accepts(self, ordering: Ordering) -> bool {
        match self {
            Self::AtLeast => ordering.is_ge(),
            Self::AtMost => ordering.is_le(),
            Self::Above => ordering.is_gt(),
            Self::Below => ordering.is_lt(),
            Self::Exactly => ordering.is_eq(),
        }
    }
}

impl KernelRange {
    /// Understands bounds that are separated by commas.
    pub fn parse(text: &str) -> Result<Self, KernelRangeError> {
        let bounds: Option<Vec<_>> = text.split(',').map(|bound| Bound::parse(bound.trim())).collect();
        bounds.map(|bounds| Self { bounds }).ok_or_else(|| KernelRangeError(text.to_owned()))
    }

    /// Whether a kernel whose `uname -r` is `release` lies in the range; no, where the release begins with no version.
    pub fn contains(&self, release: &str) -> bool {
        version_of(release).is_some_and(|version| self.bounds.iter().all(|bound| bound.holds(&version)))
    }
}

impl Bound {
    fn parse(text: &str) -> Option<Self> {
        let (operator, version) = Operator::ALL
            .into_iter()
            .find_map(|(written, operator)| Some((operator, text.strip_prefix(written)?)))?;
        Some(Self { operator, version: numbers(version.trim())? })
    }

    fn holds(&self, version: &[u32]) -> bool {
        // A release such as 7.3-rc7 has no third number; it is zero.
        let said = version.iter().copied().chain(std::iter::repeat(0)).take(self.version.len());
        self.operator.accepts(said.cmp(self.version.iter().copied()))
    }
}

impl fmt::Display for KernelRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Bound { operator, version }) in self.bounds.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            let written = Operator::ALL
                .into_iter()
                .find(|(_, other)| other == operator)
                .map_or("", |(written, _)| written);
            let version: Vec<_> = version.iter().map(u32::to_string).collect();
            write!(f, "{separator}{written}{}", version.join("."))?;
        }
        Ok(())
    }
}

/// The version that a release begins with: its first two or three numbers.
fn version_of(release: &str) -> Option<Vec<u32>> {
    let end = release.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(release.len());
    numbers(release.get(..end)?.trim_end_matches('.'))
}

fn numbers(text: &str) -> Option<Vec<u32>> {
    // `parse` alone would take a sign.
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    text.split('.').map(|part| digits(part).then(|| part.parse().ok()).flatten()).collect()
}
