//! A badge for a page: how many claims held, and whether any is to act on, as a small picture.

use std::io;

use askama::Template;

use crate::{Run, Verdict, outline, report_format};

report_format!("badge", None, "a small picture for a page, as SVG", write);

/// About how wide a letter is, in pixels, at the size in which the badge is written.
const LETTER: usize = 7;
/// What is left free at each side of a text.
const MARGIN: usize = 6;

#[derive(Template)]
#[template(path = "badge.svg", escape = "html")]
struct Badge {
    label: &'static str,
    told: String,
    colour: &'static str,
    left: usize,
    right: usize,
}

fn write(run: &Run, out: &mut dyn io::Write) -> io::Result<()> {
    let (failures, faults) = (outline::failures(run).len(), outline::with(run, Verdict::Fault).len());
    let held = outline::with(run, Verdict::Pass).len();
    let (told, colour) = match (failures, faults) {
        _ if run.claims.is_empty() => ("not tried".to_owned(), "#6e7781"),
        (0, 0) => (format!("{held} hold"), "#1a7f37"),
        (0, faults) => (format!("{held} hold, {}", outline::counted(faults, "fault")), "#8250df"),
        (failures, _) => (outline::counted(failures, "failure"), "#cf222e"),
    };
    let label = "KVM claims";
    let width = |text: &str| text.chars().count() * LETTER + 2 * MARGIN;
    let badge = Badge { label, left: width(label), right: width(&told), told, colour };
    out.write_all(badge.render().map_err(io::Error::other)?.as_bytes())
}
