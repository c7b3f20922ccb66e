//! The table at the end of a run: how much of the interface was really tried.

use std::io;

use super::{Coverage, Kind, State};
use crate::outline::counted;

impl Coverage<'_> {
    /// Writes the table; nothing where the runs do not say what was asked.
    pub fn write_text(&self, out: &mut dyn io::Write) -> io::Result<()> {
        if !self.is_recorded() {
            return Ok(());
        }
        writeln!(out, "\n=== tried: what claims that passed saw the kernel do")?;
        for kind in Kind::ALL {
            let count = self.count(kind);
            let mut besides = Vec::new();
            for (many, what) in [
                (count.swept, "in sweeps alone"),
                (count.unproven, "in claims alone that did not pass"),
                (count.out_of_reach, "out of reach"),
            ] {
                if many > 0 {
                    besides.push(format!("{many} {what}"));
                }
            }
            let line = format!(
                "  {:>3} of {:>3} {:<26}  {}",
                count.tried,
                count.of,
                kind.name(),
                besides.join(", ")
            );
            writeln!(out, "{}", line.trim_end())?;
        }
        let sweeps = counted(self.sweeps(), "sweep");
        writeln!(out, "  {sweeps} over everything counted apart; assay list --untried names what is left")?;
        // What nobody can see is written by hand, and a kernel may know better.
        for thing in self.things().into_iter().filter(|thing| thing.state == State::Tried) {
            if let Some(why) = thing.out_of_reach {
                writeln!(out, "  {} was seen, which the data hold out of reach: {why}", thing.name)?;
            }
        }
        Ok(())
    }
}
