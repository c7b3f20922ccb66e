//! Known deviations: the expectations that say where a claim is broken, how exactly, and why nobody is to be alarmed.
//!
//! ```toml
//! [[known]]
//! host = { module = "kvm_pvm", kernel = ">=6.1, <6.13", emulated = true }
//! verdict = "fail"
//! why = "the list is copied before its length is looked at"
//! link = "api.rst 4.3"
//!
//! [known.seen]
//! "system::msr_list::one_less_is_e2big" = "EINVAL"
//! "system::msr_list::none_is_e2big" = "EINVAL"
//! ```
//!
//! One deviation of a host may break several claims: each is named in `seen`, with what it sees. `sometimes = true` is for what
//! depends on the moment, so that the claims may as well hold.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::{Host, KernelRange, KernelRangeError, Verdict};

/// An expectation: a claim that is broken, on which hosts, and how exactly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// The claim's name.
    pub claim: String,
    /// The hosts on which it is broken.
    pub host: HostMatch,
    /// How it is broken: Fail, Crash or Hang.
    pub verdict: Verdict,
    /// What is seen there. Any other answer is still a Fail.
    pub seen: String,
    /// Why it is so.
    pub why: String,
    /// What says so: a heading of a document, a commit, an address or a path.
    pub link: String,
    /// Whether it depends on the moment, so that the claim may as well hold there.
    pub sometimes: bool,
    /// Where the expectation is written, as `file:line`.
    pub at: String,
}

/// Which hosts an expectation is for; what is absent is not asked about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostMatch {
    /// The module that backs KVM.
    pub module: Option<String>,
    /// The kernel's version.
    pub kernel: Option<KernelRange>,
    /// Whether guests are emulated.
    pub emulated: Option<bool>,
    /// Part of the processor's vendor or model, in any case.
    pub cpu: Option<String>,
    /// Part of the name and version of what emulates the machine, in any case.
    pub emulator: Option<String>,
    /// Parameters of modules and their values, named as on the kernel's command line: `kvm_intel.ept`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
}

/// Why a file of expectations cannot be read; each completes "cannot …".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KnownError {
    /// The file is not TOML, or not of this shape.
    #[error(
        "read {at}: {reason}; write [[known]] with host, verdict, why, link and a table seen of claims and values, \
         and in host any of module, kernel, emulated, cpu, emulator and parameters"
    )]
    Shape {
        /// The file and line.
        at: String,
        /// What is wrong there.
        reason: String,
    },
    /// A field says nothing.
    #[error("read {at}: {field} is empty; write {cure}")]
    Empty {
        /// The file and line.
        at: String,
        /// The field.
        field: &'static str,
        /// What belongs there.
        cure: &'static str,
    },
    /// A verdict that cannot be expected.
    #[error("read {at}: verdict is `{verdict}`; write fail, crash or hang")]
    Verdict {
        /// The file and line.
        at: String,
        /// What is written there.
        verdict: String,
    },
    /// A parameter without its module.
    #[error("read {at}: `{name}` names no module's parameter; write it as in kvm_intel.ept")]
    Parameter {
        /// The file and line.
        at: String,
        /// What is written there.
        name: String,
    },
    /// A kernel range that is none.
    #[error("read {at}: cannot {source}")]
    Kernel {
        /// The file and line.
        at: String,
        /// What is wrong with it.
        source: KernelRangeError,
    },
}

impl HostMatch {
    /// Whether `host` is one of those meant.
    pub fn matches(&self, host: &Host) -> bool {
        let contains = |text: &str, part: &str| text.to_lowercase().contains(&part.to_lowercase());
        let is_cpu = |cpu: &str| contains(&host.cpu.vendor, cpu) || contains(&host.cpu.model, cpu);
        let has = |(parameter, value): (&String, &String)| {
            let (module, name) = parameter.split_once('.').unwrap_or_default();
            host.parameters.get(module).and_then(|module| module.get(name)) == Some(value)
        };
        self.module.as_ref().is_none_or(|module| host.module.as_ref() == Some(module))
            && self.kernel.as_ref().is_none_or(|kernel| kernel.contains(&host.release))
            && self.emulated.is_none_or(|emulated| host.emulated == emulated)
            && self.cpu.as_deref().is_none_or(is_cpu)
            && self
                .emulator
                .as_deref()
                .is_none_or(|emulator| host.emulator.as_deref().is_some_and(|name| contains(name, emulator)))
            && self.parameters.iter().all(has)
    }
}

impl Known {
    /// The expectations in `text`, the content of the file `file_name`.
    pub fn parse(file_name: &str, text: &str) -> Result<Vec<Self>, KnownError> {
        let source = Source { file_name, text };
        let written: Written = toml::from_str(text).map_err(|error| KnownError::Shape {
            at: source.at(error.span().unwrap_or_default()),
            reason: error.message().to_owned(),
        })?;
        let known: Result<Vec<_>, _> = written.known.into_iter().map(|known| source.known(known)).collect();
        Ok(known?.into_iter().flatten().collect())
    }
}

