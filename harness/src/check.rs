//! The checks that claims are made of. Each counts as having exercised something, and names the claim's own line where it fails.

use std::collections::BTreeMap;
use std::fmt::{Debug, Display};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::kvm::{Errno, Refused};
use crate::{Broken, HostFault, Outcome, Stop};

/// How many checks this process has made.
static MADE: AtomicU64 = AtomicU64::new(0);

pub(crate) fn made() -> u64 {
    MADE.load(Ordering::Relaxed)
}

pub(crate) fn count() {
    MADE.fetch_add(1, Ordering::Relaxed);
}

/// What was counted by name.
static TALLIED: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());

/// Counts something by its name that is neither agreement nor divergence; the entry's notes tell it.
pub fn tally(name: impl Into<String>) {
    *TALLIED.lock().unwrap_or_else(PoisonError::into_inner).entry(name.into()).or_default() += 1;
}

pub(crate) fn tallied() -> BTreeMap<String, u64> {
    TALLIED.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// What was seen is what is expected.
#[track_caller]
pub fn equal<T: PartialEq + Debug>(seen: T, expected: T) -> Outcome {
    count();
    if seen == expected {
        return Ok(());
    }
    let (expected, seen) = (format!("{expected:?}"), format!("{seen:?}"));
    let (short_expected, short_seen) = (around(&expected, &seen), around(&seen, &expected));
    Err(Broken::new(format!("expected {short_expected}, saw {short_seen}")).comparing(expected, seen).into())
}

/// What was seen is anything but this.
#[track_caller]
pub fn differs<T: PartialEq + Debug>(seen: T, from: T) -> Outcome {
    count();
    if seen != from {
        return Ok(());
    }
    let seen = format!("{seen:?}");
    Err(Broken::new(format!("saw {seen}, which it should not be"))
        .comparing(format!("anything but {seen}"), seen)
        .into())
}

/// So much of a long text as shows where it first differs from the other.
fn around(text: &str, other: &str) -> String {
    const BEFORE: usize = 40;
    const WHOLE: usize = 120;
    if text.chars().count() <= WHOLE {
        return text.to_owned();
    }
    let alike = text.chars().zip(other.chars()).take_while(|(a, b)| a == b).count();
    let start = alike.saturating_sub(BEFORE);
    let shown: String = text.chars().skip(start).take(WHOLE).collect();
    let is_end = text.chars().count() <= start + WHOLE;
    format!("{}{shown}{}", if start > 0 { "… " } else { "" }, if is_end { "" } else { " …" })
}

/// The condition holds; `what` says it in words.
#[track_caller]
pub fn holds(condition: bool, what: impl Display) -> Outcome {
    count();
    if condition {
        return Ok(());
    }
    Err(Broken::new(format!("it does not hold that {what}"))
        .comparing(what.to_string(), "the contrary")
        .into())
}

/// What was seen is within bounds, both included.
#[track_caller]
pub fn within<T: PartialOrd + Debug>(seen: T, least: T, most: T) -> Outcome {
    count();
    if least <= seen && seen <= most {
        return Ok(());
    }
    let (expected, seen) = (format!("{least:?} to {most:?}"), format!("{seen:?}"));
    Err(Broken::new(format!("expected {expected}, saw {seen}")).comparing(expected, seen).into())
}

/// The command succeeds; what it answered is handed on.
#[track_caller]
pub fn succeeds<T, E: Into<Refusal>>(result: Result<T, E>) -> Result<T, Stop> {
    count();
    match result.map_err(Into::into) {
        Ok(answer) => Ok(answer),
        Err(Refusal { errno: Some(errno), what }) if errno.is_shortage() => Err(shortage(&what)),
        Err(Refusal { errno, what }) => {
            let seen = errno.map_or_else(|| what.clone(), |errno| errno.to_string());
            Err(Broken::new(what).comparing("success", seen).into())
        }
    }
}

/// The command is refused with exactly this error.
#[track_caller]
pub fn fails<T: Debug, E: Into<Refusal>>(errno: Errno, result: Result<T, E>) -> Outcome {
    fails_with_one_of(&[errno], result)
}

/// The command is refused with one of these errors.
#[track_caller]
pub fn fails_with_one_of<T: Debug, E: Into<Refusal>>(errnos: &[Errno], result: Result<T, E>) -> Outcome {
    count();
    let expected = errnos.iter().map(Errno::to_string).collect::<Vec<_>>().join(" or ");
    match result.map_err(Into::into) {
        Err(Refusal { errno: Some(errno), .. }) if errnos.contains(&errno) => Ok(()),
        Err(Refusal { errno: Some(errno), what }) if errno.is_shortage() => Err(shortage(&what)),
        Err(Refusal { errno, what }) => {
            let seen = errno.map_or_else(|| what.clone(), |errno| errno.to_string());
            Err(Broken::new(format!("{what}, not {expected}")).comparing(expected, seen).into())
        }
        Ok(answer) => Err(Broken::new(format!("expected {expected}, but it succeeded with {answer:?}"))
            .comparing(expected, format!("success ({answer:?})"))
            .into()),
    }
}

/// What `state` reads is the same before and after `act`, which is checked itself.
#[track_caller]
pub fn unchanged<S: PartialEq + Debug, E: Into<Stop>>(
    state: impl Fn() -> Result<S, E>,
    act: impl FnOnce() -> Outcome,
) -> Outcome {
    let before = state().map_err(Into::into)?;
    act()?;
    let after = state().map_err(Into::into)?;
    count();
    if before == after {
        return Ok(());
    }
    let (before, after) = (format!("{before:?}"), format!("{after:?}"));
    Err(Broken::new("it was refused, and changed something nevertheless").comparing(before, after).into())
}

/// `check` holds for each of the items; a failure names the item.
pub fn each<T: Debug>(items: impl IntoIterator<Item = T>, check: impl Fn(&T) -> Outcome) -> Outcome {
    for item in items {
        check(&item).map_err(|stop| stop.during(format_args!("with {item:x?}")))?;
    }
    Ok(())
}

fn shortage(what: &str) -> Stop {
    Stop::HostFault(HostFault(format!("{what}: the host ran out of something")))
}

/// A refusal as the checks see it: the error number, where there is one, and the sentence that tells of it.
#[derive(Clone, Debug)]
pub struct Refusal {
    errno: Option<Errno>,
    what: String,
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        Self { errno: Some(refused.errno), what: refused.to_string() }
    }
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        Self { errno: Some(errno), what: format!("it was refused with {errno}") }
    }
}

impl From<rustix::io::Errno> for Refusal {
    fn from(errno: rustix::io::Errno) -> Self {
        Errno::from(errno).into()
    }
}

impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Self {
        match error.raw_os_error() {
            Some(number) => Errno(number).into(),
            None => Self { errno: None, what: error.to_string() },
        }
    }
}
