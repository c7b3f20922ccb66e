//! The account of one entry: the labelled lines with which every format says what went wrong and how to see it again.

use crate::{Entry, Witness, plain};

/// The column in which values begin.
const COLUMN: usize = 10;

/// The account of `entry` without its name and its claim, harmless, one element for each line.
pub fn account(entry: &Entry) -> Vec<String> {
    let mut lines = Vec::new();
    push(&mut lines, "why", entry.why.as_deref());
    if let Some(witness) = &entry.witness {
        push_witness(&mut lines, witness);
    }
    if entry.cases > 1 {
        push(&mut lines, "cases", Some(&format!("{}, of which {} reached it", entry.cases, entry.reached)));
    }
    for note in &entry.notes {
        push(&mut lines, "note", Some(note));
    }
    for source in &entry.source {
        push(&mut lines, "source", Some(source));
    }
    push(&mut lines, "replay", entry.witness.as_ref().map(|witness| witness.replay.as_str()));
    lines
}

fn push_witness(lines: &mut Vec<String>, witness: &Witness) {
    push(lines, "expected", witness.expected.as_deref());
    push(lines, "seen", witness.seen.as_deref());
    push(lines, "input", witness.input.as_ref().map(ToString::to_string).as_deref());
    push(lines, "seed", witness.seed.as_deref());
    push(lines, "at", witness.at.as_deref());
    push(lines, "detail", Some(&witness.detail.join("\n")));
}

/// Adds `value` behind `label`, its further lines below its first. An empty value is not worth a line.
fn push(lines: &mut Vec<String>, label: &str, value: Option<&str>) {
    let value = plain::clipped(value.unwrap_or_default().trim_end(), most(label));
    for (number, line) in plain::lines(&value).into_iter().enumerate() {
        let label = if number == 0 { label } else { "" };
        lines.push(format!("{label:COLUMN$}{line}").trim_end().to_owned());
    }
}

/// The most characters that are shown behind a label: where two long values differ stands in why, and a detail is a listing.
fn most(label: &str) -> usize {
    match label {
        "expected" | "seen" => plain::LONG / 5,
        "detail" => plain::LONG * 4,
        _ => plain::LONG,
    }
}
