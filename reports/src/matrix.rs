//! Several runs side by side: claims by runs, where a row that differs stands out, and where what differs is explained.

mod html;
mod json;
mod page;
mod text;

use std::collections::BTreeMap;

use crate::{Entry, Run, Verdict, outline, plain};

/// The most characters of a reason that is shown beside a verdict.
const SHORT: usize = 160;

/// Several runs side by side.
#[derive(Debug)]
pub struct Matrix<'a> {
    columns: Vec<(&'a str, &'a Run)>,
    rows: Vec<Row<'a>>,
}

/// What the runs say of one claim.
#[derive(Debug)]
struct Row<'a> {
    name: &'a str,
    claim: &'a str,
    /// One for each run; none where the run says nothing of the claim.
    cells: Vec<Option<&'a Entry>>,
}

/// A verdict in one word, why, and the columns that say so.
type Reason = (&'static str, String, Vec<usize>);

/// Claims that differ between runs for the same reasons.
#[derive(Debug)]
struct Group<'a> {
    reasons: Vec<Reason>,
    names: Vec<&'a str>,
}

impl<'a> Matrix<'a> {
    /// Lays runs side by side, each under its name.
    pub fn new(runs: impl IntoIterator<Item = (&'a str, &'a Run)>) -> Self {
        let columns: Vec<_> = runs.into_iter().collect();
        let mut rows: BTreeMap<&str, Row<'_>> = BTreeMap::new();
        for (index, (_, run)) in columns.iter().enumerate() {
            for entry in &run.claims {
                let row = rows.entry(&entry.name).or_insert_with(|| Row {
                    name: &entry.name,
                    claim: &entry.claim,
                    cells: vec![None; columns.len()],
                });
                if let Some(cell) = row.cells.get_mut(index) {
                    *cell = Some(entry);
                }
            }
        }
        Self { columns, rows: rows.into_values().collect() }
    }

    /// The rows that differ for nothing but what some run lacks, gathered by what that is and where: the largest group first.
    fn lacking(&self) -> Vec<Group<'_>> {
        let mut groups: BTreeMap<Vec<Reason>, Vec<&str>> = BTreeMap::new();
        for row in self.rows.iter().filter(|row| row.differs() && !row.deviates()) {
            let mut reasons = row.reasons();
            let absent: Vec<_> = (0..row.cells.len()).filter(|&column| row.cells[column].is_none()).collect();
            if !absent.is_empty() {
                reasons.push(("none", "not in the record".to_owned(), absent));
            }
            groups.entry(reasons).or_default().push(row.name);
        }
        let mut groups: Vec<_> =
            groups.into_iter().map(|(reasons, names)| Group { reasons, names }).collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.names.len()));
        groups
    }

    /// The rows on which the runs do not agree.
    fn differing(&self) -> Vec<&Row<'a>> {
        self.rows.iter().filter(|row| row.differs()).collect()
    }
}

impl<'a> Row<'a> {
    /// Whether the runs do not all say the same: another verdict, or for what is broken another value seen.
    fn differs(&self) -> bool {
        let mut answers = self.cells.iter().map(|cell| cell.map(|entry| (entry.verdict, answer(entry))));
        let first = answers.next();
        answers.any(|answer| Some(answer) != first)
    }

    fn is_bad_everywhere(&self) -> bool {
        !self.differs() && self.cells.iter().all(|cell| cell.is_some_and(|entry| entry.verdict.is_bad()))
    }

    /// Whether some run shows it broken, expectedly or not.
    fn deviates(&self) -> bool {
        let is_tame = |entry: &Entry| matches!(entry.verdict, Verdict::Pass | Verdict::Skip);
        !self.cells.iter().flatten().all(|entry| is_tame(entry))
    }

    /// The reasons for which it did not simply pass, each with the columns that give it, in the order in which they first do.
    fn reasons(&self) -> Vec<Reason> {
        let mut reasons: Vec<Reason> = Vec::new();
        for (column, cell) in self.cells.iter().enumerate() {
            let Some(entry) = cell.filter(|entry| entry.verdict != Verdict::Pass) else { continue };
            let (word, why) = (entry.verdict.name(), outline::why(entry));
            match reasons.iter_mut().find(|(other, same, _)| *other == word && *same == why) {
                Some((_, _, columns)) => columns.push(column),
                None => reasons.push((word, why, vec![column])),
            }
        }
        reasons
    }
}

/// What was seen of a claim without generated inputs. With those, the smallest case that is found may be another each time.
fn answer(entry: &Entry) -> Option<&str> {
    entry.witness.as_ref().filter(|witness| witness.input.is_none())?.seen.as_deref()
}

/// A verdict in one word.
fn verdict(cell: Option<&Entry>) -> &'static str {
    cell.map_or("–", |entry| entry.verdict.name())
}

