//! Which claims a query names.

use reports::{Query, near};

use super::status::Complaint;
use crate::{Claim, claims};

/// Where to look for the claims that there are.
pub(super) const EVERYTHING: &str = "assay list shows what there is";

/// Reads a query that was typed as one or several arguments.
pub(super) fn parse(query: &[String]) -> Result<Query, Complaint> {
    Query::parse(&query.join(" ")).map_err(Complaint::unusable)
}

/// The claims that a query names; a complaint with the near names where it names none.
pub(super) fn select(query: &[String]) -> Result<Vec<&'static Claim>, Complaint> {
    let parsed = parse(query)?;
    if parsed.needs_results() {
        return Err(Complaint::Usage(
            "status: and is:different ask about a record, which a claim that was not tried has none of: give them to assay report or assay diff"
                .into(),
        ));
    }
    let all = claims();
    if all.is_empty() {
        return Err(Complaint::Nothing(
            "this program has no claims: link a crate that registers some".into(),
        ));
    }
    let selected: Vec<_> = all.iter().copied().filter(|claim| names(&parsed, claim)).collect();
    if selected.is_empty() {
        let names: Vec<_> = all.iter().map(|claim| claim.name()).collect();
        return Err(Complaint::Nothing(nothing(&query.join(" "), &names, EVERYTHING)));
    }
    Ok(selected)
}

/// The sentence for a query that names nothing: the names that are near, or where to look.
pub(super) fn nothing(query: &str, names: &[String], everything: &str) -> String {
    let near = near(query, names.iter().map(String::as_str));
    let cure = match near.as_slice() {
        [] => everything.to_owned(),
        [only] => format!("near it is {only}"),
        near => format!("near it are {}", near.join(", ")),
    };
    format!("no claim matches `{query}`: {cure}")
}

fn names(query: &Query, claim: &Claim) -> bool {
    query.matches(&reports::Facts {
        name: &claim.name(),
        claim: claim.sentence,
        needs: &claim.need_texts(),
        source: &claim.source_texts(),
        verdict: None,
        different: false,
    })
}
