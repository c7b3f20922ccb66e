//! Parts of a run that was split over several machines, and the whole that is made of them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde::{Deserialize, Serialize};

use crate::{Run, host_changes};

/// Which part of a run a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its number, from one.
    pub number: u64,
    /// How many parts there are.
    pub of: u64,
    /// How many claims all parts have together.
    pub claims: u64,
}

/// Why parts make no whole; each completes "cannot …".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PartError {
    /// One is not there.
    #[error("merge: part {number} of {of} is missing; name its record too")]
    Missing {
        /// The part's number.
        number: u64,
        /// How many there are.
        of: u64,
    },
    /// One is there twice.
    #[error("merge: two records are part {number} of {of}; name each once")]
    Twice {
        /// The part's number.
        number: u64,
        /// How many there are.
        of: u64,
    },
    /// It was tried elsewhere.
    #[error("merge: part {number} of {of} was tried on another host ({difference}); name parts of one host")]
    OtherHost {
        /// The part's number.
        number: u64,
        /// How many there are.
        of: u64,
        /// What differs first.
        difference: String,
    },
    /// They are not of one run, or an interruption left claims out.
    #[error(
        "merge: the {of} parts have {found} claims together and should have {claims}; \
        were all tried with the same query and to their end?"
    )]
    Claims {
        /// How many parts there are.
        of: u64,
        /// How many claims they have.
        found: u64,
        /// How many they should have.
        claims: u64,
    },
}

/// The parts of one run that are there.
struct Parts {
    /// Where the first of them stood.
    place: usize,
    /// Each with its number.
    parts: Vec<(u64, Run)>,
}

/// The runs, each with its name, with every split one made whole under the name and in the place of its first part.
pub fn merged<N>(runs: impl IntoIterator<Item = (N, Run)>) -> Result<Vec<(N, Run)>, PartError> {
    let mut whole = Vec::new();
    let mut split: BTreeMap<(u64, u64), Parts> = BTreeMap::new();
    for (name, run) in runs {
        let Some(Part { number, of, claims }) = run.part else {
            whole.push((name, run));
            continue;
        };
        match split.entry((of, claims)) {
            Entry::Occupied(mut split) => split.get_mut().parts.push((number, run)),
            Entry::Vacant(split) => {
                split.insert(Parts { place: whole.len(), parts: vec![(number, run.clone())] });
                whole.push((name, run));
            }
        }
    }
    for ((of, claims), Parts { place, parts }) in split {
        whole[place].1 = joined(parts, of, claims)?;
    }
    Ok(whole)
}

fn joined(mut parts: Vec<(u64, Run)>, of: u64, claims: u64) -> Result<Run, PartError> {
    parts.sort_by_key(|(number, _)| *number);
    for (wanted, (number, _)) in (1..).zip(&parts) {
        match *number {
            number if number < wanted => return Err(PartError::Twice { number, of }),
            number if number > wanted => return Err(PartError::Missing { number: wanted, of }),
            _ => {}
        }
    }
    if (parts.len() as u64) < of {
        return Err(PartError::Missing { number: parts.len() as u64 + 1, of });
    }
    let mut whole: Option<Run> = None;
    for (number, part) in parts {
        whole = Some(match whole {
            None => part,
            Some(whole) => {
                if let Some(difference) = host_changes(&whole.host, &part.host).into_iter().next() {
                    return Err(PartError::OtherHost { number, of, difference });
                }
                whole.and(part)
            }
        });
    }
    let whole = whole
        .map(|run| Run { part: None, ..run })
        .unwrap_or_else(|| Run::new(Default::default(), vec![], vec![]));
    let found = whole.claims.len() as u64;
    if found == claims { Ok(whole) } else { Err(PartError::Claims { of, found, claims }) }
}
