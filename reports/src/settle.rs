//! Holding an entry against the expectations: what was expected is Known, what was expected and did not come is a
//! Surprise, and everything else stays as it is.

use crate::{Entry, Host, Known, Verdict, plain};

/// Holds `entry` of a run on `host` against the expectations in `known`.
///
/// * An entry that is broken exactly as an expectation says becomes Known. The value seen must occur in what was seen
///   (or, where no value was, in why) as whole words, so that 1 is not found in 12.
/// * A Pass against an expectation becomes a Surprise, unless that says `sometimes`.
/// * An entry that is broken in another way stays what it is, and a note says what was expected.
///
/// Skip and Fault say nothing of the claim, so nothing can be expected of them. Settling twice changes nothing more.
pub fn settle(known: &[Known], entry: &mut Entry, host: &Host) {
    let expected: Vec<_> =
        known.iter().filter(|known| known.claim == entry.name && known.host.matches(host)).collect();
    let Some(first) = expected.first() else { return };
    match entry.verdict {
        Verdict::Pass if expected.iter().all(|known| known.sometimes) => {}
        Verdict::Pass => {
            entry.verdict = Verdict::Surprise;
            entry.why = Some(format!(
                "it holds, and {} expects {} with {}: remove that expectation, or narrow its host",
                first.at, first.verdict, first.seen
            ));
        }
        Verdict::Fail | Verdict::Crash | Verdict::Hang => {
            match expected.iter().find(|known| known.explains(entry)) {
                Some(known) => {
                    entry.verdict = Verdict::Known;
                    entry.why = Some(format!("{} ({})", known.why, known.link));
                }
                None => note(entry, &expected),
            }
        }
        Verdict::Skip | Verdict::Fault | Verdict::Known | Verdict::Surprise => {}
    }
}

/// Whether a claim of this name is expected to be broken with this verdict on `host`.
pub fn is_expected(known: &[Known], claim: &str, verdict: Verdict, host: &Host) -> bool {
    known.iter().any(|known| known.claim == claim && known.verdict == verdict && known.host.matches(host))
}

/// Whether what was found Known on `host` is still what an expectation says.
pub fn is_still_known(known: &[Known], entry: &Entry, host: &Host) -> bool {
    let broken = |known: &&Known| Entry { verdict: known.verdict, ..entry.clone() };
    known
        .iter()
        .filter(|known| known.claim == entry.name && known.host.matches(host))
        .any(|known| known.explains(&broken(&known)))
}

impl Known {
    /// Whether `entry` is broken exactly as the expectation says.
    fn explains(&self, entry: &Entry) -> bool {
        let witnessed = entry.witness.as_ref().and_then(|witness| witness.seen.as_deref());
        let seen = witnessed.or(entry.why.as_deref()).unwrap_or_default();
        entry.verdict == self.verdict && holds_words(seen, &self.seen)
    }
}

fn note(entry: &mut Entry, expected: &[&Known]) {
    for known in expected {
        let note = format!("{} expects {} with {}, which this is not", known.at, known.verdict, known.seen);
        let note = plain::one_line(&note);
        if !entry.notes.contains(&note) {
            entry.notes.push(note);
        }
    }
}

/// Whether `words` occur in `text` and neither end of them is in the middle of a word.
fn holds_words(text: &str, words: &str) -> bool {
    let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let splits = |left: Option<char>, right: Option<char>| is_word(left) && is_word(right);
    text.match_indices(words).any(|(start, _)| {
        let (before, rest) = text.split_at(start);
        let after = rest.strip_prefix(words).unwrap_or_default();
        !splits(before.chars().next_back(), words.chars().next())
            && !splits(words.chars().next_back(), after.chars().next())
    })
}
