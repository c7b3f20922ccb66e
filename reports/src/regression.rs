//! Inputs that once failed: kept as they were, because a seed means another input as soon as a generator changes.

use serde::Deserialize;
use serde_json::Value;

/// An input that once failed, which is tried before any other.
///
/// A file of them is a JSON array of objects with just these three fields.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Regression {
    /// The claim's name.
    pub claim: String,
    /// One value for each generated argument.
    pub input: Vec<Value>,
    /// What it showed.
    pub why: String,
}

/// Why a file of regressions cannot be used.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot read the regressions in {name} ({source}): give an array of {{\"claim\", \"input\", \"why\"}}"
)]
pub struct RegressionError {
    name: String,
    source: serde_json::Error,
}

impl Regression {
    /// Reads one file; `name` is for the error.
    pub fn parse(name: &str, text: &str) -> Result<Vec<Self>, RegressionError> {
        serde_json::from_str(text).map_err(|source| RegressionError { name: name.to_owned(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_is_read() {
        let read =
            Regression::parse("a.json", r#"[{"claim": "a::b", "input": [7, true], "why": "it panicked"}]"#);
        let read = read.unwrap();
        assert_eq!(read[0].claim, "a::b");
        assert_eq!(read[0].input, [Value::from(7), Value::from(true)]);
    }

    #[test]
    fn a_broken_file_is_named() {
        let error = Regression::parse("a.json", r#"[{"claim": "a::b"}]"#).unwrap_err().to_string();
        assert!(error.starts_with("cannot read the regressions in a.json (missing field"), "{error}");
    }
}
