//! Splitting a run over several machines: which part this one tries.

use std::collections::BTreeMap;
use std::str::FromStr;

use reports::{Part, Run};
use sha2::{Digest, Sha256};

use super::status::Complaint;
use crate::Claim;

/// Variables that number a job among its like: from which number on they count, and which one says how many there are.
const NUMBERED: [(&str, Start, Option<&str>); 3] = [
    ("SLURM_ARRAY_TASK_ID", Start::Variable("SLURM_ARRAY_TASK_MIN"), Some("SLURM_ARRAY_TASK_COUNT")),
    ("JOB_COMPLETION_INDEX", Start::At(0), None),
    ("CI_NODE_INDEX", Start::At(1), Some("CI_NODE_TOTAL")),
];

/// Where a variable begins to count.
#[derive(Clone, Copy, Debug)]
enum Start {
    At(u64),
    Variable(&'static str),
}

/// A part as it is written: `3/8`, `auto/8`, or `auto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Partition {
    number: Option<u64>,
    of: Option<u64>,
}

impl FromStr for Partition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "write K/N with K from 1 to N, such as 3/8, or auto/N, or auto".to_owned();
        let (number, of) = match text.split_once('/') {
            Some((number, of)) => (number, Some(of.parse().map_err(|_| wrong())?)),
            None => (text, None),
        };
        let number = match number {
            "auto" => None,
            number => Some(number.parse().map_err(|_| wrong())?),
        };
        match (number, of) {
            (Some(number), Some(of)) if (1..=of).contains(&number) => {}
            (None, None) => {}
            (None, Some(of)) if of > 0 => {}
            _ => return Err(wrong()),
        }
        Ok(Self { number, of })
    }
}

impl Partition {
    /// The part's number and how many there are, with what the environment says where the command line does not.
    pub(super) fn resolve(self, variable: impl Fn(&str) -> Option<String>) -> Result<(u64, u64), Complaint> {
        if let (Some(number), Some(of)) = (self.number, self.of) {
            return Ok((number, of));
        }
        let value = |name: &str| variable(name)?.parse::<u64>().ok();
        let numbered = NUMBERED.iter().find_map(|(name, start, total)| {
            let start = match start {
                Start::At(start) => *start,
                Start::Variable(name) => value(name)?,
            };
            let number = value(name)?.checked_sub(start)?.checked_add(1)?;
            Some((number, self.of.or_else(|| value((*total)?))))
        });
        match numbered {
            Some((number, Some(of))) if (1..=of).contains(&number) => Ok((number, of)),
            Some((number, Some(of))) => Err(Complaint::Usage(format!(
                "the environment numbers this job {number}, and there are {of} parts: write --partition auto/N for N jobs"
            ))),
            Some((_, None)) => Err(Complaint::Usage(
                "the environment numbers this job and does not say of how many: write --partition auto/N".into(),
            )),
            None => Err(Complaint::Usage(
                "--partition auto takes the part from SLURM_ARRAY_TASK_ID, JOB_COMPLETION_INDEX or CI_NODE_INDEX, and none of them is set: write --partition K/N"
                    .into(),
            )),
        }
    }
}

/// Of these claims those of one part, the same on every machine: dealt out by their names, or where an earlier run says how long
/// each takes, so that every part takes as long.
pub(super) fn part_of(
    claims: Vec<&'static Claim>,
    number: u64,
    of: u64,
    times: Option<&Run>,
) -> (Vec<&'static Claim>, Part) {
    let part = Part { number, of, claims: claims.len() as u64 };
    let dealt = times.map(|run| dealt(&claims, of, run));
    let is_in = |claim: &Claim| {
        let name = claim.name();
        let own = dealt.as_ref().and_then(|dealt| dealt.get(&name).copied());
        own.unwrap_or_else(|| hash(&name) % of) == number - 1
    };
    (claims.into_iter().filter(|claim| is_in(claim)).collect(), part)
}

