//! Several runs side by side: claims by runs, where a row that differs stands out.

use std::collections::BTreeMap;
use std::io;

use serde::Serialize;

use crate::markdown::escaped;
use crate::outline::{self, counted};
use crate::{Entry, FORMAT, Run, Verdict, plain};

/// The most characters of a reason that is shown beside a verdict.
const SHORT: usize = 160;

/// Several runs side by side.
#[derive(Debug)]
pub struct Matrix<'a> {
    columns: Vec<(&'a str, &'a Run)>,
    rows: Vec<Row<'a>>,
}

/// What the runs say of one claim.
#[derive(Debug)]
struct Row<'a> {
    name: &'a str,
    claim: &'a str,
    /// One for each run; none where the run says nothing of the claim.
    cells: Vec<Option<&'a Entry>>,
}

impl<'a> Matrix<'a> {
    /// Lays runs side by side, each under its name.
    pub fn new(runs: impl IntoIterator<Item = (&'a str, &'a Run)>) -> Self {
        let columns: Vec<_> = runs.into_iter().collect();
        let mut rows: BTreeMap<&str, Row<'_>> = BTreeMap::new();
        for (index, (_, run)) in columns.iter().enumerate() {
            for entry in &run.claims {
                let row = rows.entry(&entry.name).or_insert_with(|| Row {
                    name: &entry.name,
                    claim: &entry.claim,
                    cells: vec![None; columns.len()],
                });
                if let Some(cell) = row.cells.get_mut(index) {
                    *cell = Some(entry);
                }
            }
        }
        Self { columns, rows: rows.into_values().collect() }
    }

    /// Writes it as text: the runs, the rows that differ, and what is bad everywhere.
    pub fn write_text(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let width = self.columns.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        for (name, run) in &self.columns {
            writeln!(out, "{name:<width$}  {}", outline::totals(run))?;
        }
        let differ: Vec<_> = self.rows.iter().filter(|row| row.differs()).collect();
        writeln!(out, "\n{} of {} differ", differ.len(), counted(self.rows.len(), "claim"))?;
        for row in differ {
            writeln!(out, "\n  {}\n    {}", plain::one_line(row.name), plain::one_line(row.claim))?;
            for ((name, _), cell) in self.columns.iter().zip(&row.cells) {
                writeln!(out, "    {name:<width$}  {}", told(*cell))?;
            }
        }
        let bad: Vec<_> = self.rows.iter().filter(|row| row.is_bad_everywhere()).collect();
        if !bad.is_empty() {
            writeln!(out, "\nbad alike in every one ({})", bad.len())?;
        }
        for row in bad {
            writeln!(out, "  {}  {}", plain::one_line(row.name), told(row.cells.first().copied().flatten()))?;
        }
        Ok(())
    }

    /// Writes it as a page of Markdown: the runs, a table of the rows that differ with what was seen, and one of all claims.
    pub fn write_markdown(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let differ: Vec<_> = self.rows.iter().filter(|row| row.differs()).collect();
        writeln!(out, "# {} of {} differ\n", differ.len(), counted(self.rows.len(), "claim"))?;
        writeln!(out, "| | host | {} |", Verdict::ALL.map(Verdict::name).join(" | "))?;
        writeln!(out, "|---|---|{}", "--:|".repeat(Verdict::ALL.len()))?;
        for (name, run) in &self.columns {
            let counts = Verdict::ALL.map(|verdict| outline::with(run, verdict).len().to_string());
            writeln!(
                out,
                "| {} | {} | {} |",
                escaped(name),
                escaped(&run.host.summary()),
                counts.join(" | ")
            )?;
        }
        if !differ.is_empty() {
            writeln!(out, "\n## What differs\n")?;
            self.write_table(out, &differ, told)?;
        }
        writeln!(out, "\n## Every claim\n")?;
        let all: Vec<_> = self.rows.iter().collect();
        self.write_table(out, &all, |cell| verdict(cell).to_owned())
    }

    fn write_table(
        &self,
        out: &mut dyn io::Write,
        rows: &[&Row<'_>],
        cell: impl Fn(Option<&Entry>) -> String,
    ) -> io::Result<()> {
        let names: Vec<_> = self.columns.iter().map(|(name, _)| escaped(name)).collect();
        writeln!(out, "| claim | {} |", names.join(" | "))?;
        writeln!(out, "|---|{}", "---|".repeat(names.len()))?;
        for row in rows {
            let [name, claim] = [row.name, row.claim].map(|text| escaped(&plain::one_line(text)));
            let cells: Vec<_> = row.cells.iter().map(|entry| escaped(&cell(*entry))).collect();
            let mark = if row.differs() { "**" } else { "" };
            writeln!(out, "| {mark}{claim}{mark}<br><code>{name}</code> | {} |", cells.join(" | "))?;
        }
        Ok(())
    }

    /// Writes it as JSON: `{"format", "runs": [{"name", "host", "totals"}], "claims": [{"name", "claim", "differs", "verdicts"}]}`.
    pub fn write_json(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let runs = self.columns.iter().map(|(name, run)| Column {
            name,
            host: run.host.summary(),
            totals: &run.totals,
        });
        let claims = self.rows.iter().map(|row| Line {
            name: row.name,
            claim: row.claim,
            differs: row.differs(),
            verdicts: row.cells.iter().map(|cell| cell.map(|entry| entry.verdict)).collect(),
        });
        let written = Written { format: FORMAT, runs: runs.collect(), claims: claims.collect() };
        serde_json::to_writer_pretty(&mut *out, &written)?;
        writeln!(out)
    }
}

#[derive(Serialize)]
struct Written<'a> {
    format: u32,
    runs: Vec<Column<'a>>,
    claims: Vec<Line<'a>>,
}

