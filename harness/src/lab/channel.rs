//! The channel: what the init of the lab tells as it finds it out, one line of JSON each, in the shape of the journal's lines.
//!
//! It goes over the second serial line, whose driver is built into every kernel; nothing has to be loaded first, and what was written
//! before the kernel died has arrived.

use reports::{Entry, Host};
use serde::{Deserialize, Serialize};

/// One line of the channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Word {
    /// The first line: where claims will be tried, and how long one case may take there.
    Host {
        /// The facts of the kernel.
        facts: Box<Host>,
        /// The clock, in milliseconds.
        clock: u64,
    },
    /// There is no KVM to try anything on, and why.
    Unusable(String),
    /// A claim's trial begins.
    Trying(String),
    /// A claim's trial ended.
    Entry(Box<Entry>),
    /// Something is said of the run as a whole.
    Note(String),
    /// The kernel lives, and its init with it.
    Beat,
    /// All was done; the power goes off.
    Goodbye,
}

impl Word {
    /// The line, with its end.
    pub(super) fn line(&self) -> Vec<u8> {
        // What cannot be written as JSON must not silence the rest.
        let mut line = serde_json::to_vec(self).unwrap_or_else(|error| {
            format!("{{\"note\":\"a line of the channel was lost: {error}\"}}").into()
        });
        line.push(b'\n');
        line
    }

    /// Reads a line; the line itself where it is damaged.
    pub(super) fn read(line: &str) -> Result<Self, String> {
        serde_json::from_str(line.trim()).map_err(|_| line.trim().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_the_way() {
        for word in [
            Word::Host { facts: Box::default(), clock: 10_000 },
            Word::Unusable("no SVM".into()),
            Word::Trying("system::a".into()),
            Word::Note("two\nlines".into()),
            Word::Beat,
            Word::Goodbye,
        ] {
            let line = String::from_utf8(word.line()).unwrap();
            assert!(line.ends_with('\n') && line.trim_end().lines().count() == 1, "{line}");
            assert_eq!(Word::read(&line), Ok(word));
        }
    }

    #[test]
    fn a_line_is_one_of_the_journals() {
        assert_eq!(Word::Trying("a::b".into()).line(), b"{\"trying\":\"a::b\"}\n");
        assert_eq!(Word::read("{\"note\":\"hello\"}\r"), Ok(Word::Note("hello".into())));
    }

    #[test]
    fn a_damaged_line_is_handed_back() {
        assert_eq!(Word::read("{\"trying\":\"a:"), Err("{\"trying\":\"a:".into()));
    }
}
