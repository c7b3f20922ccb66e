//! What was really tried, as maps: commands by what they answered, capabilities, and exit reasons by kernel.

use std::io;

use askama::Template;

use crate::coverage::{Count, Coverage, Kind, State};
use crate::matrix::Matrix;
use crate::{Capability, Command, Exit, ExitRow, Interface};

#[derive(Template)]
#[template(path = "tried.html")]
struct Tried {
    sweeps: usize,
    labels: Vec<String>,
    counts: Vec<Line>,
    legend: Vec<Chip>,
    descriptors: Vec<Descriptor>,
    capabilities: Vec<Chip>,
    exits: Vec<Reason>,
}

/// How much of a kind was seen: on each kernel, and on all together with what is apart.
struct Line {
    name: &'static str,
    of: usize,
    each: Vec<usize>,
    all: Count,
}

/// A kind of descriptor, and the commands that it has.
struct Descriptor {
    name: &'static str,
    summary: String,
    commands: Vec<Row>,
}

/// A command, and what it may answer.
struct Row {
    name: &'static str,
    section: &'static str,
    answers: Vec<Chip>,
}

/// Something to see: how it is drawn, marked and told.
struct Chip {
    class: &'static str,
    mark: &'static str,
    text: String,
    told: String,
}

/// An exit reason or a detail, on each kernel.
struct Reason {
    name: &'static str,
    is_detail: bool,
    why: &'static str,
    cells: Vec<(&'static str, String)>,
}

impl Matrix<'_> {
    /// The section; nothing where the records do not say what was asked.
    pub(super) fn tried(&self, labels: &[String]) -> askama::Result<String> {
        let interface =
            Interface::shipped().map_err(|error| askama::Error::Custom(io::Error::other(error).into()))?;
        let all = Coverage::of(interface, self.columns.iter().map(|(_, run)| *run));
        if !all.is_recorded() {
            return Ok(String::new());
        }
        let each: Vec<_> = self.columns.iter().map(|(_, run)| Coverage::of(interface, [*run])).collect();
        let counts = Kind::ALL.iter().map(|kind| Line {
            name: kind.name(),
            of: all.count(*kind).of,
            each: each.iter().map(|coverage| coverage.count(*kind).tried).collect(),
            all: all.count(*kind),
        });
        Tried {
            sweeps: all.sweeps(),
            labels: labels.to_vec(),
            counts: counts.collect(),
            legend: LEGEND.iter().map(|state| chip(*state, told(*state).to_owned(), None)).collect(),
            descriptors: DESCRIPTORS.iter().map(|name| descriptor(name, interface, &all)).collect(),
            capabilities: interface.capabilities.iter().map(|cap| capability(cap, &all)).collect(),
            exits: interface.exits.iter().map(|exit| reason(exit, &each)).collect(),
        }
        .render()
    }
}

/// The kinds of descriptor, in the order in which a program meets them.
const DESCRIPTORS: [&str; 4] = ["system", "vm", "vcpu", "device"];
const LEGEND: [State; 5] = [State::Tried, State::Swept, State::Unproven, State::Untried, State::OutOfReach];

fn descriptor(name: &'static str, interface: &Interface, all: &Coverage<'_>) -> Descriptor {
    let pairs: Vec<_> = interface.pairs().filter(|pair| pair.descriptor == name).collect();
    let tried = pairs.iter().filter(|pair| all.pair(pair) == State::Tried).count();
    Descriptor {
        name,
        summary: format!("{tried} of {} commands succeeded", pairs.len()),
        commands: pairs.into_iter().map(|pair| row(pair, all)).collect(),
    }
}

fn row(pair: &Command, all: &Coverage<'_>) -> Row {
    let mut answers = vec![chip(all.pair(pair), "success".to_owned(), pair.out_of_reach)];
    answers.extend(pair.errors().map(|(error, out_of_reach)| {
        let is_documented = pair.documented.contains(&error);
        let text = if is_documented { error.to_owned() } else { error.to_lowercase() };
        chip(all.error(pair, error, out_of_reach), text, out_of_reach)
    }));
    Row { name: pair.name, section: pair.section.unwrap_or_default(), answers }
}

fn capability(cap: &Capability, all: &Coverage<'_>) -> Chip {
    let name = cap.name.strip_prefix("KVM_CAP_").unwrap_or(cap.name);
    chip(all.capability(cap), name.to_owned(), cap.out_of_reach)
}

fn reason(exit: &Exit, each: &[Coverage<'_>]) -> Reason {
    let cell = |coverage: &Coverage<'_>| {
        let state = coverage.exit(exit);
        let times = coverage.tried().exits.get(exit.name).map(|exits| exits.times.to_string());
        (class(state), times.unwrap_or_else(|| mark(state).to_owned()))
    };
    Reason {
        name: exit.name,
        is_detail: exit.row == ExitRow::Detail,
        why: exit.out_of_reach.unwrap_or_default(),
        cells: each.iter().map(cell).collect(),
    }
}

fn chip(state: State, text: String, out_of_reach: Option<&str>) -> Chip {
    let why = out_of_reach.filter(|_| state == State::OutOfReach);
    let told = why.map_or_else(|| told(state).to_owned(), |why| format!("{}: {why}", told(state)));
    Chip { class: class(state), mark: mark(state), text, told }
}

fn class(state: State) -> &'static str {
    match state {
        State::Tried => "pass",
        State::Swept => "known",
        State::Unproven => "fault",
        State::Untried => "none",
        State::OutOfReach => "skip",
    }
}

/// So that the state is not told by a colour alone.
fn mark(state: State) -> &'static str {
    match state {
        State::Tried => "✓",
        State::Swept => "≈",
        State::Unproven => "?",
        State::Untried => "–",
        State::OutOfReach => "×",
    }
}

fn told(state: State) -> &'static str {
    match state {
        State::Tried => "seen by a claim that passed",
        State::Swept => "seen in sweeps alone",
        State::Unproven => "seen in claims alone that did not pass",
        State::Untried => "not seen",
        State::OutOfReach => "out of reach",
    }
}
