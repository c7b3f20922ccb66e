//! What is built into a program beside its claims: known deviations, and inputs that once failed.

use reports::{Known, KnownError, Regression, RegressionError};

/// A file that was built in.
#[derive(Debug)]
pub struct Shipped {
    /// Its name, for messages.
    pub name: &'static str,
    /// Its text.
    pub text: &'static str,
}

/// Files of known deviations, in TOML: see [`Known`].
#[linkme::distributed_slice]
pub static EXPECTATIONS: [Shipped];

/// Files of inputs that once failed, in JSON: see [`Regression`].
#[linkme::distributed_slice]
pub static REGRESSIONS: [Shipped];

/// Why what is built in cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ShippedError {
    /// An expectation is broken.
    #[error(transparent)]
    Known(#[from] KnownError),
    /// A file of regressions is broken.
    #[error(transparent)]
    Regression(#[from] RegressionError),
}

/// Every known deviation that is built in.
pub fn shipped_expectations() -> Result<Vec<Known>, ShippedError> {
    let mut known = Vec::new();
    for file in EXPECTATIONS.iter() {
        known.extend(Known::parse(file.name, file.text)?);
    }
    Ok(known)
}

/// Every input that once failed.
pub fn shipped_regressions() -> Result<Vec<Regression>, ShippedError> {
    let mut regressions = Vec::new();
    for file in REGRESSIONS.iter() {
        regressions.extend(Regression::parse(file.name, file.text)?);
    }
    Ok(regressions)
}
