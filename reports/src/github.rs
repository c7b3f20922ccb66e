//! Annotations for GitHub Actions: what is to act on, shown beside the line of the claim that stopped.

use std::io;

use crate::outline::{self, why};
use crate::{Entry, Run, Verdict, plain, report_format};

report_format!("github", None, "annotations that GitHub Actions shows, as workflow commands", write);

fn write(run: &Run, out: &mut dyn io::Write) -> io::Result<()> {
    for entry in outline::failures(run) {
        annotate(out, "error", entry)?;
    }
    for entry in outline::with(run, Verdict::Fault) {
        annotate(out, "warning", entry)?;
    }
    for entry in outline::drift(run) {
        annotate(out, "notice", entry)?;
    }
    let (headline, totals) = (outline::headline(run), outline::totals(run));
    writeln!(out, "::notice title={}::{}", property(&format!("Assay: {headline}")), data(&totals))
}

fn annotate(out: &mut dyn io::Write, level: &str, entry: &Entry) -> io::Result<()> {
    let at = entry.witness.as_ref().and_then(|witness| witness.at.as_deref()).map(plain::one_line);
    let at = at
        .as_deref()
        .and_then(|at| at.rsplit_once(':'))
        .map_or_else(String::new, |(file, line)| format!("file={},line={},", property(file), property(line)));
    let replay = entry.witness.as_ref().map(|witness| plain::one_line(&witness.replay)).unwrap_or_default();
    let text =
        plain::clipped(&format!("{}: {}\n{replay}", plain::one_line(&entry.claim), why(entry)), plain::LONG);
    let title = property(&format!("{} {}", entry.verdict, plain::one_line(&entry.name)));
    writeln!(out, "::{level} {at}title={title}::{}", data(text.trim_end()))
}

/// Text behind the second pair of colons.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// The value of a property.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
