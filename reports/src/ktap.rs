//! `run.ktap`: a run as the Kernel Test Anything Protocol, version 1 (the kernel's
//! `Documentation/dev-tools/ktap.rst`), for `kunit.py parse`, kselftest's tools and CI systems of the kernel.
//!
//! Each area is a test whose subtests are its claims. A Known is `ok … # XFAIL`, a Hang `not ok … # TIMEOUT`, a Fault
//! `not ok … # ERROR`, a Skip `ok … # SKIP`; drift is `ok`, because it is information. What is more to say stands in
//! diagnostic lines before the result.

use std::io;

use crate::account::account;
use crate::{Entry, Run, Verdict, outline, plain, report_format};

report_format!("ktap", "run.ktap", "KTAP version 1, for the kernel's own test tools", write);

/// The most characters of a reason that stand in a result line; the whole reason is in the diagnostic lines.
const SHORT: usize = 200;

fn write(run: &Run, out: &mut dyn io::Write) -> io::Result<()> {
    let areas = outline::by_area(run);
    writeln!(out, "KTAP version 1")?;
    for (name, fact) in run.host.facts() {
        writeln!(out, "# {name}: {fact}")?;
    }
    for line in run.notes.iter().flat_map(|note| plain::lines(note)) {
        writeln!(out, "# note: {line}")?;
    }
    writeln!(out, "1..{}", areas.len())?;
    for (index, (area, entries)) in areas.into_iter().enumerate() {
        let area = description(area);
        writeln!(out, "  KTAP version 1")?;
        writeln!(out, "  # Subtest: {area}")?;
        writeln!(out, "  1..{}", entries.len())?;
        for (index, entry) in entries.iter().enumerate() {
            write_claim(out, index + 1, entry)?;
        }
        write_area(out, index + 1, &area, &entries)?;
    }
    writeln!(out, "# {}", outline::totals(run))
}

fn write_claim(out: &mut dyn io::Write, number: usize, entry: &Entry) -> io::Result<()> {
    if is_told(entry) {
        writeln!(out, "  # claim: {}", plain::one_line(&entry.claim))?;
        for line in account(entry) {
            // Two more spaces, so that no line can be taken for the protocol's own `# Subtest: `.
            writeln!(out, "{}", format!("  #   {line}").trim_end())?;
        }
    }
    let result = if is_ok(entry) { "ok" } else { "not ok" };
    writeln!(out, "  {result} {number} {}{}", description(&entry.name), directive(entry))
}

fn write_area(out: &mut dyn io::Write, number: usize, area: &str, entries: &[&Entry]) -> io::Result<()> {
    let ok = entries.iter().all(|entry| is_ok(entry));
    let skipped = entries.iter().all(|entry| entry.verdict == Verdict::Skip);
    let result = if ok { "ok" } else { "not ok" };
    let directive = if skipped { " # SKIP all of it was skipped" } else { "" };
    writeln!(out, "{result} {number} {area}{directive}")
}

/// Whether the entry is worth its diagnostic lines: a reason to skip fits in the result line.
fn is_told(entry: &Entry) -> bool {
    !matches!(entry.verdict, Verdict::Pass | Verdict::Skip)
}

fn is_ok(entry: &Entry) -> bool {
    !entry.is_failure() && entry.verdict != Verdict::Fault
}

/// What follows the name: a directive of the protocol, or the verdict in our own word, which parsers pass over.
fn directive(entry: &Entry) -> String {
    let word = match entry.verdict {
        Verdict::Pass => return String::new(),
        Verdict::Skip => "SKIP",
        Verdict::Known => "XFAIL",
        Verdict::Hang => "TIMEOUT",
        Verdict::Fault => "ERROR",
        Verdict::Fail if entry.is_drift() => "drift:",
        Verdict::Fail => "fail:",
        Verdict::Surprise => "surprise:",
        Verdict::Crash => "crash:",
    };
    // A second `#` could be taken for the directive, and a failure for a skip.
    format!(" # {word} {}", plain::clipped(&outline::why(entry), SHORT).replace('#', "_"))
}

/// A name as the protocol can hold it, where `#` begins a directive and a first `-` is not part of the name.
fn description(name: &str) -> String {
    let name = plain::one_line(name).replace('#', "_");
    match name.trim_start_matches(['-', ' ']) {
        "" => "unnamed".to_owned(),
        name => name.to_owned(),
    }
}
