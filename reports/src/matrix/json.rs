//! The matrix for programs.

use std::collections::BTreeMap;
use std::io;

use serde::Serialize;

use super::Matrix;
use crate::{FORMAT, Verdict};

impl Matrix<'_> {
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
