//! `assay list --untried`: what of the KVM interface runs did not reach.

use std::path::PathBuf;

use reports::{Coverage, Interface, Kind, Run, Untried, merged, untried};

use super::screen::Output;
use super::status::{Complaint, Ending};

/// Names what these runs did not reach together, by kind.
pub(super) fn list(paths: &[PathBuf]) -> Result<Ending, Complaint> {
    let load = |path: &PathBuf| Run::load(path).map(|run| ((), run)).map_err(Complaint::unusable);
    let runs: Vec<_> = paths.iter().map(load).collect::<Result<_, _>>()?;
    let runs = merged(runs).map_err(Complaint::unusable)?;
    let runs: Vec<_> = runs.into_iter().map(|((), run)| run).collect();
    let interface = Interface::shipped().map_err(|error| Complaint::Fault(format!("cannot {error}")))?;
    let coverage = Coverage::of(interface, &runs);
    if !coverage.is_recorded() {
        return Err(Complaint::Nothing(
            "these records do not say what the kernel was asked: make them again with this version".into(),
        ));
    }
    let left = untried(interface, &runs);
    let output = Output::default();
    for kind in Kind::ALL {
        let of_kind: Vec<_> = left.iter().filter(|untried| untried.kind == kind).collect();
        let count = coverage.count(kind);
        output.print(&format!("{}: {} of {} not tried\n", kind.name(), of_kind.len(), count.of));
        let width = of_kind.iter().map(|untried| untried.name.len()).max().unwrap_or(0);
        for untried in of_kind {
            output.print(&line(untried, width));
        }
    }
    output.end()?;
    Ok(Ending::Held)
}

fn line(untried: &Untried, width: usize) -> String {
    match &untried.why {
        Some(why) => format!("  {:width$}  {why}\n", untried.name),
        None => format!("  {}\n", untried.name),
    }
}
