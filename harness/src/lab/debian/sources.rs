//! The mirrors that the system's apt is configured with (sources.list(5)), in both of their forms.
//!
//! An entry is kept whole but for its suites, so that the keys and options that its owner gave it hold for other suites too.

use std::fs;
use std::path::{Path, PathBuf};

use crate::lab::LabError;

/// The names of Debian's releases that have kernels in an archive today, and the names that move with them.
const RELEASES: [&str; 14] = [
    "buster",
    "bullseye",
    "bookworm",
    "trixie",
    "forky",
    "duke",
    "sid",
    "experimental",
    "stable",
    "oldstable",
    "oldoldstable",
    "testing",
    "unstable",
    "rc-buggy",
];

/// An entry: fields in the deb822 form, without the types, suites, components and architectures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    suites: Vec<String>,
    fields: Vec<(String, String)>,
}

/// Every entry about binary packages of Debian's releases, in a list of sources and a directory of such lists.
pub(super) fn entries(list: &Path, directory: &Path) -> Result<Vec<Entry>, LabError> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths.insert(0, list.to_owned());
    let mut found = Vec::new();
    for path in paths.iter().filter(|path| path.is_file()) {
        let read = || fs::read_to_string(path).map_err(LabError::file("read", path));
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("sources") => found.extend(deb822(&read()?)),
            Some("list") => found.extend(read()?.lines().filter_map(one_line)),
            _ => {}
        }
    }
    found.retain(|entry| entry.suites.iter().any(|suite| is_debian(suite)));
    Ok(found)
}

/// The entry with which a suite can be asked for: security updates have a mirror of their own.
pub(super) fn entry_for<'a>(entries: &'a [Entry], suite: &str) -> Option<&'a Entry> {
    let holds = |entry: &&Entry| entry.suites.iter().any(|own| own == suite);
    let same_kind = |entry: &&Entry| entry.suites.iter().any(|own| is_security(own) == is_security(suite));
    entries.iter().find(holds).or_else(|| entries.iter().find(same_kind))
}

/// The suites of Debian that the system itself uses.
pub(super) fn suites(entries: &[Entry]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for suite in entries.iter().flat_map(|entry| &entry.suites) {
        if is_debian(suite) && !all.contains(suite) {
            all.push(suite.clone());
        }
    }
    all
}

fn is_debian(suite: &str) -> bool {
    let release = suite.split(['-', '/']).next().unwrap_or(suite);
    // "rc-buggy" is the one name with a dash of its own.
    RELEASES.contains(&release) || RELEASES.contains(&suite)
}

fn is_security(suite: &str) -> bool {
    suite.ends_with("-security") || suite.ends_with("/updates")
}

impl Entry {
    /// The text of a `.sources` file with this mirror and another suite.
    pub(super) fn with_suite(&self, suite: &str) -> String {
        let mut text = format!("Types: deb\nSuites: {suite}\nComponents: main\nArchitectures: amd64\n");
        for (name, value) in &self.fields {
            text.push_str(&format!("{name}:{value}\n"));
        }
        text
    }
}

/// Paragraphs of fields, each of which may go on in lines that begin with a space.
fn deb822(text: &str) -> Vec<Entry> {
    let mut found = Vec::new();
    let mut paragraph: Vec<(String, String)> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')).chain([""]) {
        if line.trim().is_empty() {
            found.extend(entry(std::mem::take(&mut paragraph)));
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = paragraph.last_mut() {
                value.push('\n');
                value.push_str(line);
            }
        } else if let Some((name, value)) = line.split_once(':') {
            // The value may begin in the next line, as keys do.
            paragraph.push((name.trim().to_owned(), value.trim_end().to_owned()));
        }
    }
    found
}

fn entry(fields: Vec<(String, String)>) -> Option<Entry> {
    let value = |wanted: &str| {
        let field = fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        field.map_or("", |(_, value)| value.as_str())
    };
    let off = ["no", "false", "0", "off", "without", "disable"];
    if off.contains(&value("Enabled").trim()) || !value("Types").split_whitespace().any(|kind| kind == "deb")
    {
        return None;
    }
    let suites = value("Suites").split_whitespace().map(str::to_owned).collect();
    let kept = |name: &str| {
        let ours = ["Types", "Suites", "Components", "Architectures", "Enabled", "Languages", "Targets"];
        !ours.iter().any(|other| name.eq_ignore_ascii_case(other)) && !name.starts_with("X-")
    };
    Some(Entry { suites, fields: fields.into_iter().filter(|(name, _)| kept(name)).collect() })
}

/// `deb [option=value …] URI suite component…`
fn one_line(line: &str) -> Option<Entry> {
    let rest = line.split('#').next()?.trim().strip_prefix("deb")?;
    let rest = rest.starts_with(char::is_whitespace).then(|| rest.trim_start())?;
    let (options, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => ("", rest),
    };
    let mut words = rest.split_whitespace();
    let (uri, suite) = (words.next()?, words.next()?);
    let mut fields = vec![("URIs".to_owned(), format!(" {uri}"))];
    for (name, value) in options.split_whitespace().filter_map(|option| option.split_once('=')) {
        if !["arch", "lang", "target"].contains(&name.trim_end_matches(['+', '-'])) {
            fields.push((name.to_owned(), format!(" {}", value.replace(',', " "))));
        }
    }
    Some(Entry { suites: vec![suite.to_owned()], fields })
}

#[cfg(test)]
#[path = "sources_tests.rs"]
mod tests;
