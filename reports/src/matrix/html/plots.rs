//! How long claims took, how many cases properties had, and how fast KVM_RUN came back: for each run, as rows with a bar each, which are
//! a table where there are no pictures.

use std::collections::BTreeMap;

use crate::{Entry, Run, Verdict};

/// A plot: a row for each thing.
pub(super) struct Plot {
    pub(super) title: &'static str,
    pub(super) about: &'static str,
    pub(super) rows: Vec<Row>,
}

/// A bar, from where to where in hundredths of the width, and where its mark lies if it has one.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) told: String,
    pub(super) start: String,
    pub(super) width: String,
    pub(super) mark: Option<String>,
}

/// The least width of a bar, so that it can be seen.
const THIN: f64 = 0.7;
/// Where the classes of times end, in milliseconds.
const TIMES: [(f64, &str); 9] = [
    (1.0, "below 1 ms"),
    (3.0, "1 to 3 ms"),
    (10.0, "3 to 10 ms"),
    (30.0, "10 to 30 ms"),
    (100.0, "30 to 100 ms"),
    (300.0, "0.1 to 0.3 s"),
    (1000.0, "0.3 to 1 s"),
    (10_000.0, "1 to 10 s"),
    (f64::INFINITY, "longer"),
];
/// Where the classes of numbers of cases end.
const CASES: [(f64, &str); 6] = [
    (8.5, "up to 8"),
    (16.5, "9 to 16"),
    (32.5, "17 to 32"),
    (64.5, "33 to 64"),
    (128.5, "65 to 128"),
    (f64::INFINITY, "more"),
];

/// The plots of a run; those that it has nothing for are left out.
pub(super) fn plots(run: &Run) -> Vec<Plot> {
    let tried: Vec<_> = run.claims.iter().filter(|entry| entry.verdict != Verdict::Skip).collect();
    let times = tried.iter().map(|entry| entry.ms);
    // One case is a claim without generated inputs.
    let cases = tried.iter().filter(|entry| entry.cases > 1).map(|entry| entry.cases as f64);
    let plots = [
        Plot {
            title: "Time per claim",
            about: "How many claims took how long.",
            rows: classes(times, &TIMES),
        },
        Plot {
            title: "Cases per property",
            about: "How many claims about generated inputs tried how many of them.",
            rows: classes(cases, &CASES),
        },
        Plot {
            title: "Exit latencies",
            about: "The fastest KVM_RUN of each claim, from its start to that exit: from the fastest claim to the slowest, the \
                mark at the one in the middle. The scale is logarithmic.",
            rows: latencies(&tried),
        },
    ];
    plots.into_iter().filter(|plot| !plot.rows.is_empty()).collect()
}

/// How many of the values lie in each class.
fn classes(values: impl Iterator<Item = f64>, ends: &[(f64, &str)]) -> Vec<Row> {
    let mut counts = vec![0_usize; ends.len()];
    for value in values.filter(|value| value.is_finite()) {
        if let Some(class) = ends.iter().position(|(end, _)| value < *end) {
            counts[class] += 1;
        }
    }
    let most = counts.iter().copied().max().unwrap_or(0);
    let filled = counts.iter().zip(ends).skip_while(|(count, _)| **count == 0);
    let row = |(count, (_, name)): (&usize, &(f64, &str))| Row {
        name: (*name).to_owned(),
        told: count.to_string(),
        start: hundredths(0.0),
        width: hundredths(*count as f64 / most as f64 * 100.0),
        mark: None,
    };
    if most == 0 { Vec::new() } else { filled.map(row).collect() }
}

/// From the fastest to the slowest for each exit reason.
fn latencies(tried: &[&Entry]) -> Vec<Row> {
    let mut times: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (reason, exits) in tried.iter().flat_map(|entry| &entry.answers.exits) {
        // A time of nothing has no place on the scale.
        let fastest = exits.fastest_ns.map(|nanoseconds| nanoseconds.max(1) as f64);
        times.entry(reason).or_default().extend(fastest);
    }
    times.values_mut().for_each(|times| times.sort_by(f64::total_cmp));
    times.retain(|_, times| !times.is_empty());
    let all = || times.values().flatten().copied();
    let (least, most) = (all().fold(f64::INFINITY, f64::min), all().fold(1.0, f64::max));
    let scale = (most / least).ln().max(f64::MIN_POSITIVE);
    let place = |time: f64| (time / least).ln() / scale * (100.0 - THIN);
    let row = |(reason, times): (&&str, &Vec<f64>)| {
        let (first, middle, last) = (times.first()?, times.get(times.len() / 2)?, times.last()?);
        Some(Row {
            name: crate::plain::one_line(reason.strip_prefix("KVM_EXIT_").unwrap_or(reason)),
            told: format!("{} to {}", time(*first), time(*last)),
            start: hundredths(place(*first)),
            width: hundredths((place(*last) - place(*first)).max(THIN)),
            mark: Some(hundredths(place(*middle))),
        })
    };
    times.iter().filter_map(row).collect()
}

fn hundredths(share: f64) -> String {
    format!("{share:.1}")
}

/// A time in the unit that suits it.
fn time(nanoseconds: f64) -> String {
    match nanoseconds {
        short if short < 1e3 => format!("{short:.0} ns"),
        short if short < 1e6 => format!("{:.1} µs", short / 1e3),
        long if long < 1e9 => format!("{:.1} ms", long / 1e6),
        long => format!("{:.1} s", long / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_by_class() {
        let rows = classes([0.5, 2.0, 2.9, 9.0, f64::NAN].into_iter(), &TIMES);
        let told: Vec<_> = rows.iter().map(|row| (row.name.as_str(), row.told.as_str())).take(4).collect();
        assert_eq!(
            told,
            [("below 1 ms", "1"), ("1 to 3 ms", "2"), ("3 to 10 ms", "1"), ("10 to 30 ms", "0")]
        );
        assert_eq!((rows[1].width.as_str(), rows[0].width.as_str()), ("100.0", "50.0"));
        assert!(classes(std::iter::empty(), &CASES).is_empty());
    }

    #[test]
    fn times_have_units() {
        assert_eq!([900.0, 1500.0, 2.5e6, 3e9].map(time), ["900 ns", "1.5 µs", "2.5 ms", "3.0 s"]);
    }
}
