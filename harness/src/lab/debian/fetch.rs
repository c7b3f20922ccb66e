//! From a prefix of a version to packages in the cache.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::apt::{Apt, DAY};
use super::index::{Offer, newest};
use crate::lab::{LabError, Sources, package};

/// Suites of Debian that hold kernels, to say where one can be had.
const KNOWN: [&str; 10] = [
    "bullseye",
    "bullseye-security",
    "bookworm",
    "bookworm-security",
    "bookworm-backports",
    "trixie",
    "trixie-security",
    "trixie-backports",
    "sid",
    "experimental",
];

/// How old lists may be when a kernel is not in them.
const SOON: Duration = Duration::from_secs(10 * 60);

/// A suite and what it offers.
struct Suite {
    name: String,
    offers: Result<Vec<Offer>, LabError>,
}

/// The directories into which the packages of the newest kernel with this prefix are unpacked.
pub(in crate::lab) fn fetch(
    prefix: &str,
    options: &Sources,
    progress: &dyn Fn(&str),
) -> Result<Vec<PathBuf>, LabError> {
    let apt = Apt::new(&options.cache)?;
    let mut names = apt.own_suites();
    for suite in &options.suites {
        if !names.contains(suite) {
            names.push(suite.clone());
        }
    }
    let suites = answered(ask(&apt, &names, DAY, progress), options)?;
    let mut age = SOON;
    if let Some((suite, offer)) = pick(&suites, prefix) {
        match obtain(&apt, suite, offer, options, progress) {
            // The mirror may have moved on since its lists were read.
            Err(LabError::Download { .. }) => age = Duration::ZERO,
            other => return other,
        }
    }
    let suites = answered(ask(&apt, &names, age, progress), options)?;
    match pick(&suites, prefix) {
        Some((suite, offer)) => obtain(&apt, suite, offer, options, progress),
        None => {
            let others: Vec<_> = KNOWN
                .iter()
                .map(|&name| name.to_owned())
                .filter(|name| !names.contains(name) && apt.knows(name))
                .collect();
            let why = nowhere(prefix, &suites, &ask(&apt, &others, DAY, progress));
            Err(LabError::NoKernel { spec: format!("debian:{prefix}"), why })
        }
    }
}

/// A file of a package, from the first of the system's own suites that has it.
pub(in crate::lab) fn fetch_file(
    name: &str,
    file: &Path,
    cache: &Path,
    progress: &dyn Fn(&str),
) -> Result<Vec<u8>, LabError> {
    let apt = Apt::new(cache)?;
    let mut failed = None;
    for suite in apt.own_suites() {
        let found = apt.offers(&suite, DAY).and_then(|_| {
            progress(&format!("downloading {name} from {suite}"));
            let deb = apt.download_newest(&suite, name)?;
            let contents = package::file_of(&deb, file);
            fs::remove_file(&deb).map_err(LabError::file("remove", &deb))?;
            contents
        });
        match found {
            Ok(contents) => return Ok(contents),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    Err(failed.unwrap_or_else(|| LabError::Apt {
        what: name.to_owned(),
        why: "it is configured with no suite of Debian; add one to its sources".to_owned(),
    }))
}

/// Asks several suites at the same time.
fn ask(apt: &Apt, names: &[String], age: Duration, progress: &dyn Fn(&str)) -> Vec<Suite> {
    let stale: Vec<_> = names.iter().filter(|name| !apt.is_fresh(name, age)).map(String::as_str).collect();
    if !stale.is_empty() {
        progress(&format!("asking apt about {}", stale.join(", ")));
    }
    std::thread::scope(|scope| {
        let asked: Vec<_> =
            names.iter().map(|name| (name, scope.spawn(move || apt.offers(name, age)))).collect();
        asked
            .into_iter()
            .filter_map(|(name, thread)| Some(Suite { name: name.clone(), offers: thread.join().ok()? }))
            .collect()
    })
}

/// A suite that a person named must answer, and one at least; any other that does not is as if it were empty.
fn answered(mut suites: Vec<Suite>, options: &Sources) -> Result<Vec<Suite>, LabError> {
    let all_silent = suites.iter().all(|suite| suite.offers.is_err());
    let at = suites
        .iter()
        .position(|suite| suite.offers.is_err() && (all_silent || options.suites.contains(&suite.name)));
    match at.map(|at| suites.remove(at).offers) {
        Some(Err(error)) => Err(error),
        _ => Ok(suites),
    }
}

/// The newest kernel that a prefix may mean and that is there with its modules.
fn pick<'a>(suites: &'a [Suite], prefix: &str) -> Option<(&'a str, &'a Offer)> {
    newest(meant(suites, prefix).filter(|(_, offer)| offer.is_complete()))
}

fn meant<'a>(suites: &'a [Suite], prefix: &str) -> impl Iterator<Item = (&'a str, &'a Offer)> {
    let all = suites
        .iter()
        .flat_map(|suite| suite.offers.iter().flatten().map(|offer| (suite.name.as_str(), offer)));
    all.filter(move |(_, offer)| offer.is_meant_by(prefix))
}

