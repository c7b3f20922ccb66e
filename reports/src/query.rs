//! The query language: which claims to try, or which entries of a run to show.
//!
//! Terms are separated by spaces and all must match; `-` or `not:` before a term turns it around.
//!
//! | term | matches |
//! |---|---|
//! | `vcpu/create`, `vcpu::create` | a path, or any part of a name |
//! | `vcpu/`, `vcpu::` | the names below that path alone |
//! | `refuses` | any part of a claim's sentence, whatever the case |
//! | `status:fail,hang` | entries with one of these verdicts |
//! | `is:different` | entries that differ between the runs compared |
//! | `is:observed` | claims that nothing but observation promises |
//! | `needs:nested` | claims with a need whose text has that in it |
//! | `source:4.5` | claims with a source whose text has that in it |

use crate::{Entry, Verdict, run};

/// Which claims or entries are meant. The empty query, which is the default, matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    terms: Vec<Term>,
}

/// What a query can ask about: a claim, and where there are results, what became of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts<'a> {
    /// The claim's name.
    pub name: &'a str,
    /// The claim's sentence.
    pub claim: &'a str,
    /// The text of each need.
    pub needs: &'a [String],
    /// The text of each source.
    pub source: &'a [String],
    /// What is said of the claim; none before it is tried.
    pub verdict: Option<Verdict>,
    /// Whether the runs that are compared differ here.
    pub different: bool,
}

/// Why a query cannot be understood; each completes "cannot …".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// There is no such kind of term.
    #[error(
        "understand `{0}`: the terms are status:, is:, needs:, source:, and plain text; a path is written a::b"
    )]
    Term(String),
    /// There is no such verdict.
    #[error("understand `status:{0}`: the verdicts are {names}", names = names())]
    Status(String),
    /// There is no such property.
    #[error("understand `is:{0}`: write is:different or is:observed")]
    Is(String),
    /// A term without its text.
    #[error("understand `{0}`: something must follow it")]
    Empty(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    negated: bool,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// The names below a path, which ends in `::`.
    Below(String),
    /// Part of a name, or of a sentence.
    Text {
        name: String,
        sentence: String,
    },
    Status(Vec<Verdict>),
    Different,
    Observed,
    Needs(String),
    Source(String),
}

impl Query {
    /// Understands `text`.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        let terms = text.split_whitespace().map(Term::parse).collect::<Result<_, _>>()?;
        Ok(Self { terms })
    }

    /// Whether every term matches.
    pub fn matches(&self, facts: &Facts<'_>) -> bool {
        self.terms.iter().all(|term| term.kind.matches(facts) != term.negated)
    }

    /// Whether the query asks about results, and so makes no sense before claims are tried.
    pub fn needs_results(&self) -> bool {
        self.terms.iter().any(|term| matches!(term.kind, Kind::Status(_) | Kind::Different))
    }
}

impl<'a> From<&'a Entry> for Facts<'a> {
    /// The facts of an entry. A run does not record needs; a skipped entry's reason names the one that was not met.
    fn from(entry: &'a Entry) -> Self {
        Self {
            name: &entry.name,
            claim: &entry.claim,
            needs: entry.why.as_slice(),
            source: &entry.source,
            verdict: Some(entry.verdict),
            different: false,
        }
    }
}

impl Term {
    fn parse(text: &str) -> Result<Self, QueryError> {
        let (negated, bare) = match text.strip_prefix("not:").or_else(|| text.strip_prefix('-')) {
            Some(bare) => (true, bare),
            None => (false, text),
        };
        match bare.is_empty() {
            true => Err(QueryError::Empty(text.to_owned())),
            false => Ok(Self { negated, kind: Kind::parse(bare)? }),
        }
    }
}

impl Kind {
    fn parse(text: &str) -> Result<Self, QueryError> {
        // The `::` of a path begins with a colon too.
        let keyed = text.split_once(':').filter(|(_, value)| !value.starts_with(':'));
        match keyed {
            None => Ok(Self::bare(text)),
            Some((_, "")) => Err(QueryError::Empty(text.to_owned())),
            Some(("status", value)) => {
                value.split(',').map(verdict).collect::<Result<_, _>>().map(Self::Status)
            }
            Some(("is", "different")) => Ok(Self::Different),
            Some(("is", "observed")) => Ok(Self::Observed),
            Some(("is", value)) => Err(QueryError::Is(value.to_owned())),
            Some(("needs", value)) => Ok(Self::Needs(value.to_lowercase())),
            Some(("source", value)) => Ok(Self::Source(value.to_lowercase())),
            Some(_) => Err(QueryError::Term(text.to_owned())),
        }
    }

    fn bare(text: &str) -> Self {
        let sentence = text.to_lowercase();
        let name = sentence.replace('/', "::");
        match name.ends_with("::") {
            true => Self::Below(name),
            false => Self::Text { name, sentence },
        }
    }

    fn matches(&self, facts: &Facts<'_>) -> bool {
        let any_has = |texts: &[String], part: &str| texts.iter().any(|text| has(text, part));
        match self {
            Self::Below(path) => facts.name.to_lowercase().starts_with(path.as_str()),
            Self::Text { name, sentence } => has(facts.name, name) || has(facts.claim, sentence),
            Self::Status(verdicts) => facts.verdict.is_some_and(|verdict| verdicts.contains(&verdict)),
            Self::Different => facts.different,
            Self::Observed => run::is_observed(facts.source),
            Self::Needs(part) => any_has(facts.needs, part),
            Self::Source(part) => any_has(facts.source, part),
        }
    }
}

/// Whether `part`, which is in lower case, occurs in `text` in any case.
fn has(text: &str, part: &str) -> bool {
    text.to_lowercase().contains(part)
}

fn verdict(name: &str) -> Result<Verdict, QueryError> {
    Verdict::from_name(&name.to_lowercase()).ok_or_else(|| QueryError::Status(name.to_owned()))
}

fn names() -> String {
    Verdict::ALL.map(Verdict::name).join(", ")
}
