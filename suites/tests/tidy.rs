//! The house rules that a compiler cannot enforce: names, sizes, arrows, and what claims and expectations say.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use suites as _;

/// The most lines of a file.
const FILE: usize = 400;
/// The most lines of a function.
const FUNCTION: usize = 70;

/// Everything at the top of the tree, but for dotfiles and what a build makes.
const TOP: [&str; 9] =
    ["Cargo.lock", "Cargo.toml", "LICENSE", "README.md", "guests", "harness", "reports", "suites", "vmm"];

/// Which of our crates a crate may use.
const ARROWS: [(&str, &[&str]); 5] = [
    ("reports", &[]),
    ("guests", &[]),
    ("vmm", &[]),
    ("harness", &["guests", "reports"]),
    ("suites", &["guests", "harness", "reports", "vmm"]),
];

/// Crates that reach KVM, which a laptop without it must not need to read a run or to disassemble a payload.
const KVM_CRATES: [&str; 2] = ["kvm-ioctls", "kvm-bindings"];

#[test]
fn the_top_level_is_what_the_design_says() {
    let found: BTreeSet<_> = fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with('.') && name != "target")
        .collect();
    assert_eq!(found, TOP.iter().map(|&name| name.to_owned()).collect());
}

#[test]
fn crates_use_each_other_only_along_the_arrows() {
    for (name, allowed) in ARROWS {
        let used = dependencies(name);
        for (ours, _) in ARROWS {
            assert!(!used.contains(ours) || allowed.contains(&ours), "{name} must not use {ours}");
        }
        if ["reports", "guests"].contains(&name) {
            for kvm in KVM_CRATES {
                assert!(!used.contains(kvm), "{name} must not use {kvm}");
            }
        }
    }
}

#[test]
fn every_claim_has_a_sentence_of_its_own() {
    let mut seen = BTreeMap::new();
    for claim in harness::claims() {
        let name = claim.name();
        assert!(!claim.sentence.ends_with('.'), "{name}: a claim's sentence has no full stop");
        assert!(claim.sentence.len() > 10, "{name}: that is no sentence");
        if let Some(other) = seen.insert(claim.sentence.to_lowercase(), name.clone()) {
            panic!("{name} and {other} say the same: {}", claim.sentence);
        }
    }
    let names: BTreeSet<_> = harness::claims().iter().map(|claim| claim.name()).collect();
    assert_eq!(names.len(), harness::claims().len(), "two claims have the same name");
}

#[test]
fn every_source_says_something() {
    for claim in harness::claims() {
        for source in claim.source_texts() {
            assert!(source.len() > 8, "{}: a source must say where: {source}", claim.name());
        }
    }
}

#[test]
fn expectations_and_regressions_are_about_claims_that_exist() {
    let names: Vec<_> = harness::claims().iter().map(|claim| claim.name()).collect();
    let known = harness::shipped_expectations().unwrap();
    let unknown: Vec<_> = reports::unknown_claims(&known, names.iter().map(String::as_str))
        .iter()
        .map(|known| format!("{} (at {})", known.claim, known.at))
        .collect();
    assert!(unknown.is_empty(), "expectations about claims that do not exist: {unknown:?}");
    for regression in harness::shipped_regressions().unwrap() {
        assert!(names.contains(&regression.claim), "no claim {}", regression.claim);
    }
}

#[test]
fn no_file_has_a_name_that_says_nothing() {
    for path in sources() {
        for part in path.strip_prefix(root()).unwrap().iter() {
            let part = part.to_str().unwrap().trim_end_matches(".rs");
            let says_nothing =
                ["util", "utils", "common", "helper", "helpers", "misc", "imp"].contains(&part);
            assert!(!says_nothing, "{}: `{part}` says nothing", path.display());
        }
    }
}

#[test]
fn nothing_is_left_undone() {
    // In two parts, so that this file does not find itself.
    let marks =
        [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX"), concat!("unimpl", "emented!")];
    for path in sources() {
        for (number, line) in fs::read_to_string(&path).unwrap().lines().enumerate() {
            for mark in marks {
                assert!(!line.contains(mark), "{}:{}: {mark}", path.display(), number + 1);
            }
        }
    }
}

#[test]
fn files_and_functions_are_short_enough_to_read() {
    let mut long = Vec::new();
    for path in sources() {
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = text.lines().collect();
        if lines.len() > FILE {
            long.push(format!("{}: {} lines", path.display(), lines.len()));
        }
        for (start, length) in functions(&lines) {
            if length > FUNCTION {
                long.push(format!("{}:{}: a function of {length} lines", path.display(), start + 1));
            }
        }
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn module_files_hold_no_code_but_registries() {
    for path in sources() {
        let name = path.file_name().unwrap().to_str().unwrap();
        if name != "mod.rs" || path.components().any(|part| part.as_os_str() == "tests") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = text.lines().collect();
        let longest = functions(&lines).into_iter().map(|(_, length)| length).max().unwrap_or(0);
        assert!(longest <= 40, "{}: a mod.rs is for mod, use and slices", path.display());
    }
}

#[test]
fn functions_are_found_and_measured() {
    let text =
        ["impl A {", "    pub(crate) fn f() {", "        if x {", "        }", "    }", "}", "fn g() {}"];
    assert_eq!(functions(&text), [(1, 4)]);
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every file of Rust in our crates.
fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for (name, _) in ARROWS {
        collect(&root().join(name), &mut found);
    }
    assert!(found.len() > 20, "the sources are not where they are looked for");
    found
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The names of what a crate depends on outside of tests.
fn dependencies(name: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(root().join(name).join("Cargo.toml")).unwrap();
    let manifest: toml::Table = text.parse().unwrap();
    let tables = ["dependencies", "build-dependencies"]
        .map(|table| manifest.get(table).and_then(toml::Value::as_table));
    tables.into_iter().flatten().flat_map(|table| table.keys().cloned()).collect()
}

/// Where functions begin, and how many lines they have: from a line with `fn` to the brace that closes at the same depth.
fn functions(lines: &[&str]) -> Vec<(usize, usize)> {
    let depth = |line: &str| line.len() - line.trim_start().len();
    let is_start = |line: &str| {
        let line = line.trim_start();
        !line.starts_with("//") && line.split_whitespace().any(|word| word == "fn")
    };
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate().filter(|(_, line)| is_start(line) && !line.ends_with('}')) {
        let end = lines[start..]
            .iter()
            .position(|later| later.starts_with(&format!("{}}}", " ".repeat(depth(line)))));
        if let Some(end) = end {
            found.push((start, end + 1));
        }
    }
    found
}