#[derive(Serialize)]
struct Column<'a> {
    name: &'a str,
    host: String,
    totals: &'a BTreeMap<Verdict, usize>,
}

#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    claim: &'a str,
    differs: bool,
    verdicts: Vec<Option<Verdict>>,
}

impl Row<'_> {
    /// Whether the runs do not all say the same: another verdict, or for what is broken another value seen.
    fn differs(&self) -> bool {
        let mut answers = self.cells.iter().map(|cell| cell.map(|entry| (entry.verdict, answer(entry))));
        let first = answers.next();
        answers.any(|answer| Some(answer) != first)
    }

    fn is_bad_everywhere(&self) -> bool {
        !self.differs() && self.cells.iter().all(|cell| cell.is_some_and(|entry| entry.verdict.is_bad()))
    }
}

/// What was seen of a claim without generated inputs. With those, the smallest case that is found may be another each time.
fn answer(entry: &Entry) -> Option<&str> {
    entry.witness.as_ref().filter(|witness| witness.input.is_none())?.seen.as_deref()
}

/// A verdict in one word.
fn verdict(cell: Option<&Entry>) -> &'static str {
    cell.map_or("–", |entry| entry.verdict.name())
}

/// A verdict with its reason and what was seen.
fn told(cell: Option<&Entry>) -> String {
    let Some(entry) = cell else { return "–".to_owned() };
    if entry.verdict == Verdict::Pass {
        return "pass".to_owned();
    }
    let seen = entry.witness.as_ref().and_then(|witness| witness.seen.as_deref()).map(plain::one_line);
    let seen = seen.map_or_else(String::new, |seen| format!(" (saw {seen})"));
    plain::clipped(&format!("{}: {}{seen}", entry.verdict, outline::why(entry)), SHORT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Host, Witness};

    fn run(release: &str, entries: &[(&str, Verdict, Option<&str>)]) -> Run {
        let host = Host { release: release.into(), ..Host::default() };
        let entries = entries.iter().map(|(name, verdict, seen)| Entry {
            name: (*name).into(),
            claim: format!("{name} holds"),
            verdict: *verdict,
            why: (*verdict != Verdict::Pass).then(|| "it does not".into()),
            witness: seen.map(|seen| Witness { seen: Some(seen.into()), ..Witness::default() }),
            cases: 1,
            reached: 1,
            ms: 1.0,
            source: vec![],
            notes: vec![],
        });
        Run::new(host, entries.collect(), vec![])
    }

    fn text(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn rows_that_differ_stand_out() {
        let old = run("6.1", &[("a::same", Verdict::Pass, None), ("a::other", Verdict::Pass, None)]);
        let new = run("6.12", &[("a::same", Verdict::Pass, None), ("a::other", Verdict::Fail, Some("7"))]);
        let matrix = Matrix::new([("old", &old), ("newer", &new)]);
        assert_eq!(
            text(|out| matrix.write_text(out)),
            "old    2 claims: 2 pass\nnewer  2 claims: 1 pass, 1 fail\n\n1 of 2 claims differ\n\n  a::other\n    a::other holds\n    \
             old    pass\n    newer  fail: it does not (saw 7)\n"
        );
        let page = text(|out| matrix.write_markdown(out));
        assert!(page.contains("| **a::other holds**<br><code>a::other</code> | pass | fail |"), "{page}");
        assert!(page.contains("| a::same holds<br><code>a::same</code> | pass | pass |"), "{page}");
        let json: serde_json::Value = serde_json::from_str(&text(|out| matrix.write_json(out))).unwrap();
        assert_eq!(json["claims"][0]["verdicts"], serde_json::json!(["pass", "fail"]));
        assert_eq!(json["claims"][1]["differs"], false);
    }

    #[test]
    fn what_is_bad_everywhere_is_told_once() {
        let one = run("6.1", &[("a::bad", Verdict::Fail, Some("1"))]);
        let matrix = Matrix::new([("x", &one), ("y", &one)]);
        let text = text(|out| matrix.write_text(out));
        assert!(
            text.ends_with(
                "0 of 1 claim differ\n\nbad alike in every one (1)\n  a::bad  fail: it does not (saw 1)\n"
            ),
            "{text}"
        );
    }

    #[test]
    fn another_value_or_a_missing_entry_differs() {
        let one = run("6.1", &[("a::bad", Verdict::Fail, Some("1"))]);
        let two = run("6.1", &[("a::bad", Verdict::Fail, Some("2"))]);
        let none = run("6.1", &[]);
        for (left, right) in [(&one, &two), (&one, &none)] {
            assert!(Matrix::new([("x", left), ("y", right)]).rows[0].differs());
        }
    }
}
