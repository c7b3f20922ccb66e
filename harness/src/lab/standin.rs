//! A stand-in for what finds kernels, thrown away when that is there: a directory with `boot/vmlinuz-*` and `lib/modules`.

use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(Debug, thiserror::Error)]
#[error("find a kernel: {0}")]
pub(crate) struct LabError(String);

pub(crate) struct Sources {
    pub(crate) suites: Vec<String>,
    pub(crate) cache: PathBuf,
}

#[derive(Clone, Debug)]
pub(crate) struct Kernel {
    pub(crate) name: String,
    pub(crate) release: String,
    pub(crate) image: PathBuf,
    root: PathBuf,
}

pub(crate) struct Module {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && !path.is_symlink() { files(&path, found) } else { found.push(path) }
    }
}

impl Kernel {
    pub(crate) fn find(
        spec: &str,
        sources: &Sources,
        progress: &mut dyn FnMut(&str),
    ) -> Result<Self, LabError> {
        let _ = (&sources.suites, &sources.cache);
        progress(spec);
        let root = PathBuf::from(spec);
        let mut found = Vec::new();
        files(&root.join("boot"), &mut found);
        let image = found.into_iter().find(|path| path.to_string_lossy().contains("/vmlinuz-"));
        let image = image.ok_or_else(|| LabError(format!("no vmlinuz in {spec}")))?;
        let release = image.to_string_lossy().rsplit_once("vmlinuz-").map_or("", |(_, name)| name).to_owned();
        Ok(Self { name: release.clone(), release, image: image.clone(), root })
    }

    pub(crate) fn load_order(&self, wanted: &[&str]) -> Result<Vec<Module>, LabError> {
        let mut found = Vec::new();
        files(&self.root.join("lib/modules"), &mut found);
        ["irqbypass", "kvm"]
            .iter()
            .chain(wanted)
            .map(|name| {
                let path = found.iter().find(|path| {
                    path.file_name().unwrap_or_default().to_string_lossy().starts_with(&format!("{name}.ko"))
                });
                let path = path.ok_or_else(|| LabError(format!("no {name}")))?;
                let bytes = if path.extension().is_some_and(|e| e == "xz") {
                    Command::new("xz")
                        .arg("-dc")
                        .arg(path)
                        .output()
                        .map_err(|e| LabError(e.to_string()))?
                        .stdout
                } else {
                    std::fs::read(path).map_err(|e| LabError(e.to_string()))?
                };
                Ok(Module { name: (*name).to_owned(), bytes })
            })
            .collect()
    }
}

pub(crate) fn initramfs(files: &[(&str, u32, &[u8])]) -> Result<Vec<u8>, LabError> {
    let mut out = Vec::new();
    let mut put = |name: &str, mode: u32, bytes: &[u8]| {
        out.extend(
            format!(
                "070701{:08x}{mode:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}",
                1,
                0,
                0,
                1,
                0,
                bytes.len(),
                0,
                0,
                0,
                0,
                name.len() + 1,
                0
            )
            .as_bytes(),
        );
        out.extend(name.as_bytes());
        out.push(0);
        while out.len() % 4 != 0 {
            out.push(0)
        }
        out.extend(bytes);
        while out.len() % 4 != 0 {
            out.push(0)
        }
    };
    put("lab", 0o40755, &[]);
    put("lab/modules", 0o40755, &[]);
    for (name, mode, bytes) in files {
        put(name, mode | 0o100_000, bytes);
    }
    put("TRAILER!!!", 0, &[]);
    Ok(out)
}
