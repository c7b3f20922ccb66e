//! A claim's own page: what each run says of it, and for what is broken the witness, with what differs marked.

use askama::Template;
use similar::{ChangeTag, TextDiff};

use super::{Claim, LINES};
use crate::matrix::{Matrix, Row};
use crate::{Verdict, plain};

/// The most characters of a line of a witness.
const LINE: usize = 400;

/// What a claim's own page says, below its sentence.
#[derive(Template)]
#[template(path = "claim.html")]
struct Body {
    name: String,
    told: Vec<Told>,
    witnesses: Vec<Witness>,
    notes: Vec<String>,
    source: Vec<String>,
}

/// A verdict, where it was given, and why.
struct Told {
    verdict: &'static str,
    on: String,
    why: String,
}

struct Witness {
    on: String,
    input: String,
    seed: String,
    is_compared: bool,
    /// What was expected, in pieces, and whether each is missing in what was seen; and the other way round.
    expected: Vec<(bool, String)>,
    seen: Vec<(bool, String)>,
    /// Lines, and whether each is the one to look at.
    detail: Vec<(bool, String)>,
    at: String,
    replay: String,
}

impl Matrix<'_> {
    /// A claim with all that is told of it.
    pub(super) fn claim(&self, row: &Row<'_>, labels: &[String]) -> askama::Result<Claim> {
        let on = |columns: &[usize]| self.on(columns, labels);
        let held: Vec<_> = (0..row.cells.len())
            .filter(|&column| row.cells[column].is_some_and(|entry| entry.verdict == Verdict::Pass))
            .collect();
        let absent: Vec<_> = (0..row.cells.len()).filter(|&column| row.cells[column].is_none()).collect();
        let mut told: Vec<_> = row
            .reasons()
            .into_iter()
            .map(|(verdict, why, columns)| Told {
                verdict,
                on: on(&columns),
                why: plain::clipped(&why, plain::LONG),
            })
            .collect();
        for (columns, verdict, why) in [(held, "pass", ""), (absent, "none", "not in the record")] {
            if !columns.is_empty() {
                told.push(Told { verdict, on: on(&columns), why: why.to_owned() });
            }
        }
        let mut witnesses: Vec<Witness> = Vec::new();
        for (_, _, columns) in row.reasons() {
            for (witness, columns) in alike(row, &columns) {
                witnesses.push(witnessed(witness, on(&columns)));
            }
        }
        let entries = || row.cells.iter().flatten();
        let mut notes: Vec<_> = entries()
            .flat_map(|entry| &entry.notes)
            .map(|note| plain::clipped(&plain::one_line(note), LINE))
            .collect();
        notes.sort();
        notes.dedup();
        let source = entries().next().map(|entry| entry.source.as_slice()).unwrap_or_default();
        let body = Body {
            name: plain::one_line(row.name),
            told,
            witnesses,
            notes,
            source: source.iter().map(|source| plain::clipped(&plain::one_line(source), LINE)).collect(),
        };
        Ok(Claim {
            name: plain::one_line(row.name),
            sentence: plain::one_line(row.claim),
            is_observed: entries().next().is_some_and(|entry| entry.is_observed()),
            body: body.render()?,
        })
    }

    /// The columns by their labels; nothing where there is but one, and all of them in two words.
    fn on(&self, columns: &[usize], labels: &[String]) -> String {
        match (self.columns.len(), columns.len()) {
            (1, _) => String::new(),
            (all, some) if all == some => "every one".to_owned(),
            _ => columns.iter().map(|&column| labels[column].as_str()).collect::<Vec<_>>().join(", "),
        }
    }
}

/// The witnesses of these columns, each with the columns that saw the same.
fn alike<'a>(row: &Row<'a>, columns: &[usize]) -> Vec<(&'a crate::Witness, Vec<usize>)> {
    let mut alike: Vec<(&crate::Witness, Vec<usize>)> = Vec::new();
    for &column in columns {
        let Some(witness) = row.cells[column].and_then(|entry| entry.witness.as_ref()) else { continue };
        match alike.iter_mut().find(|(other, _)| other.seen == witness.seen) {
            Some((_, columns)) => columns.push(column),
            None => alike.push((witness, vec![column])),
        }
    }
    alike
}

fn witnessed(witness: &crate::Witness, on: String) -> Witness {
    let text = |text: &Option<String>| {
        text.as_deref().map(|text| plain::clipped(&plain::one_line(text), plain::LONG)).unwrap_or_default()
    };
    let (expected, seen) = (text(&witness.expected), text(&witness.seen));
    let lines: Vec<_> = witness.detail.iter().flat_map(|text| plain::lines(text)).collect();
    let mut detail: Vec<_> =
        lines.iter().take(LINES).map(|line| (line.starts_with("> "), plain::clipped(line, LINE))).collect();
    if lines.len() > LINES {
        detail.push((false, format!("… ({} lines, all in run.json)", lines.len())));
    }
    Witness {
        on,
        input: witness
            .input
            .as_ref()
            .map(|input| plain::clipped(&plain::one_line(&input.to_string()), plain::LONG))
            .unwrap_or_default(),
        seed: text(&witness.seed),
        is_compared: witness.expected.is_some() || witness.seen.is_some(),
        expected: pieces(&expected, &seen, ChangeTag::Delete),
        seen: pieces(&expected, &seen, ChangeTag::Insert),
        detail,
        at: text(&witness.at),
        replay: plain::one_line(&witness.replay),
    }
}

/// One of two texts in pieces, those marked that the other does not have: the old one's for Delete, the new one's for Insert.
fn pieces(old: &str, new: &str, own: ChangeTag) -> Vec<(bool, String)> {
    let mut pieces: Vec<(bool, String)> = Vec::new();
    for change in TextDiff::from_words(old, new).iter_all_changes() {
        let is_own = change.tag() == own;
        if !is_own && change.tag() != ChangeTag::Equal {
            continue;
        }
        match pieces.last_mut() {
            Some((last, text)) if *last == is_own => text.push_str(change.value()),
            _ => pieces.push((is_own, change.value().to_owned())),
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_marked_on_both_sides() {
        let owned = |pieces: &[(bool, &str)]| -> Vec<(bool, String)> {
            pieces.iter().map(|(mark, text)| (*mark, (*text).to_owned())).collect()
        };
        let (old, new) = ("rax 0x11 after OUT", "rax 0x12 after OUT");
        assert_eq!(
            pieces(old, new, ChangeTag::Delete),
            owned(&[(false, "rax "), (true, "0x11"), (false, " after OUT")])
        );
        assert_eq!(
            pieces(old, new, ChangeTag::Insert),
            owned(&[(false, "rax "), (true, "0x12"), (false, " after OUT")])
        );
        assert_eq!(pieces("same", "same", ChangeTag::Insert), owned(&[(false, "same")]));
    }
}
