//! Text that came from a kernel, a guest or a claim, made harmless for a terminal and for the formats built of lines.

use std::fmt::Write as _;
use std::io;

/// The most characters that a format shows of one value; the whole value is in `run.json`.
pub(crate) const LONG: usize = 2000;

/// `text` on one line: runs of white space become a space, and what a terminal would obey becomes an escape.
pub fn one_line(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    visible(&words.join(" "))
}

/// What the system said, in words alone: `No space left on device`, without the number of the error.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split_once(" (os error").map_or(text.as_str(), |(words, _)| words).to_owned()
}

/// The lines of `text`, their indentation kept, and what a terminal would obey become an escape.
pub(crate) fn lines(text: &str) -> Vec<String> {
    text.lines().map(|line| visible(line.trim_end())).collect()
}

/// `text`, ended after `most` characters with a word on how many there were.
pub(crate) fn clipped(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => {
            let kept = text.get(..end).unwrap_or(text);
            format!("{kept}… ({} characters, whole in run.json)", text.chars().count())
        }
    }
}

fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => out.push_str("    "),
            c if is_obeyed(c) => {
                // Writing to a String cannot fail.
                let _ = write!(out, "{}", c.escape_unicode());
            }
            c => out.push(c),
        }
    }
    out
}

/// Whether a terminal or a viewer acts on `c` instead of showing it: controls, line separators, the marks that turn
/// the direction of text around, and the two that XML cannot hold.
fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || matches!(c, '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}