/// The part of each claim, counted from 0: the longest first, each to the part that has least to do so far.
fn dealt(claims: &[&'static Claim], of: u64, times: &Run) -> BTreeMap<String, u64> {
    let known: BTreeMap<&str, f64> =
        times.claims.iter().map(|entry| (entry.name.as_str(), entry.ms)).collect();
    let typical = known.values().sum::<f64>() / known.len().max(1) as f64;
    let mut timed: Vec<_> = claims
        .iter()
        .map(|claim| claim.name())
        .map(|name| (known.get(name.as_str()).copied().unwrap_or(typical), name))
        .collect();
    timed.sort_by(|(a, one), (b, other)| b.total_cmp(a).then_with(|| one.cmp(other)));
    let mut loads: Vec<(f64, u64)> = (0..of).map(|part| (0.0, part)).collect();
    let mut dealt = BTreeMap::new();
    for (time, name) in timed {
        if let Some(least) = loads.iter_mut().min_by(|(a, _), (b, _)| a.total_cmp(b)) {
            least.0 += time;
            dealt.insert(name, least.1);
        }
    }
    dealt
}

/// The same number for a name on every machine and with every version.
fn hash(name: &str) -> u64 {
    Sha256::digest(name.as_bytes()).iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    static CLAIMS: [Claim; 5] = [claim("a"), claim("b"), claim("c"), claim("d"), claim("e")];

    const fn claim(function: &'static str) -> Claim {
        Claim::planted("x::m", function)
    }

    fn resolve(text: &str, variables: &[(&str, &str)]) -> Result<(u64, u64), String> {
        let variable = |name: &str| {
            variables.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned())
        };
        text.parse::<Partition>()?.resolve(variable).map_err(|complaint| complaint.to_string())
    }

    #[test]
    fn a_part_is_written_or_taken_from_the_environment() {
        assert_eq!(resolve("3/8", &[]), Ok((3, 8)));
        assert_eq!(resolve("auto/8", &[("JOB_COMPLETION_INDEX", "0")]), Ok((1, 8)));
        let slurm =
            [("SLURM_ARRAY_TASK_ID", "7"), ("SLURM_ARRAY_TASK_MIN", "5"), ("SLURM_ARRAY_TASK_COUNT", "4")];
        assert_eq!(resolve("auto", &slurm), Ok((3, 4)));
        assert_eq!(resolve("auto", &[("CI_NODE_INDEX", "2"), ("CI_NODE_TOTAL", "2")]), Ok((2, 2)));
    }

    #[test]
    fn what_is_no_part_is_told() {
        for text in ["0/8", "9/8", "3", "x/8", "3/x", "auto/0", "", "-1/2"] {
            assert!(text.parse::<Partition>().is_err(), "{text}");
        }
        assert!(resolve("auto", &[]).unwrap_err().contains("none of them is set"));
        assert!(resolve("auto", &[("JOB_COMPLETION_INDEX", "0")]).unwrap_err().contains("auto/N"));
        assert!(
            resolve("auto/2", &[("JOB_COMPLETION_INDEX", "2")]).unwrap_err().contains("numbers this job 3")
        );
    }

    fn names(number: u64, of: u64, times: Option<&Run>) -> Vec<String> {
        part_of(CLAIMS.iter().collect(), number, of, times).0.iter().map(|claim| claim.name()).collect()
    }

    #[test]
    fn every_claim_is_in_one_part() {
        for of in 1..7 {
            let mut all: Vec<_> = (1..=of).flat_map(|number| names(number, of, None)).collect();
            all.sort();
            assert_eq!(all, ["m::a", "m::b", "m::c", "m::d", "m::e"]);
        }
    }

    #[test]
    fn past_times_even_the_parts_out() {
        let entry =
            |claim: &Claim, ms| reports::Entry { ms, ..crate::runner::blank(claim, reports::Verdict::Pass) };
        let entries = CLAIMS.iter().zip([10.0, 1.0, 2.0, 3.0, 4.0]).map(|(claim, ms)| entry(claim, ms));
        let times = Run::new(Default::default(), entries.collect(), vec![]);
        assert_eq!(names(1, 2, Some(&times)), ["m::a"]);
        assert_eq!(names(2, 2, Some(&times)), ["m::b", "m::c", "m::d", "m::e"]);
    }
}
