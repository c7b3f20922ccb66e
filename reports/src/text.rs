//! `run.txt`: a run for people, what they have to act on first.

use std::io;

use crate::account::account;
use crate::outline;
use crate::{Coverage, Entry, Interface, Run, Verdict, plain, report_format};

report_format!("text", "run.txt", "for people: what failed first, each with its witness", write);

/// The most names that a group of skipped claims is shown with.
const NAMED: usize = 5;

fn write(run: &Run, out: &mut dyn io::Write) -> io::Result<()> {
    writeln!(out, "Assay: {}\n", outline::headline(run))?;
    for (name, fact) in run.host.facts() {
        writeln!(out, "{name:13} {fact}")?;
    }
    write_accounts(out, "failures", "", &outline::failures(run))?;
    let faults = outline::with(run, Verdict::Fault);
    write_accounts(out, "faults", "the harness or the host broke, nothing is said of these claims", &faults)?;
    let drift = outline::drift(run);
    write_accounts(
        out,
        "drift",
        "observed once and promised nowhere, drift there is information, not failure",
        &drift,
    )?;
    write_skips(out, run)?;
    write_known(out, run)?;
    write_notes(out, run)?;
    let interface = Interface::shipped().map_err(io::Error::other)?;
    Coverage::of(interface, [run]).write_text(out)?;
    writeln!(out, "\n{} in {:.1} s", outline::totals(run), outline::total_time(&run.claims).as_secs_f64())
}

fn write_heading(out: &mut dyn io::Write, title: &str, about: &str, count: usize) -> io::Result<()> {
    let about = if about.is_empty() { String::new() } else { format!(": {about}") };
    writeln!(out, "\n=== {title} ({count}){about}")
}

fn write_accounts(out: &mut dyn io::Write, title: &str, about: &str, entries: &[&Entry]) -> io::Result<()> {
    if !entries.is_empty() {
        write_heading(out, title, about, entries.len())?;
    }
    for entry in entries {
        let verdict = entry.verdict.name().to_uppercase();
        writeln!(out, "\n{verdict}  {}", plain::one_line(&entry.name))?;
        writeln!(out, "  {}", plain::one_line(&entry.claim))?;
        for line in account(entry) {
            writeln!(out, "{}", format!("    {line}").trim_end())?;
        }
    }
    Ok(())
}

fn write_skips(out: &mut dyn io::Write, run: &Run) -> io::Result<()> {
    let skips = outline::skips(run);
    if !skips.is_empty() {
        write_heading(out, "skipped", "", skips.iter().map(|(_, entries)| entries.len()).sum())?;
    }
    for (reason, entries) in skips {
        writeln!(out, "{:5}  {reason}", entries.len())?;
        for entry in entries.iter().take(NAMED) {
            writeln!(out, "         {}", plain::one_line(&entry.name))?;
        }
        if entries.len() > NAMED {
            writeln!(out, "         and {} more", entries.len() - NAMED)?;
        }
    }
    Ok(())
}

fn write_known(out: &mut dyn io::Write, run: &Run) -> io::Result<()> {
    let known = outline::with(run, Verdict::Known);
    if !known.is_empty() {
        write_heading(out, "known", "broken here exactly as expected", known.len())?;
    }
    for entry in known {
        writeln!(out, "  {}", plain::one_line(&entry.name))?;
        writeln!(out, "    {}", outline::why(entry))?;
    }
    Ok(())
}

fn write_notes(out: &mut dyn io::Write, run: &Run) -> io::Result<()> {
    let mut notes = run.notes.clone();
    // The notes of the others are in their accounts.
    let untold = |entry: &&Entry| matches!(entry.verdict, Verdict::Pass | Verdict::Skip | Verdict::Known);
    for entry in run.claims.iter().filter(untold) {
        notes.extend(entry.notes.iter().map(|note| format!("{}: {note}", entry.name)));
    }
    if !notes.is_empty() {
        write_heading(out, "notes", "", notes.len())?;
    }
    for note in notes {
        for (number, line) in plain::lines(&note).iter().enumerate() {
            let indent = if number == 0 { "  " } else { "    " };
            writeln!(out, "{}", format!("{indent}{line}").trim_end())?;
        }
    }
    Ok(())
}