/// A verdict with its reason and what was seen.
fn told(cell: Option<&Entry>) -> String {
    let Some(entry) = cell else { return "–".to_owned() };
    if entry.verdict == Verdict::Pass {
        return "pass".to_owned();
    }
    let seen = entry.witness.as_ref().and_then(|witness| witness.seen.as_deref()).map(plain::one_line);
    let seen = seen.map_or_else(String::new, |seen| format!(" (saw {seen})"));
    plain::clipped(&format!("{}: {}{seen}", entry.verdict, outline::why(entry)), SHORT)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::{Host, Witness};

    fn run(release: &str, entries: &[(&str, Verdict, Option<&str>)]) -> Run {
        let host = Host { release: release.into(), ..Host::default() };
        let entries = entries.iter().map(|(name, verdict, seen)| Entry {
            name: (*name).into(),
            claim: format!("{name} holds"),
            verdict: *verdict,
            why: (*verdict != Verdict::Pass).then(|| "it does not".into()),
            witness: seen.map(|seen| Witness {
                seen: Some(seen.into()),
                input: Some(serde_json::json!([seen])).filter(|_| seen.len() > 1),
                replay: format!("assay replay {name}"),
                ..Witness::default()
            }),
            cases: 1,
            reached: 1,
            ms: 1.0,
            source: vec![],
            notes: vec![],
            answers: Default::default(),
        });
        Run::new(host, entries.collect(), vec![])
    }

    fn text(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn rows_that_differ_stand_out() {
        let old = run("6.1", &[("a::same", Verdict::Pass, None), ("a::other", Verdict::Pass, None)]);
        let new = run("6.12", &[("a::same", Verdict::Pass, None), ("a::other", Verdict::Fail, Some("7"))]);
        let matrix = Matrix::new([("old", &old), ("newer", &new)]);
        assert_eq!(
            text(|out| matrix.write_text(out)),
            "old    2 claims: 2 pass\nnewer  2 claims: 1 pass, 1 fail\n\n1 of 2 claims differ\n\n  a::other\n    a::other holds\n    \
             old    pass\n    newer  fail: it does not (saw 7)\n"
        );
        let page = text(|out| matrix.write_markdown(out));
        assert!(page.contains("### a::other holds\n"), "{page}");
        let told = "* fail on newer: it does not, seen as `7`\n  again by `assay replay a::other`\n";
        assert!(page.contains(told), "{page}");
        assert!(page.contains("| **a::other holds**<br><code>a::other</code> | pass | fail |"), "{page}");
        assert!(page.contains("| a::same holds<br><code>a::same</code> | pass | pass |"), "{page}");
        let json: serde_json::Value = serde_json::from_str(&text(|out| matrix.write_json(out))).unwrap();
        assert_eq!(json["claims"][0]["verdicts"], serde_json::json!(["pass", "fail"]));
        assert_eq!(json["claims"][1]["differs"], false);
    }

    #[test]
    fn the_smallest_witness_is_shown() {
        let [one, other] = ["12345", "78"].map(|seen| run("6.1", &[("a::bad", Verdict::Fail, Some(seen))]));
        let page = text(|out| Matrix::new([("x", &one), ("y", &other)]).write_markdown(out));
        assert!(page.contains("  with `[\"78\"]`, again by `assay replay a::bad`\n"), "{page}");
    }

    #[test]
    fn what_is_bad_everywhere_is_told_once() {
        let one = run("6.1", &[("a::bad", Verdict::Fail, Some("1"))]);
        let matrix = Matrix::new([("x", &one), ("y", &one)]);
        let text = text(|out| matrix.write_text(out));
        assert!(
            text.ends_with(
                "0 of 1 claim differ\n\nbad alike in every one (1)\n  a::bad  fail: it does not (saw 1)\n"
            ),
            "{text}"
        );
    }

    #[test]
    fn another_value_or_a_missing_entry_differs() {
        let one = run("6.1", &[("a::bad", Verdict::Fail, Some("1"))]);
        let two = run("6.1", &[("a::bad", Verdict::Fail, Some("2"))]);
        let none = run("6.1", &[]);
        for (left, right) in [(&one, &two), (&one, &none)] {
            assert!(Matrix::new([("x", left), ("y", right)]).rows[0].differs());
        }
    }

    #[test]
    fn what_is_lacking_alike_is_told_once() {
        let old = run("6.1", &[("a::one", Verdict::Skip, None), ("a::two", Verdict::Skip, None)]);
        let new = run("6.12", &[("a::one", Verdict::Pass, None), ("a::two", Verdict::Pass, None)]);
        let page = text(|out| Matrix::new([("6.1.0-9", &old), ("6.12.1", &new)]).write_markdown(out));
        assert!(page.contains("| skip on 6.1.0-9: it does not |"), "{page}");
        assert!(page.contains("<summary>2 claims</summary>"), "{page}");
    }

    #[test]
    fn a_column_is_headed_by_what_tells_it_apart() {
        let one = run("6.1", &[]);
        let head = |names: &[&str]| {
            let matrix = Matrix::new(names.iter().map(|name| (*name, &one)));
            matrix.labels()
        };
        let long =
            ["6.12.100+deb12-cloud-amd64", "6.12.117+deb12-cloud-amd64 on penryn", "5.10.0-32-cloud-amd64"];
        assert_eq!(head(&long), ["6.12.100", "6.12.117 on penryn", "5.10.0-32"]);
        assert_eq!(head(&["6.13.0-rc3-amd64", "6.13.0-amd64"]), ["6.13.0-rc3", "6.13.0"]);
        assert_eq!(head(&["6.1.0-rc1-mine", "6.1.0-rc1-yours"]), ["6.1.0-rc1-mine", "6.1.0-rc1-yours"]);
    }
}
