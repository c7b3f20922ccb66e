//! Twins: several of the same device, which answer the same script. What they say and what they are in the end is alike, but for
//! differences that are allowed, each by a row that names who says so.

use std::collections::BTreeMap;

use guests::script::{Op, Said, Script};

use crate::{Broken, Outcome, Source, Stop, check};

/// One of several that answer the same script.
#[derive(Clone, Copy, Debug)]
pub struct Twin {
    /// Its name.
    pub name: &'static str,
    /// Answers a script.
    pub answer: fn(&Script) -> Result<Answers, Stop>,
}

/// What a twin made of a script.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// What each step said that says anything, by its index.
    pub said: Vec<(usize, Said)>,
    /// The device's state in the end, part by part. Only parts that both of two twins have are compared.
    pub state: BTreeMap<String, u64>,
}

/// A difference between twins that is allowed.
#[derive(Debug)]
pub struct Allowed {
    /// What differs, in a few words.
    pub what: &'static str,
    /// Who says so.
    pub source: Source,
    /// What is not compared for it.
    pub rule: Rule,
    /// A script on which it shows; none for what not every host shows.
    pub example: &'static [Op],
}

/// What is not compared. Rules are asked with the steps up to the one in question, which is the last.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// These bits of what the step says.
    Said(fn(&[Op]) -> u64),
    /// These bits of a part of the state.
    State(fn(&str) -> u64),
    /// These bits of what the step says, and these of a part of the state.
    Both(fn(&[Op]) -> u64, fn(&str) -> u64),
    /// From this step on, all of the script, for the twins go on from different states.
    Rest(fn(&[Op]) -> bool),
}

impl Rule {
    fn hides_said(&self, upto: &[Op]) -> u64 {
        match self {
            Self::Said(hides) | Self::Both(hides, _) => hides(upto),
            Self::State(_) | Self::Rest(_) => 0,
        }
    }

    fn hides_state(&self, part: &str) -> u64 {
        match self {
            Self::State(hides) | Self::Both(_, hides) => hides(part),
            Self::Said(_) | Self::Rest(_) => 0,
        }
    }

    fn ends(&self, upto: &[Op]) -> bool {
        matches!(self, Self::Rest(ends) if ends(upto))
    }
}

/// The twins answer the script alike. Where a row ends the comparison the script ends there, and what it hides is counted by its name.
#[track_caller]
pub fn agree(script: &Script, twins: &[Twin], rows: &[&Allowed]) -> Outcome {
    let script = compared(script, rows);
    let [first, others @ ..] = twins else { return Ok(()) };
    if script.0.is_empty() || others.is_empty() {
        return Ok(());
    }
    let one = (first.answer)(&script).map_err(|stop| stop.during(first.name))?;
    for twin in others {
        let other = (twin.answer)(&script).map_err(|stop| stop.during(twin.name))?;
        alike(&script, (first.name, &one), (twin.name, &other), rows)?;
    }
    Ok(())
}

/// Each row that has an example is needed: without it, the twins differ on that behind these first steps, and with all rows they do
/// not.
#[track_caller]
pub fn each_is_needed(twins: &[Twin], rows: &[Allowed], first: &[Op]) -> Outcome {
    let all: Vec<&Allowed> = rows.iter().collect();
    for row in rows.iter().filter(|row| !row.example.is_empty()) {
        let example = Script([first, row.example].concat());
        let without: Vec<&Allowed> = all.iter().copied().filter(|other| !std::ptr::eq(*other, row)).collect();
        agree(&example, twins, &all).map_err(|stop| stop.during(row.what))?;
        match agree(&example, twins, &without) {
            Err(Stop::Broken(_)) => check::count(),
            Err(stop) => return Err(stop.during(row.what)),
            Ok(()) => return Err(no_difference(row, &compared(&example, &without), twins)),
        }
    }
    Ok(())
}