/// The expectations of claims that are in none of `names`: a claim was renamed, or its name mistyped.
pub fn unknown_claims<'k, 'n>(
    known: &'k [Known],
    names: impl IntoIterator<Item = &'n str>,
) -> Vec<&'k Known> {
    let names: BTreeSet<_> = names.into_iter().collect();
    known.iter().filter(|known| !names.contains(known.claim.as_str())).collect()
}

/// A file of expectations as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    known: Vec<Spanned<WrittenKnown>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenKnown {
    host: WrittenHost,
    verdict: Spanned<String>,
    seen: Spanned<BTreeMap<Spanned<String>, Spanned<String>>>,
    why: Spanned<String>,
    link: Spanned<String>,
    #[serde(default)]
    sometimes: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenHost {
    module: Option<Spanned<String>>,
    kernel: Option<Spanned<String>>,
    emulated: Option<bool>,
    cpu: Option<Spanned<String>>,
    emulator: Option<Spanned<String>>,
    #[serde(default)]
    parameters: BTreeMap<Spanned<String>, String>,
}

/// The text of a file, to say where in it something is wrong.
struct Source<'a> {
    file_name: &'a str,
    text: &'a str,
}

impl Source<'_> {
    fn at(&self, span: Range<usize>) -> String {
        let before = self.text.as_bytes().get(..span.start).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("{}:{line}", self.file_name)
    }

    /// What is expected of each claim that the entry names.
    fn known(&self, written: Spanned<WrittenKnown>) -> Result<Vec<Known>, KnownError> {
        let at = self.at(written.span());
        let written = written.into_inner();
        let common = Known {
            claim: String::new(),
            host: self.host(written.host)?,
            verdict: self.verdict(written.verdict)?,
            seen: String::new(),
            why: self.text(written.why, "why", "why the claims are broken there, in one sentence")?,
            link: self.text(written.link, "link", "the heading, commit, address or path that says so")?,
            sometimes: written.sometimes,
            at,
        };
        let seen_at = self.at(written.seen.span());
        let seen = written.seen.into_inner();
        if seen.is_empty() {
            let cure = "\"a claim's name\" = \"the value that it sees\" below [known.seen]";
            return Err(KnownError::Empty { at: seen_at, field: "seen", cure });
        }
        let each = seen.into_iter().map(|(claim, seen)| {
            Ok(Known {
                at: self.at(claim.span()),
                claim: self.text(claim, "a claim in seen", "its name, as `assay list` shows it")?,
                seen: self.text(seen, "what is seen", "the value, so that any other is still a failure")?,
                ..common.clone()
            })
        });
        each.collect()
    }

    fn host(&self, host: WrittenHost) -> Result<HostMatch, KnownError> {
        let kernel = host.kernel.map(|kernel| {
            let at = self.at(kernel.span());
            KernelRange::parse(kernel.get_ref()).map_err(|source| KnownError::Kernel { at, source })
        });
        let part = |written: Option<Spanned<String>>, field, cure| {
            written.map(|written| self.text(written, field, cure)).transpose()
        };
        Ok(HostMatch {
            module: part(host.module, "module", "the name of a module such as kvm_amd, or leave it out")?,
            kernel: kernel.transpose()?,
            emulated: host.emulated,
            cpu: part(host.cpu, "cpu", "part of the processor's vendor or model, or leave it out")?,
            emulator: part(
                host.emulator,
                "emulator",
                "part of the emulator's name, such as Bochs, or leave it out",
            )?,
            parameters: self.parameters(host.parameters)?,
        })
    }

    fn parameters(
        &self,
        written: BTreeMap<Spanned<String>, String>,
    ) -> Result<BTreeMap<String, String>, KnownError> {
        let each = written.into_iter().map(|(name, value)| match name.get_ref().split_once('.') {
            Some((module, parameter)) if !module.is_empty() && !parameter.is_empty() => {
                Ok((name.into_inner(), value))
            }
            _ => Err(KnownError::Parameter { at: self.at(name.span()), name: name.into_inner() }),
        });
        each.collect()
    }

    fn verdict(&self, written: Spanned<String>) -> Result<Verdict, KnownError> {
        let verdict = Verdict::from_name(written.get_ref());
        verdict
            .filter(|verdict| matches!(verdict, Verdict::Fail | Verdict::Crash | Verdict::Hang))
            .ok_or_else(|| KnownError::Verdict { at: self.at(written.span()), verdict: written.into_inner() })
    }

    fn text(
        &self,
        written: Spanned<String>,
        field: &'static str,
        cure: &'static str,
    ) -> Result<String, KnownError> {
        match written.get_ref().trim().is_empty() {
            true => Err(KnownError::Empty { at: self.at(written.span()), field, cure }),
            false => Ok(written.into_inner()),
        }
    }
}
