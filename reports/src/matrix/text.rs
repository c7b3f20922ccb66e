//! The matrix on a terminal: the runs, the rows that differ, and what is bad everywhere.

use std::io;

use super::{Matrix, told};
use crate::outline::{self, counted};
use crate::plain;

impl Matrix<'_> {
    /// Writes it as text: the runs, the rows that differ, and what is bad everywhere.
    pub fn write_text(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let width = self.columns.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        for (name, run) in &self.columns {
            writeln!(out, "{name:<width$}  {}", outline::totals(run))?;
        }
        let differ = self.differing();
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
}
