//! Changes as a page of HTML that needs nothing but itself.

use std::io;

use askama::Template;

use super::{Change, ChangeKind, counts, told, verdicts};
use crate::{Run, host_changes, plain};

#[derive(Template)]
#[template(path = "diff.html")]
struct Page {
    style: &'static str,
    headline: String,
    hosts: [(&'static str, String); 2],
    host_changes: Vec<String>,
    kinds: Vec<Kind>,
}

struct Kind {
    name: &'static str,
    is_open: bool,
    changes: Vec<Row>,
}

struct Row {
    name: String,
    claim: String,
    verdicts: String,
    told: Vec<(&'static str, String)>,
}

/// Writes `changes` between `before` and `after` as a page of HTML: regressions open, the rest folded.
pub fn write_html(
    out: &mut dyn io::Write,
    before: &Run,
    after: &Run,
    changes: &[Change<'_>],
) -> io::Result<()> {
    let kinds = ChangeKind::ALL.into_iter().map(|kind| Kind {
        name: kind.name(),
        is_open: kind == ChangeKind::Regressed,
        changes: changes.iter().filter(|change| change.kind == kind).map(row).collect(),
    });
    let page = Page {
        style: crate::STYLE,
        headline: counts(changes),
        hosts: [("before", before.host.summary()), ("after", after.host.summary())],
        host_changes: host_changes(&before.host, &after.host),
        kinds: kinds.filter(|kind| !kind.changes.is_empty()).collect(),
    };
    out.write_all(page.render().map_err(io::Error::other)?.as_bytes())
}

fn row(change: &Change<'_>) -> Row {
    Row {
        name: plain::one_line(change.name),
        claim: plain::one_line(change.claim),
        verdicts: verdicts(change),
        told: told(change),
    }
}
