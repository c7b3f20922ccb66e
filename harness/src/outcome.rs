//! What a claim's function returns: that it held, or why it stopped.

use std::fmt;
use std::panic::Location;

use serde::{Deserialize, Serialize};

use crate::kvm::Refused;

/// What a claim's function returns.
pub type Outcome = Result<(), Stop>;

/// Why a claim stopped before its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// The claim is broken.
    Broken(Box<Broken>),
    /// A guest did not come to its end within its budget of exits.
    Hung(Box<Broken>),
    /// This host cannot show whether it holds, and why.
    Skip(String),
    /// The host or the harness failed, so that nothing is said of the claim.
    HostFault(HostFault),
}

/// What broke a claim: what was expected, what was seen, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broken {
    /// The break in one sentence.
    pub why: String,
    /// What the claim says should be seen.
    #[serde(default)]
    pub expected: Option<String>,
    /// What was seen.
    #[serde(default)]
    pub seen: Option<String>,
    /// The claim's line, as `file:line`.
    pub at: String,
    /// What else helps to understand it: the item of a sweep, registers, disassembly.
    #[serde(default)]
    pub detail: Vec<String>,
}

/// What the host or the harness failed at, in one sentence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFault(pub String);

impl Broken {
    /// A break at the caller's line.
    #[track_caller]
    pub fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), at: line_of(Location::caller()), ..Self::default() }
    }

    /// Adds what was expected and what was seen.
    #[must_use]
    pub fn comparing(self, expected: impl Into<String>, seen: impl Into<String>) -> Self {
        Self { expected: Some(expected.into()), seen: Some(seen.into()), ..self }
    }

    /// Adds lines that help to understand it.
    #[must_use]
    pub fn with(mut self, detail: impl IntoIterator<Item = String>) -> Self {
        self.detail.extend(detail);
        self
    }

    fn during(mut self, what: &impl fmt::Display) -> Self {
        self.detail.insert(0, what.to_string());
        self
    }
}

impl Stop {
    /// Says what the claim was doing when it broke, such as which item of a sweep it was at.
    #[must_use]
    pub fn during(self, what: impl fmt::Display) -> Self {
        match self {
            Self::Broken(broken) => Self::Broken(Box::new(broken.during(&what))),
            Self::Hung(broken) => Self::Hung(Box::new(broken.during(&what))),
            other => other,
        }
    }
}

impl From<Broken> for Stop {
    fn from(broken: Broken) -> Self {
        Self::Broken(Box::new(broken))
    }
}

/// A refusal that the claim did not expect breaks it, unless the host ran out of something.
impl From<Refused> for Stop {
    fn from(refused: Refused) -> Self {
        if refused.errno.is_shortage() {
            return Self::HostFault(HostFault(format!("{refused}: the host ran out of something")));
        }
        Broken {
            why: refused.to_string(),
            expected: Some("success".into()),
            seen: Some(refused.errno.to_string()),
            at: line_of(refused.at),
            detail: Vec::new(),
        }
        .into()
    }
}

pub(crate) fn line_of(location: &Location<'_>) -> String {
    format!("{}:{}", location.file(), location.line())
}
