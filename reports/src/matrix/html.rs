//! The matrix as one page of HTML that needs nothing but itself: what is to act on first, then what changes from column to column,
//! what is known, every claim as a heat map that folds by area, and behind each claim its own page with the witness.
//!
//! It is readable without JavaScript; the query box needs it, and understands the language of [`Query`](crate::Query).

mod claim;
mod plots;
mod tried;

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use askama::Template;

use plots::{Plot, plots};

use super::{Matrix, Row};
use crate::outline::{self, area, counted, total_time};
use crate::{Entry, Run, STYLE, Verdict, plain};

const SCRIPT: &str = include_str!("../../templates/report.js");
/// The most lines of a witness that are shown.
const LINES: usize = 80;

#[derive(Template)]
#[template(path = "report.html")]
struct Page {
    style: &'static str,
    script: &'static str,
    headline: String,
    summary: Vec<String>,
    labels: Vec<String>,
    failures: Vec<Claim>,
    changes: Vec<Change>,
    known: Vec<Reason>,
    legend: [(&'static str, &'static str); 9],
    areas: Vec<Area>,
    /// What was really tried, rendered; empty where the records do not say.
    tried: String,
    hosts: Vec<Host>,
    claims: Vec<Claim>,
}

/// A claim with all that is told of it, rendered.
struct Claim {
    name: String,
    sentence: String,
    is_observed: bool,
    body: String,
}

/// A claim that is right in one column and wrong in the next of the same processor, or the other way round.
struct Change {
    name: String,
    sentence: String,
    told: String,
}

/// Why claims are broken as expected, and which: their names and sentences.
struct Reason {
    why: String,
    claims: Vec<(String, String)>,
}

struct Area {
    name: String,
    is_open: bool,
    counts: Vec<(&'static str, usize)>,
    rows: Vec<Line>,
}

struct Line {
    name: String,
    sentence: String,
    differs: bool,
    /// The class and the mark of each column.
    cells: Vec<(&'static str, &'static str)>,
}

struct Host {
    label: String,
    totals: String,
    facts: Vec<(&'static str, String)>,
    notes: Vec<String>,
    bars: Vec<Bar>,
    plots: Vec<Plot>,
}

/// How long the claims of an area took.
struct Bar {
    name: String,
    told: String,
    /// In hundredths of the longest.
    share: String,
}

impl Matrix<'_> {
    /// Writes it as a page of HTML.
    pub fn write_html(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let text = self.page().and_then(|page| page.render());
        out.write_all(text.map_err(io::Error::other)?.as_bytes())
    }

    fn page(&self) -> askama::Result<Page> {
        let labels: Vec<_> = self.labels().iter().map(|label| plain::one_line(label)).collect();
        let failing = self.rows_with(|entry| entry.is_failure());
        // What the harness could not judge and what drifted are to be looked at too, behind what is broken.
        let others = self.rows_with(|entry| entry.verdict == Verdict::Fault || entry.is_drift());
        let others = others.into_iter().filter(|row| !failing.iter().any(|other| other.name == row.name));
        let to_act_on: Vec<_> = failing.iter().copied().chain(others).collect();
        Ok(Page {
            style: STYLE,
            script: SCRIPT,
            headline: self.headline(failing.len()),
            summary: self.summary(),
            failures: to_act_on.iter().map(|row| self.claim(row, &labels)).collect::<Result<_, _>>()?,
            changes: self.changes(&labels),
            known: self.known(),
            legend: legend(),
            areas: self.areas(),
            tried: self.tried(&labels)?,
            hosts: self.columns.iter().zip(&labels).map(|((_, run), label)| host(run, label)).collect(),
            claims: self.rows.iter().map(|row| self.claim(row, &labels)).collect::<Result<_, _>>()?,
            labels,
        })
    }

