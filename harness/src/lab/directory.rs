//! Kernels in directories: one laid out as a distribution or a package does, the host's own, and a tree that a kernel was built in.

use std::cmp::Ordering;
use std::fs;
use std::path::{Path, PathBuf};

use super::debian::compare_versions;
use super::modules::Modules;
use super::{LabError, image};

/// What is found in a directory.
pub(super) struct Found {
    pub(super) release: String,
    pub(super) image: PathBuf,
    pub(super) modules: Modules,
}

/// Where a build leaves the image.
const BUILT: &str = "arch/x86/boot/bzImage";

/// The kernel in a directory that a person named; the error is why there is none.
pub(super) fn in_directory(directory: &Path) -> Result<Found, LabError> {
    let built = directory.join(BUILT);
    if built.is_file() {
        return in_build_tree(directory, built);
    }
    if directory.join("Kbuild").is_file() && directory.join("arch/x86").is_dir() {
        let why = "no kernel is built in this tree; build bzImage and modules first".to_owned();
        return Err(LabError::Image { path: directory.to_owned(), why });
    }
    in_roots(&[directory.to_owned()], None)
}

fn in_build_tree(tree: &Path, image: PathBuf) -> Result<Found, LabError> {
    let release = image::release(&image)?;
    let modules = Modules::below(tree)?;
    if modules.is_empty() {
        let why = "no modules are built in this tree; build them too (make modules)".to_owned();
        return Err(LabError::Image { path: tree.to_owned(), why });
    }
    Ok(Found { release, image, modules })
}

/// The newest kernel with modules in directories that are taken together, or the one of a release.
pub(super) fn in_roots(roots: &[PathBuf], only: Option<&str>) -> Result<Found, LabError> {
    let mut images = Vec::new();
    let mut refused = None;
    for path in roots.iter().flat_map(|root| image_paths(root)) {
        match image::release(&path) {
            Ok(release) if only.is_none_or(|only| only == release) => images.push((release, path)),
            Ok(_) => {}
            Err(error) => refused = Some(error),
        }
    }
    images.sort_by(|(a, _), (b, _)| compare_versions(b, a));
    let Some((newest, first)) = images.first().cloned() else {
        return Err(refused.unwrap_or_else(|| LabError::Image {
            path: roots.first().cloned().unwrap_or_default(),
            why:
                "there is no kernel in it; it needs vmlinuz or boot/vmlinuz-RELEASE, and lib/modules/RELEASE"
                    .into(),
        }));
    };
    for (release, image) in images {
        let modules = modules_of(roots, &release)?;
        if !modules.is_empty() {
            return Ok(Found { release, image, modules });
        }
    }
    let mut others: Vec<_> = roots.iter().flat_map(|root| releases(root)).collect();
    others.retain(|release| modules_of(roots, release).is_ok_and(|modules| !modules.is_empty()));
    let others = match others.is_empty() {
        true => "no modules at all".to_owned(),
        false => format!("only those of {}", others.join(", ")),
    };
    let why = format!("its modules, lib/modules/{newest}, are missing: there are {others}; add them");
    Err(LabError::Image { path: first, why })
}

/// The modules of a release in all roots together.
fn modules_of(roots: &[PathBuf], release: &str) -> Result<Modules, LabError> {
    let mut modules = Modules::default();
    for directory in roots.iter().flat_map(|root| modules_paths(root, release)) {
        modules.extend(Modules::below(&directory)?);
    }
    Ok(modules)
}

/// Where an image may be below a root.
fn image_paths(root: &Path) -> Vec<PathBuf> {
    let mut paths = vec![root.join("vmlinuz"), root.join("bzImage")];
    let boot = fs::read_dir(root.join("boot")).into_iter().flatten().flatten();
    paths.extend(
        boot.filter(|entry| entry.file_name().to_string_lossy().starts_with("vmlinuz-"))
            .map(|entry| entry.path()),
    );
    for release in releases(root) {
        paths.extend(modules_paths(root, &release).into_iter().map(|modules| modules.join("vmlinuz")));
    }
    paths.retain(|path| path.is_file());
    paths
}

/// The releases that have a directory of modules below a root.
fn releases(root: &Path) -> Vec<String> {
    let mut found: Vec<String> = ["lib/modules", "usr/lib/modules"]
        .iter()
        .flat_map(|place| fs::read_dir(root.join(place)).into_iter().flatten().flatten())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    found.sort_by(|a, b| match compare_versions(a, b) {
        Ordering::Equal => a.cmp(b),
        order => order,
    });
    found.dedup();
    found
}

fn modules_paths(root: &Path, release: &str) -> Vec<PathBuf> {
    let mut paths: Vec<_> =
        ["lib/modules", "usr/lib/modules"].iter().map(|place| root.join(place).join(release)).collect();
    paths.retain(|path| path.is_dir());
    paths
}

#[cfg(test)]
#[path = "directory_tests.rs"]
mod tests;
