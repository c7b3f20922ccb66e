//! The matrix on a terminal: the runs, what is broken in some of them, what could not be tried everywhere, and what is bad
//! everywhere.

use std::io;

use super::{Group, Matrix, SHORT, told};
use crate::outline::{self, counted};
use crate::{Coverage, Interface, plain};

/// How many claims of a group are named.
const SOME: usize = 5;

impl Matrix<'_> {
    /// Writes it as text: the runs, what is broken in some of them, what could not be tried everywhere, and what is bad everywhere.
    pub fn write_text(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let width = self.columns.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        for (name, run) in &self.columns {
            writeln!(out, "{name:<width$}  {}", outline::totals(run))?;
        }
        let differ = self.differing();
        writeln!(out, "\n{} of {} differ", differ.len(), counted(self.rows.len(), "claim"))?;
        for row in differ.into_iter().filter(|row| row.deviates()) {
            writeln!(out, "\n  {}\n    {}", plain::one_line(row.name), plain::one_line(row.claim))?;
            for ((name, _), cell) in self.columns.iter().zip(&row.cells) {
                writeln!(out, "    {name:<width$}  {}", told(*cell))?;
            }
        }
        self.write_lacking(out)?;
        let bad: Vec<_> = self.rows.iter().filter(|row| row.is_bad_everywhere()).collect();
        if !bad.is_empty() {
            writeln!(out, "\nbad alike in every one ({})", bad.len())?;
        }
        for row in bad {
            writeln!(out, "  {}  {}", plain::one_line(row.name), told(row.cells.first().copied().flatten()))?;
        }
        let interface = Interface::shipped().map_err(io::Error::other)?;
        Coverage::of(interface, self.columns.iter().map(|(_, run)| *run)).write_text(out)
    }
    /// What could not be tried everywhere, by what was lacking where, each time with some of the claims.
    fn write_lacking(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let lacking = self.lacking();
        if !lacking.is_empty() {
            let count: usize = lacking.iter().map(|group| group.names.len()).sum();
            writeln!(out, "\nnot tried everywhere ({count})")?;
        }
        let labels = self.labels();
        let on = |columns: &[usize]| {
            let labels: Vec<_> = columns.iter().map(|&column| plain::one_line(&labels[column])).collect();
            labels.join(", ")
        };
        for Group { reasons, names } in lacking {
            writeln!(out)?;
            for (word, why, columns) in reasons {
                writeln!(out, "  {word} on {}: {}", on(&columns), plain::clipped(&why, SHORT))?;
            }
            let mut listed: Vec<_> = names.iter().take(SOME).map(|name| plain::one_line(name)).collect();
            if let Some(more) = names.len().checked_sub(SOME).filter(|more| *more > 0) {
                listed.push(format!("and {more} more"));
            }
            writeln!(out, "    {}", listed.join("\n    "))?;
        }
        Ok(())
    }
}
