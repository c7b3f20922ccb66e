//! The names that were perhaps meant by a query that matches none.

use std::cmp::Reverse;
use std::collections::BTreeSet;

/// How many names are worth offering.
const OFFERED: usize = 3;

/// Longer segments are compared by their beginning only: the time grows with the square.
const COMPARED: usize = 64;

/// Up to three of `names` that are like `text`, the nearest first.
///
/// Names are compared segment by segment, because a claim's name is remembered by its parts: a name is near when most
/// letters of what was typed are in segments like its own. Where no name is, those that share a segment are offered.
pub fn near<'a>(text: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let lower = text.to_lowercase();
    let wanted: Vec<_> = lower.split_whitespace().filter(|term| is_path(term)).flat_map(segments).collect();
    let letters: usize = wanted.iter().map(|segment| length(segment)).sum();
    let distinct: BTreeSet<_> = names.collect();
    let compared = distinct.into_iter().map(|name| (compare(&wanted, name), name));
    let mut ranked: Vec<_> = compared.filter(|((edits, _), _)| *edits < letters).collect();
    ranked.sort_unstable();
    let has_near = ranked.first().is_some_and(|((edits, _), _)| is_near(*edits, letters));
    let offered = ranked.into_iter().filter(|((edits, Reverse(same)), _)| match has_near {
        true => is_near(*edits, letters),
        false => *same > 0,
    });
    offered.map(|(_, name)| name).take(OFFERED).collect()
}

fn is_near(edits: usize, letters: usize) -> bool {
    edits * 3 <= letters
}

/// Whether a term of a query speaks of names, as `status:fail` and `-system` do not.
fn is_path(term: &str) -> bool {
    !term.starts_with('-') && !term.replace("::", "").contains(':')
}

fn segments(text: &str) -> impl Iterator<Item = &str> {
    text.split(['/', ':']).filter(|segment| !segment.is_empty())
}

/// The edits that turn the segments wanted into the nearest segments of `name`, and how many segments need none.
fn compare(wanted: &[&str], name: &str) -> (usize, Reverse<usize>) {
    let nearest =
        |segment: &&str| segments(name).map(|other| edits(segment, other)).min().unwrap_or(usize::MAX);
    // More than half of it to change, and the segment is simply another one.
    let cost = |segment| match (nearest(segment), length(segment)) {
        (edits, letters) if edits <= letters / 2 => edits,
        (_, letters) => letters,
    };
    let each: Vec<_> = wanted.iter().map(cost).collect();
    (each.iter().sum(), Reverse(each.iter().filter(|edits| **edits == 0).count()))
}

fn length(segment: &str) -> usize {
    segment.chars().take(COMPARED).count()
}

/// The fewest letters to insert, remove or replace between `a` and `b` (Levenshtein), row by row.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<_> = b.chars().take(COMPARED).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().take(COMPARED).enumerate() {
        let mut next = Vec::with_capacity(row.len());
        next.push(i + 1);
        for ((replaced, removed), other) in row.iter().zip(row.iter().skip(1)).zip(&b) {
            let replaced = replaced + usize::from(letter != *other);
            let inserted = next.last().map_or(replaced, |cell| cell + 1);
            next.push(replaced.min(removed + 1).min(inserted));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}
