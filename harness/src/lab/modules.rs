//! Kernel modules: which file holds which, what each depends on (`.modinfo`, as `modpost` writes it), and in what order they load.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use object::LittleEndian;
use object::elf::{EM_X86_64, ET_REL, FileHeader64};
use object::read::elf::{FileHeader, SectionHeader};

use super::compression::plain;
use super::strip::strip;
use super::{Kernel, LabError};

/// A module, ready to be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Its name as the kernel writes it in `/proc/modules`: `kvm_amd`.
    pub name: String,
    /// The file for `init_module`: decompressed, and without what loading does not need.
    pub bytes: Vec<u8>,
}

/// A kernel's modules.
#[derive(Clone, Debug, Default)]
pub(super) struct Modules {
    files: BTreeMap<String, PathBuf>,
    builtin: BTreeSet<String>,
}

impl Kernel {
    /// The modules that are wanted and those they depend on, each after what it depends on; what is built in is left out.
    ///
    /// Names may be written with `-` or `_`.
    pub fn load_order(&self, wanted: &[&str]) -> Result<Vec<Module>, LabError> {
        let mut order = Order { kernel: self, seen: BTreeSet::new(), modules: Vec::new() };
        for name in wanted {
            order.visit(name, None)?;
        }
        Ok(order.modules)
    }
}

impl Modules {
    /// Every module below a directory, and what `modules.builtin` in it lists.
    pub(super) fn below(directory: &Path) -> Result<Self, LabError> {
        let mut modules = Self::default();
        modules.collect(directory)?;
        let list = directory.join("modules.builtin");
        if list.exists() {
            let text = fs::read_to_string(&list).map_err(LabError::file("read", &list))?;
            modules.builtin = text.lines().filter_map(name_of).collect();
        }
        Ok(modules)
    }

    /// Adds the modules of another directory.
    pub(super) fn extend(&mut self, other: Self) {
        self.files.extend(other.files);
        self.builtin.extend(other.builtin);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty() && self.builtin.is_empty()
    }

    fn collect(&mut self, directory: &Path) -> Result<(), LabError> {
        let entries = fs::read_dir(directory).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let mut entries = entries.map_err(LabError::file("read", directory))?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            // `build` and `source` in an installed tree are links, which this does not follow.
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                self.collect(&path)?;
            } else if let Some(name) = entry.file_name().to_str().and_then(name_of) {
                // As depmod(8) does: what is in `updates` replaces what came with the kernel.
                if !self.files.contains_key(&name) || path.iter().any(|part| part == "updates") {
                    self.files.insert(name, path);
                }
            }
        }
        Ok(())
    }
}

/// The name of the module that a file holds, by the file's name or path.
pub(super) fn name_of(file: &str) -> Option<String> {
    let name = file.rsplit('/').next()?;
    let stem =
        ["", ".xz", ".zst", ".gz"].iter().find_map(|end| name.strip_suffix(end)?.strip_suffix(".ko"))?;
    (!stem.is_empty()).then(|| stem.replace('-', "_"))
}

struct Order<'a> {
    kernel: &'a Kernel,
    seen: BTreeSet<String>,
    modules: Vec<Module>,
}

impl Order<'_> {
    fn visit(&mut self, name: &str, asked_by: Option<&str>) -> Result<(), LabError> {
        let name = name.replace('-', "_");
        if self.kernel.modules.builtin.contains(&name) || !self.seen.insert(name.clone()) {
            return Ok(());
        }
        let refused =
            |why: String| LabError::Module { module: name.clone(), kernel: self.kernel.release.clone(), why };
        let Some(path) = self.kernel.modules.files.get(&name) else {
            let asked = asked_by.map(|by| format!(", which {by} depends on")).unwrap_or_default();
            let built_in = match self.kernel.modules.builtin.is_empty() {
                true => " (its modules.builtin is not there; from Debian's 6.19 on it is in linux-base-…)",
                false => "",
            };
            return Err(refused(format!(
                "it has no such module{asked}, neither as a file nor built in{built_in}; take a kernel that is built with it"
            )));
        };
        let bytes = read(path)?;
        let info = ModInfo::parse(&bytes).map_err(|why| refused(format!("{}: {why}", path.display())))?;
        if info.built_for.as_ref().is_some_and(|release| *release != self.kernel.release) {
            return Err(refused(format!(
                "{} is built for {}; name a kernel and modules of one build",
                path.display(),
                info.built_for.unwrap_or_default()
            )));
        }
        for dependency in &info.depends {
            self.visit(dependency, Some(&name))?;
        }
        for dependency in info.soft.iter().filter(|name| self.kernel.modules.files.contains_key(*name)) {
            self.visit(dependency, Some(&name))?;
        }
        self.modules.push(Module { name, bytes: strip(&bytes).unwrap_or(bytes) });
        Ok(())
    }
}

fn read(path: &Path) -> Result<Vec<u8>, LabError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| plain(BufReader::new(file))?.read_to_end(&mut bytes))
        .map_err(LabError::file("read", path))?;
    Ok(bytes)
}

/// What a module says of itself.
#[derive(Debug, Default, PartialEq, Eq)]
struct ModInfo {
    depends: Vec<String>,
    /// What should be loaded before it, if it is there: `softdep=pre: …`.
    soft: Vec<String>,
    built_for: Option<String>,
}

impl ModInfo {
    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let damaged =
            |error: object::read::Error| format!("it is no module ({error}); build or fetch it again");
        let header = FileHeader64::<LittleEndian>::parse(bytes).map_err(damaged)?;
        let e = LittleEndian;
        if header.e_machine.get(e) != EM_X86_64 || header.e_type.get(e) != ET_REL {
            return Err("it is no module for x86-64; name a kernel for x86-64".into());
        }
        let sections = header.sections(e, bytes).map_err(damaged)?;
        let Some((_, section)) = sections.section_by_name(e, b".modinfo") else {
            return Err("it has no .modinfo; build or fetch it again".into());
        };
        let data = section.data(e, bytes).map_err(damaged)?;
        Ok(Self::of_lines(data.split(|&byte| byte == 0).filter_map(|line| std::str::from_utf8(line).ok())))
    }

    fn of_lines<'a>(lines: impl Iterator<Item = &'a str>) -> Self {
        let mut info = Self::default();
        for (key, value) in lines.filter_map(|line| line.split_once('=')) {
            match key {
                "depends" => {
                    info.depends.extend(value.split(',').filter(|name| !name.is_empty()).map(str::to_owned));
                }
                "softdep" => {
                    // `pre: a b post: c`: only what comes before.
                    let before = value.split("post:").next().and_then(|text| text.split_once("pre:"));
                    let names = before.map_or("", |(_, names)| names).split_whitespace();
                    info.soft.extend(names.map(|name| name.replace('-', "_")));
                }
                "vermagic" => info.built_for = value.split_whitespace().next().map(str::to_owned),
                _ => {}
            }
        }
        info
    }
}

#[cfg(test)]
#[path = "modules_tests.rs"]
mod tests;
