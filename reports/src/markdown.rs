//! `run.md`: a run as a page to paste into a bug report or a job's summary, in GitHub's Markdown.

use std::io;

use crate::account::account;
use crate::outline::{self, counted};
use crate::{Entry, Run, Verdict, plain, report_format};

report_format!(
    "markdown",
    "run.md",
    "a page to paste into a bug report or a job's summary",
    write,
    |matrix, out| matrix.write_markdown(out)
);

/// The most characters of a reason that a cell of a table holds; the whole reason is below the table.
const CELL: usize = 200;

fn write(run: &Run, out: &mut dyn io::Write) -> io::Result<()> {
    writeln!(out, "# Assay: {}\n", outline::headline(run))?;
    writeln!(out, "{}\n", escaped(&run.host.summary()))?;
    write_totals(out, run)?;
    let failures = outline::failures(run);
    let faults = outline::with(run, Verdict::Fault);
    let drift = outline::drift(run);
    write_entries(out, "Failures", "", &failures)?;
    write_entries(out, "Faults", "The harness or the host broke: nothing is said of these claims.", &faults)?;
    write_entries(
        out,
        "Drift",
        "Observed once and promised nowhere: drift there is information, not failure.",
        &drift,
    )?;
    write_table(out, "Known", "Broken here exactly as expected.", &outline::with(run, Verdict::Known))?;
    write_skips(out, run)?;
    write_notes(out, run)?;
    write_host(out, run)
}

fn write_totals(out: &mut dyn io::Write, run: &Run) -> io::Result<()> {
    let names = Verdict::ALL.map(Verdict::name).join(" | ");
    let counts = Verdict::ALL.map(|verdict| outline::with(run, verdict).len().to_string()).join(" | ");
    writeln!(out, "| {names} |\n|{}\n| {counts} |", "--:|".repeat(Verdict::ALL.len()))
}

fn write_table(out: &mut dyn io::Write, title: &str, about: &str, entries: &[&Entry]) -> io::Result<()> {
    if entries.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n## {title}\n")?;
    if !about.is_empty() {
        writeln!(out, "{about}\n")?;
    }
    writeln!(out, "| verdict | claim | why |\n|---|---|---|")?;
    for entry in entries {
        let [name, claim] = [&entry.name, &entry.claim].map(|text| escaped(&plain::one_line(text)));
        let why = escaped(&plain::clipped(&outline::why(entry), CELL));
        writeln!(out, "| {} | {claim}<br><code>{name}</code> | {why} |", entry.verdict)?;
    }
    Ok(())
}

/// A table of `entries`, and below it one fold for each with its account.
fn write_entries(out: &mut dyn io::Write, title: &str, about: &str, entries: &[&Entry]) -> io::Result<()> {
    write_table(out, title, about, entries)?;
    for entry in entries {
        let summary = html(&plain::one_line(&entry.name));
        let mut lines = vec![plain::one_line(&entry.claim)];
        lines.extend(account(entry));
        let fence = fence(&lines);
        writeln!(out, "\n<details><summary>{}: <code>{summary}</code></summary>\n", entry.verdict)?;
        writeln!(out, "{fence}text\n{}\n{fence}\n\n</details>", lines.join("\n"))?;
    }
    Ok(())
}

fn write_skips(out: &mut dyn io::Write, run: &Run) -> io::Result<()> {
    let skips = outline::skips(run);
    if skips.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n## Skipped\n\n| claims | why |\n|--:|---|")?;
    for (reason, entries) in &skips {
        writeln!(out, "| {} | {} |", entries.len(), escaped(&plain::clipped(reason, CELL)))?;
    }
    let names: Vec<_> =
        skips.iter().flat_map(|(_, entries)| entries).map(|entry| plain::one_line(&entry.name)).collect();
    let fence = fence(&names);
    writeln!(out, "\n<details><summary>{}</summary>\n", counted(names.len(), "skipped claim"))?;
    writeln!(out, "{fence}text\n{}\n{fence}\n\n</details>", names.join("\n"))
}

fn write_notes(out: &mut dyn io::Write, run: &Run) -> io::Result<()> {
    if !run.notes.is_empty() {
        writeln!(out, "\n## Notes\n")?;
    }
    for note in &run.notes {
        writeln!(out, "* {}", escaped(&plain::one_line(note)))?;
    }
    Ok(())
}

fn write_host(out: &mut dyn io::Write, run: &Run) -> io::Result<()> {
    writeln!(out, "\n## Host\n\n| fact | |\n|---|---|")?;
    for (name, fact) in run.host.facts() {
        writeln!(out, "| {name} | {} |", escaped(&fact))?;
    }
    Ok(())
}

/// A fence of backticks that nothing in `lines` closes.
fn fence(lines: &[String]) -> String {
    let longest = lines.iter().flat_map(|line| line.split(|c| c != '`')).map(str::len).max().unwrap_or(0);
    "`".repeat(longest.max(2) + 1)
}

/// `text` as text: nothing in it is markup, ends a cell of a table, or calls a person or an issue.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if matches!(c, '\\' | '`' | '*' | '_' | '~' | '[' | ']' | '|') {
            out.push('\\');
        }
        push_html(&mut out, c);
        if matches!(c, '@' | '#') && rest.peek().is_some_and(|c| c.is_alphanumeric()) {
            // An empty comment after the sign: neither a mention nor a reference is made of it.
            out.push_str("<!-- -->");
        }
    }
    out
}

/// `text` inside an element that begins its line, where only HTML is understood.
fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    text.chars().for_each(|c| push_html(&mut out, c));
    out
}

fn push_html(out: &mut String, c: char) {
    match c {
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        c => out.push(c),
    }
}