/// The row allows what is not there.
#[track_caller]
fn no_difference(row: &Allowed, script: &Script, twins: &[Twin]) -> Stop {
    let why = format!("the twins do not differ: {}", row.what);
    let answers: Result<Vec<_>, Stop> = twins.iter().map(|twin| (twin.answer)(script)).collect();
    match answers.as_deref() {
        Ok([one, other, ..]) => told(why, script, (twins[0].name, one), (twins[1].name, other)).into(),
        _ => Broken::new(why).into(),
    }
}

/// The script up to where the first row ends it.
fn compared(script: &Script, rows: &[&Allowed]) -> Script {
    for end in 1..=script.0.len() {
        if let Some(row) = rows.iter().find(|row| row.rule.ends(&script.0[..end])) {
            check::tally(row.what);
            return Script(script.0[..end - 1].to_vec());
        }
    }
    script.clone()
}

#[track_caller]
fn alike(script: &Script, one: (&str, &Answers), other: (&str, &Answers), rows: &[&Allowed]) -> Outcome {
    // One that stops before the other, or has nothing in common with it, is not like it as far as it came.
    let steps = |answers: &Answers| answers.said.iter().map(|(index, _)| index + 1).collect::<Vec<_>>();
    let (ones, others) = (steps(one.1), steps(other.1));
    if ones != others {
        let why = format!("{} answers other steps than {}", one.0, other.0);
        let broken = told(why, script, one, other);
        return Err(broken.comparing(format!("{ones:?}"), format!("{others:?}")).into());
    }
    for ((index, said), (_, with)) in one.1.said.iter().zip(&other.1.said) {
        let upto = &script.0[..=*index];
        let hidden = rows.iter().map(|row| row.rule.hides_said(upto));
        let hidden = hidden.fold(0, |all, bits| all | bits);
        check::count();
        if *said == *with {
            continue;
        }
        let is_hidden = match (said, with) {
            (Said::Value(a), Said::Value(b)) => (a ^ b) & !hidden == 0,
            _ => hidden == u64::MAX,
        };
        let op = script.0[*index];
        if !is_hidden {
            let why = format!("step {}, {op}: {} says {said}, {} says {with}", index + 1, one.0, other.0);
            return Err(told(why, script, one, other).comparing(said.to_string(), with.to_string()).into());
        }
        note(rows, |row| row.rule.hides_said(upto));
    }
    if !one.1.state.keys().any(|part| other.1.state.contains_key(part)) {
        let why = format!("{} and {} have no part of their state in common", one.0, other.0);
        return Err(told(why, script, one, other).into());
    }
    for (part, value) in &one.1.state {
        let Some(with) = other.1.state.get(part) else { continue };
        let hidden = rows.iter().fold(0, |all, row| all | row.rule.hides_state(part));
        check::count();
        if value == with {
            continue;
        }
        if (value ^ with) & !hidden != 0 {
            let why = format!("in the end {part} is {value:#x} in {}, {with:#x} in {}", one.0, other.0);
            let broken = told(why, script, one, other);
            return Err(broken.comparing(format!("{value:#x}"), format!("{with:#x}")).into());
        }
        note(rows, |row| row.rule.hides_state(part));
    }
    Ok(())
}

/// Counts the rows that hid something.
fn note(rows: &[&Allowed], hides: impl Fn(&Allowed) -> u64) {
    rows.iter().filter(|row| hides(row) != 0).for_each(|row| check::tally(row.what));
}

/// The whole script, with what each of the two said.
#[track_caller]
fn told(why: String, script: &Script, one: (&str, &Answers), other: (&str, &Answers)) -> Broken {
    let said = |answers: &Answers, index: usize| {
        answers.said.iter().find(|(at, _)| *at == index).map(|(_, said)| said.to_string())
    };
    let line = |(index, op): (usize, &Op)| match (said(one.1, index), said(other.1, index)) {
        (Some(a), Some(b)) if a == b => format!("{:3}  {op}: {a}", index + 1),
        (Some(a), Some(b)) => format!("{:3}  {op}: {} {a}, {} {b}", index + 1, one.0, other.0),
        _ => format!("{:3}  {op}", index + 1),
    };
    Broken::new(why).with(script.0.iter().enumerate().map(line))
}