fn obtain(
    apt: &Apt,
    suite: &str,
    offer: &Offer,
    options: &Sources,
    progress: &dyn Fn(&str),
) -> Result<Vec<PathBuf>, LabError> {
    let mut roots = Vec::new();
    for part in &offer.packages {
        let root = package::place(&options.cache, &part.name, &part.version, &part.sha256);
        if let Some(_lock) = package::claim(&root)? {
            progress(&format!(
                "downloading {} {} ({} MB)",
                part.name,
                part.version,
                part.size.div_ceil(1_000_000)
            ));
            let deb = apt.download(suite, part)?;
            package::fill(&deb, &root, progress)?;
            // What is unpacked is all that is needed of it.
            fs::remove_file(&deb).map_err(LabError::file("remove", &deb))?;
        }
        roots.push(root);
    }
    Ok(roots)
}

/// Why there is no such kernel, and where there is one.
fn nowhere(prefix: &str, asked: &[Suite], others: &[Suite]) -> String {
    let mut why = Vec::new();
    if let Some((suite, offer)) = pick(others, prefix) {
        why.push(format!("{} has {}: add --suite {suite}", suite, offer.short()));
    }
    if let Some((suite, offer)) =
        newest(meant(asked, prefix).chain(meant(others, prefix))).filter(|_| why.is_empty())
    {
        why.push(format!(
            "{suite} has {} but no longer its modules: where you have linux-modules-{}, name it and the kernel's .deb \
             file with a comma between them",
            offer.short(),
            offer.release
        ));
    }
    why.push(format!("the suites asked have {}", listing(asked)));
    if why.len() == 1 {
        why.push(format!("of those that --suite can add, {}", listing(others)));
    }
    for suite in asked {
        if let Err(error) = &suite.offers {
            why.push(format!("cannot {error}"));
        }
    }
    why.join("; ")
}

/// The series in each suite: "6.1 and 6.12 (bookworm-security)".
fn listing(suites: &[Suite]) -> String {
    let mut parts = Vec::new();
    for suite in suites {
        let mut complete: Vec<_> =
            suite.offers.iter().flatten().filter(|offer| offer.is_complete()).collect();
        complete.sort_by(|a, b| super::compare_versions(&a.version, &b.version));
        let mut seen = BTreeSet::new();
        let series: Vec<_> = complete
            .iter()
            .map(|offer| offer.series())
            .filter(|series| seen.insert(series.clone()))
            .collect();
        if !series.is_empty() {
            parts.push(format!("{} ({})", series.join(", "), suite.name));
        }
    }
    if parts.is_empty() { "no kernels".into() } else { parts.join(", ") }
}

#[cfg(test)]
#[path = "fetch_tests.rs"]
mod tests;
