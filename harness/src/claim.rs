//! A claim: one falsifiable sentence, what it rests on, what it needs, and the function that tries it.

use std::fmt;

use crate::body::Body;
use crate::need::Need;

/// Every claim that is linked in.
#[linkme::distributed_slice]
pub static CLAIMS: [Claim];

/// One falsifiable sentence, and the function that tries it.
#[derive(Debug)]
pub struct Claim {
    /// The module that the claim stands in, as `module_path!` says it.
    pub module: &'static str,
    /// The function's name.
    pub function: &'static str,
    /// The sentence.
    pub sentence: &'static str,
    /// What the claim rests on.
    pub sources: &'static [Source],
    /// What a host must have for the claim to be tried, all of it.
    pub needs: &'static [Need],
    /// Makes the function that tries it.
    pub body: fn() -> Box<dyn Body>,
}

/// What a claim rests on.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    /// A section of `Documentation/virt/kvm/api.rst`, by number and heading.
    Api(&'static str),
    /// Another page of the kernel's documentation, and the heading in it.
    Doc(&'static str),
    /// A function of the kernel's source, with its file, where the documentation is silent.
    Code(&'static str),
    /// A commit of the kernel.
    Commit(&'static str),
    /// The commit that repaired what the claim tries.
    FixedBy(&'static str),
    /// A section of a processor's manual or of a data sheet.
    Manual(&'static str),
    /// Nothing promises it: it was seen, and says where.
    Observed(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Api(section) => write!(f, "api.rst {section}"),
            Self::Doc(page) => write!(f, "Documentation/{page}"),
            Self::Code(function) => write!(f, "source: {function}"),
            Self::Commit(commit) => write!(f, "commit {commit}"),
            Self::FixedBy(commit) => write!(f, "fixed by commit {commit}"),
            Self::Manual(section) => f.write_str(section),
            Self::Observed(seen) => write!(f, "observed: {seen}"),
        }
    }
}

impl Claim {
    /// The claim's name: its module without the crate, and its function.
    pub fn name(&self) -> String {
        match self.module.split_once("::") {
            Some((_, module)) => format!("{module}::{}", self.function),
            None => self.function.to_owned(),
        }
    }

    /// What it rests on, as text.
    pub fn source_texts(&self) -> Vec<String> {
        self.sources.iter().map(Source::to_string).collect()
    }

    /// How many times the clock of other claims it has.
    pub(crate) fn patience(&self) -> u32 {
        let factor =
            |need: &Need| if let Need::Time(factor) = need { Some((*factor).clamp(1, 8)) } else { None };
        self.needs.iter().find_map(factor).unwrap_or(1)
    }

    /// A claim that is not tried, for tests of what is done with claims.
    #[cfg(test)]
    pub(crate) const fn planted(module: &'static str, function: &'static str) -> Self {
        fn never() -> Box<dyn Body> {
            unreachable!("a planted claim is not tried")
        }
        Self { module, function, sentence: "it holds", sources: &[], needs: &[], body: never }
    }

    /// What it needs, as text.
    pub fn need_texts(&self) -> Vec<String> {
        self.needs.iter().map(Need::to_string).collect()
    }
}

/// Every claim that is linked in, sorted by name.
pub fn claims() -> Vec<&'static Claim> {
    let mut claims: Vec<_> = CLAIMS.iter().collect();
    claims.sort_by_cached_key(|claim| claim.name());
    claims
}

/// The claim of this name. Each trial begins with this, under emulators too, so that it puts no name together.
pub fn claim_named(name: &str) -> Option<&'static Claim> {
    let (module, function) = name.rsplit_once("::").unwrap_or(("", name));
    let within = |whole: &'static str| whole.split_once("::").map_or("", |(_, module)| module);
    CLAIMS.iter().find(|claim| claim.function == function && within(claim.module) == module)
}

/// Registers a claim: its function, its sentence, what it rests on, and what it needs.
///
/// ```ignore
/// claim!(api_version_is_twelve, "KVM_GET_API_VERSION answers 12", [Api("4.1 KVM_GET_API_VERSION")]);
/// claim!(pit2_needs_an_irqchip, "KVM_CREATE_PIT2 needs an in-kernel PIC", [Api("4.71 KVM_CREATE_PIT2")], Has(KVM_CAP_PIT2));
/// ```
#[macro_export]
macro_rules! claim {
    ($function:ident, $sentence:expr, [$($source:expr),+ $(,)?] $(, $need:expr)* $(,)?) => {
        const _: () = {
            #[allow(unused_imports, reason = "a claim names what it needs, and mostly nothing")]
            use $crate::{Need::*, Source::*};
            #[$crate::linkme::distributed_slice($crate::CLAIMS)]
            #[linkme(crate = $crate::linkme)]
            static CLAIM: $crate::Claim = $crate::Claim {
                module: module_path!(),
                function: stringify!($function),
                sentence: $sentence,
                sources: &[$($source),+],
                needs: &[$($need),*],
                body: || $crate::body($function),
            };
        };
    };
}
