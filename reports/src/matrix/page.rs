//! The matrix as a page of Markdown: the runs; what deviates, with the reason; what some runs lack, gathered by what they lack; and
//! every claim.

use std::collections::BTreeSet;
use std::io;

use super::{Group, Matrix, Row, verdict};
use crate::markdown::escaped;
use crate::outline::{self, counted};
use crate::{Verdict, plain};

/// The most characters of an input or a command that are shown.
const LONGEST: usize = 400;

impl Matrix<'_> {
    /// Writes it as a page of Markdown.
    pub fn write_markdown(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let differ = self.differing();
        writeln!(out, "# {} of {} differ\n", differ.len(), counted(self.rows.len(), "claim"))?;
        self.write_runs(out)?;
        let deviating: Vec<_> = self.rows.iter().filter(|row| row.deviates()).collect();
        if !deviating.is_empty() {
            writeln!(out, "\n## What deviates ({})", deviating.len())?;
            writeln!(
                out,
                "\nA claim that is `known` is broken exactly as an expectation says, and why it says so."
            )?;
        }
        for row in deviating {
            self.write_deviation(out, row)?;
        }
        let lacking = self.lacking();
        if !lacking.is_empty() {
            let count: usize = lacking.iter().map(|group| group.names.len()).sum();
            writeln!(out, "\n## What could not be tried everywhere ({count})\n")?;
            self.write_table_of_lacking(out, &lacking)?;
        }
        writeln!(out, "\n## Every claim\n")?;
        self.write_every(out)
    }

    /// What heads each column: the release without what all packages of a kind share, where that tells the runs apart.
    pub(super) fn labels(&self) -> Vec<String> {
        let short: Vec<_> = self.columns.iter().map(|(name, _)| short(name)).collect();
        let different: BTreeSet<_> = short.iter().collect();
        if different.len() == short.len() {
            return short;
        }
        self.columns.iter().map(|(name, _)| (*name).to_owned()).collect()
    }

    fn write_runs(&self, out: &mut dyn io::Write) -> io::Result<()> {
        writeln!(out, "| | host | {} |", Verdict::ALL.map(Verdict::name).join(" | "))?;
        writeln!(out, "|---|---|{}", "--:|".repeat(Verdict::ALL.len()))?;
        for (label, (_, run)) in self.labels().iter().zip(&self.columns) {
            let counts = Verdict::ALL.map(|verdict| outline::with(run, verdict).len().to_string());
            let host = escaped(&run.host.summary());
            writeln!(out, "| {} | {host} | {} |", escaped(label), counts.join(" | "))?;
        }
        Ok(())
    }

    /// One claim that some run shows broken: what each says, and each reason once.
    fn write_deviation(&self, out: &mut dyn io::Write, row: &Row<'_>) -> io::Result<()> {
        writeln!(out, "\n### {}\n", escaped(&plain::one_line(row.claim)))?;
        writeln!(out, "`{}`\n", plain::one_line(row.name).replace('`', "'"))?;
        for (word, why, columns) in row.reasons() {
            let seen: BTreeSet<_> = columns.iter().filter_map(|column| seen(row, *column)).collect();
            let seen = if seen.is_empty() { String::new() } else { format!(", seen as {}", list(seen)) };
            writeln!(out, "* {word} on {}: {}{seen}", self.named(&columns), escaped(&why))?;
            if let Some(again) = again(row, &columns) {
                writeln!(out, "  {again}")?;
            }
        }
        let held: Vec<_> = (0..row.cells.len())
            .filter(|&column| row.cells[column].is_some_and(|entry| entry.verdict == Verdict::Pass))
            .collect();
        if held.is_empty() { Ok(()) } else { writeln!(out, "* pass on {}", self.named(&held)) }
    }

    /// The claims that some run lacks something for, gathered by what they lack and where.
    fn write_table_of_lacking(&self, out: &mut dyn io::Write, groups: &[Group<'_>]) -> io::Result<()> {
        writeln!(out, "| where, and why | claims |\n|---|---|")?;
        for Group { reasons, names } in groups {
            let reasons: Vec<_> = reasons
                .iter()
                .map(|(word, why, columns)| format!("{word} on {}: {}", self.named(columns), escaped(why)))
                .collect();
            let listed: Vec<_> = names
                .iter()
                .map(|name| format!("<code>{}</code>", escaped(&plain::one_line(name))))
                .collect();
            let (count, listed) = (counted(names.len(), "claim"), listed.join("<br>"));
            let reasons = reasons.join("<br>");
            writeln!(out, "| {reasons} | <details><summary>{count}</summary>{listed}</details> |")?;
        }
        Ok(())
    }

    fn write_every(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let labels: Vec<_> = self.labels().iter().map(|label| escaped(label)).collect();
        writeln!(out, "| claim | {} |", labels.join(" | "))?;
        writeln!(out, "|---|{}", "---|".repeat(labels.len()))?;
        for row in &self.rows {
            let [name, claim] = [row.name, row.claim].map(|text| escaped(&plain::one_line(text)));
            let cells: Vec<_> = row.cells.iter().map(|entry| verdict(*entry)).collect();
            let mark = if row.differs() { "**" } else { "" };
            writeln!(out, "| {mark}{claim}{mark}<br><code>{name}</code> | {} |", cells.join(" | "))?;
        }
        Ok(())
    }

    /// The columns by their labels; all of them in two words.
    fn named(&self, columns: &[usize]) -> String {
        if columns.len() == self.columns.len() && columns.len() > 1 {
            return "every one".to_owned();
        }
        let labels = self.labels();
        columns
            .iter()
            .filter_map(|&column| labels.get(column))
            .map(|label| escaped(label))
            .collect::<Vec<_>>()
            .join(", ")
    }
}