    /// The claims that have such an entry in a column, the worst first.
    fn rows_with(&self, is_such: impl Fn(&Entry) -> bool) -> Vec<&Row<'_>> {
        let mut rows: Vec<_> =
            self.rows.iter().filter(|row| row.cells.iter().flatten().any(|entry| is_such(entry))).collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.worst()));
        rows
    }

    /// What happened, in one sentence.
    fn headline(&self, failing: usize) -> String {
        let claims = counted(self.rows.len(), "claim");
        let on = match self.columns.as_slice() {
            [(_, run)] => {
                let release = if run.host.release.is_empty() { "a kernel" } else { &run.host.release };
                format!("Linux {}", plain::one_line(release))
            }
            columns => counted(columns.len(), "machine"),
        };
        match (self.rows.len(), failing) {
            (0, _) => "No claim was tried".to_owned(),
            (_, 0) => format!("No failure in {claims} on {on}"),
            (_, failing) => format!("{} in {claims} on {on}", counted(failing, "failure")),
        }
    }

    fn summary(&self) -> Vec<String> {
        let mut lines = self.outcome();
        match self.rows_with(|entry| entry.verdict == Verdict::Fault).len() {
            0 => {}
            faults => lines.push(format!(
                "Nothing can be said of {}: the harness or a host broke.",
                counted(faults, "claim")
            )),
        }
        match self.rows_with(|entry| entry.is_drift()).len() {
            0 => {}
            drifted => {
                lines.push(format!("{} that only observation promises drifted.", counted(drifted, "claim")))
            }
        }
        lines
    }

    fn outcome(&self) -> Vec<String> {
        match self.columns.as_slice() {
            [] => Vec::new(),
            [(_, run)] => vec![run.host.summary(), outline::totals(run)],
            _ => {
                let known = self.rows_with(|entry| is_wrong(entry) == Some(true)).len();
                vec![format!(
                    "{} do not have the same verdict everywhere; {} somewhere.",
                    counted(self.differing().len(), "claim"),
                    match known {
                        1 => "1 is broken".to_owned(),
                        known => format!("{known} are broken"),
                    }
                )]
            }
        }
    }

    /// What becomes wrong, and then what becomes right, between columns of the same processor, each and the last before it that says
    /// something of the claim.
    fn changes(&self, labels: &[String]) -> Vec<Change> {
        let mut processors: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
        for (column, (_, run)) in self.columns.iter().enumerate() {
            let cpu = &run.host.cpu;
            processors.entry((&cpu.vendor, &cpu.model)).or_default().push(column);
        }
        let (mut broke, mut repaired) = (Vec::new(), Vec::new());
        for row in &self.rows {
            let speaking = |columns: &Vec<usize>| -> Vec<(usize, &Entry)> {
                let cells = columns.iter().filter_map(|&column| Some((column, row.cells[column]?)));
                cells.filter(|(_, entry)| is_wrong(entry).is_some()).collect()
            };
            let neighbours = processors
                .values()
                .map(speaking)
                .flat_map(|cells| cells.windows(2).map(|pair| (pair[0], pair[1])).collect::<Vec<_>>());
            for ((before, old), (after, new)) in neighbours {
                let (list, wrong, word) = match (is_wrong(old), is_wrong(new)) {
                    (Some(false), Some(true)) => (&mut broke, new, "breaks"),
                    (Some(true), Some(false)) => (&mut repaired, old, "is repaired"),
                    _ => continue,
                };
                let why = plain::clipped(&outline::why(wrong), plain::LONG);
                let told = format!("{word} between {} and {}: {why}", labels[before], labels[after]);
                list.push(Change {
                    name: plain::one_line(row.name),
                    sentence: plain::one_line(row.claim),
                    told,
                });
            }
        }
        broke.append(&mut repaired);
        broke
    }

    /// The claims that are broken as expected, by the reason that is given.
    fn known(&self) -> Vec<Reason> {
        let mut reasons: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
        for row in &self.rows {
            for (word, why, _) in row.reasons() {
                if word == Verdict::Known.name() {
                    let claim = (plain::one_line(row.name), plain::one_line(row.claim));
                    reasons.entry(plain::clipped(&why, plain::LONG)).or_default().push(claim);
                }
            }
        }
        let mut reasons: Vec<_> = reasons.into_iter().map(|(why, claims)| Reason { why, claims }).collect();
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.claims.len()));
        reasons
    }

    fn areas(&self) -> Vec<Area> {
        let mut areas: BTreeMap<&str, Vec<&Row<'_>>> = BTreeMap::new();
        for row in &self.rows {
            areas.entry(area(row.name)).or_default().push(row);
        }
        let is_open = self.rows.len() <= LINES;
        let area = |(name, rows): (&str, Vec<&Row<'_>>)| {
            let worst = |verdict| rows.iter().filter(|row| row.worst() == Some(verdict)).count();
            let counts = Verdict::ALL.into_iter().map(|verdict| (verdict.name(), worst(verdict)));
            Area {
                name: plain::one_line(name),
                is_open,
                counts: counts.filter(|(_, count)| *count > 0).collect(),
                rows: rows.iter().map(|row| line(row)).collect(),
            }
        };
        areas.into_iter().map(area).collect()
    }
}

impl Row<'_> {
    /// The worst that a run says of it.
    fn worst(&self) -> Option<Verdict> {
        self.cells.iter().flatten().map(|entry| entry.verdict).max()
    }
}

/// Whether the claim is shown broken; nothing where nothing is said of it.
fn is_wrong(entry: &Entry) -> Option<bool> {
    match entry.verdict {
        Verdict::Pass => Some(false),
        Verdict::Skip | Verdict::Fault | Verdict::Surprise => None,
        Verdict::Known | Verdict::Fail | Verdict::Crash | Verdict::Hang => Some(true),
    }
}

/// A verdict as a word that is narrow enough for a column, so that it is not told by its colour alone.
fn mark(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "✓",
        Verdict::Skip => "·",
        Verdict::Known => "known",
        Verdict::Surprise => "surp.",
        other => other.name(),
    }
}

fn legend() -> [(&'static str, &'static str); 9] {
    let [a, b, c, d, e, f, g, h] = Verdict::ALL.map(|verdict| (verdict.name(), mark(verdict)));
    [a, b, c, d, e, f, g, h, ("none", "–")]
}

fn line(row: &Row<'_>) -> Line {
    let cell = |cell: &Option<&Entry>| {
        cell.map_or(("none", "–"), |entry| (entry.verdict.name(), mark(entry.verdict)))
    };
    Line {
        name: plain::one_line(row.name),
        sentence: plain::one_line(row.claim),
        differs: row.differs(),
        cells: row.cells.iter().map(cell).collect(),
    }
}

fn host(run: &Run, label: &str) -> Host {
    let times: Vec<(&str, Duration)> =
        outline::by_area(run).into_iter().map(|(area, entries)| (area, total_time(entries))).collect();
    let longest = times.iter().map(|(_, time)| time.as_secs_f64()).fold(f64::MIN_POSITIVE, f64::max);
    let bar = |(name, time): &(&str, Duration)| Bar {
        name: plain::one_line(name),
        told: format!("{:.1} s", time.as_secs_f64()),
        share: format!("{:.1}", time.as_secs_f64() / longest * 100.0),
    };
    Host {
        label: label.to_owned(),
        totals: outline::totals(run),
        facts: run.host.facts(),
        notes: run.notes.iter().map(|note| plain::clipped(&plain::one_line(note), plain::LONG)).collect(),
        bars: times.iter().map(bar).collect(),
        plots: plots(run),
    }
}