/// What a run saw of a claim that it shows broken.
fn seen(row: &Row<'_>, column: usize) -> Option<String> {
    let witness = row.cells.get(column).copied().flatten()?.witness.as_ref()?;
    Some(plain::clipped(&plain::one_line(witness.seen.as_deref()?), super::SHORT))
}

/// How to see it again, by the smallest witness of these columns: the input, where there is one, and the command.
fn again(row: &Row<'_>, columns: &[usize]) -> Option<String> {
    let witnesses = columns.iter().filter_map(|&column| row.cells[column]?.witness.as_ref());
    let witnesses = witnesses.filter(|witness| !witness.replay.is_empty());
    let quoted = |text: &str| list(BTreeSet::from([plain::clipped(&plain::one_line(text), LONGEST)]));
    let all = witnesses.map(|witness| (witness.input.as_ref().map(ToString::to_string), &witness.replay));
    let (input, replay) =
        all.min_by_key(|(input, replay)| (input.as_ref().map(String::len), replay.len()))?;
    let with = input.map_or_else(String::new, |input| format!("with {}, ", quoted(&input)));
    Some(format!("{with}again by {}", quoted(replay)))
}

fn list(seen: BTreeSet<String>) -> String {
    let quoted: Vec<_> = seen.into_iter().map(|seen| format!("`{}`", seen.replace('`', "'"))).collect();
    quoted.join(" or ")
}

/// A release up to where a distribution's own words begin, and the processor behind it.
fn short(name: &str) -> String {
    let (release, processor) = name.split_once(' ').unwrap_or((name, ""));
    // A release candidate is not the release.
    let candidate = release.find("-rc").map(|at| at + "-rc".len());
    let from = candidate.unwrap_or(0);
    let own_words = |c: char| if candidate.is_some() { !c.is_ascii_digit() } else { c.is_alphabetic() };
    let end = release.get(from..).and_then(|rest| rest.find(own_words)).map(|at| from + at);
    let end = match candidate {
        Some(_) => end,
        None => release.find('+').or(end.map(|at| at.saturating_sub(1))),
    };
    let version =
        release.get(..end.unwrap_or(release.len())).filter(|version| !version.is_empty()).unwrap_or(release);
    format!("{version} {processor}").trim_end().to_owned()
}
