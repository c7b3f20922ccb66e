//! What a suite offers: kernels, each with the packages that it is made of, from apt's list of packages (deb-control(5)).
//!
//! Until 6.18 a kernel is one package, `linux-image-NAME`, signed or `-unsigned`. From 6.19 on that is a stub, and the kernel is in
//! `linux-binary-NAME` or `linux-binary-unsigned-NAME`, its modules in `linux-modules-NAME`, and the list of what is built in in
//! `linux-base-NAME`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::version::{begins, compare};

/// The flavour that is meant where a name has none: the smallest, made for virtual machines.
const FLAVOUR: &str = "-cloud-amd64";
/// Installed, a kernel needs more kibibytes than this; a stub or metapackage less.
const KERNEL_KIB: u64 = 1024;

/// A package in a suite.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) sha256: String,
    /// Of the file, in bytes.
    pub(super) size: u64,
}

/// A kernel in a suite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Offer {
    /// Its release: `6.12.117+deb12-cloud-amd64`.
    pub(super) release: String,
    /// The version of its packages: `6.12.117-1~deb12u1`.
    pub(super) version: String,
    /// What it is made of; empty where the suite has an image but no longer its modules.
    pub(super) packages: Vec<Package>,
}

impl Offer {
    /// Whether a person who writes this prefix may mean this kernel.
    pub(super) fn is_meant_by(&self, prefix: &str) -> bool {
        self.release == prefix
            || self.release.ends_with(FLAVOUR)
                && (begins(self.short(), prefix) || begins(&self.version, prefix))
    }

    /// The release without the flavour that is not worth a mention.
    pub(super) fn short(&self) -> &str {
        self.release.strip_suffix(FLAVOUR).unwrap_or(&self.release)
    }

    /// The first two numbers of the version: `6.12`.
    pub(super) fn series(&self) -> String {
        let numbers = self.version.split(|c: char| !c.is_ascii_digit()).take(2);
        numbers.collect::<Vec<_>>().join(".")
    }

    pub(super) fn is_complete(&self) -> bool {
        !self.packages.is_empty()
    }
}

/// The newest of kernels.
pub(super) fn newest<'a, T>(offers: impl Iterator<Item = (T, &'a Offer)>) -> Option<(T, &'a Offer)> {
    offers.reduce(|a, b| if compare(&b.1.version, &a.1.version).is_gt() { b } else { a })
}

/// Reads a list of packages.
pub(super) fn offers(list: &str) -> Vec<Offer> {
    let mut found: BTreeMap<String, Listed> = BTreeMap::new();
    for paragraph in list.split("\n\n") {
        let Some((package, kib)) = kernel_package(paragraph) else { continue };
        let (kind, name) = split(&package.name);
        let listed = found.entry(name.to_owned()).or_default();
        match kind {
            Kind::Image if kib > KERNEL_KIB => listed.image = Some(package),
            Kind::UnsignedImage if kib > KERNEL_KIB => listed.unsigned_image = Some(package),
            Kind::Binary => listed.binary = Some(package),
            Kind::UnsignedBinary => listed.unsigned_binary = Some(package),
            Kind::Modules if kib > KERNEL_KIB => listed.modules = Some(package),
            Kind::Base => listed.base = Some(package),
            _ => {}
        }
    }
    found.into_iter().filter_map(|(release, listed)| listed.offer(release)).collect()
}

enum Kind {
    Image,
    UnsignedImage,
    Binary,
    UnsignedBinary,
    Modules,
    Base,
    Other,
}

/// What kind of package a name says, and the kernel's release in it.
fn split(package: &str) -> (Kind, &str) {
    let found = if let Some(name) = package.strip_prefix("linux-image-") {
        match name.strip_suffix("-unsigned") {
            Some(name) => (Kind::UnsignedImage, name),
            None => (Kind::Image, name),
        }
    } else if let Some(name) = package.strip_prefix("linux-binary-unsigned-") {
        (Kind::UnsignedBinary, name)
    } else if let Some(name) = package.strip_prefix("linux-binary-") {
        (Kind::Binary, name)
    } else if let Some(name) = package.strip_prefix("linux-modules-") {
        (Kind::Modules, name)
    } else if let Some(name) = package.strip_prefix("linux-base-") {
        (Kind::Base, name)
    } else {
        (Kind::Other, package)
    };
    match found.1.starts_with(|c: char| c.is_ascii_digit()) && found.1.ends_with("-amd64") {
        true => found,
        false => (Kind::Other, package),
    }
}

/// The package that a paragraph is about, if it may be part of a kernel, and its size when it is installed.
fn kernel_package(paragraph: &str) -> Option<(Package, u64)> {
    let name = paragraph.trim_start().strip_prefix("Package: ")?.lines().next()?;
    if matches!(split(name).0, Kind::Other) {
        return None;
    }
    let mut package = Package { name: name.to_owned(), ..Package::default() };
    let mut kib = 0;
    for (field, value) in paragraph.lines().filter_map(|line| line.split_once(": ")) {
        match field {
            "Version" => package.version = value.to_owned(),
            "SHA256" => package.sha256 = value.to_ascii_lowercase(),
            "Size" => package.size = value.parse().ok()?,
            "Installed-Size" => kib = value.parse().ok()?,
            _ => {}
        }
    }
    // What apt cannot vouch for is not taken.
    (package.sha256.len() == 64 && !package.version.is_empty()).then_some((package, kib))
}

/// The packages with one kernel's release in their names.
#[derive(Default)]
struct Listed {
    image: Option<Package>,
    unsigned_image: Option<Package>,
    binary: Option<Package>,
    unsigned_binary: Option<Package>,
    modules: Option<Package>,
    base: Option<Package>,
}

impl Listed {
    /// What people run is signed; where that is not made yet, the same kernel without a signature.
    fn offer(self, release: String) -> Option<Offer> {
        if let Some(whole) = self.image.or(self.unsigned_image) {
            return Some(Offer { release, version: whole.version.clone(), packages: vec![whole] });
        }
        let modules = self.modules.as_ref();
        let fits = |binary: &Package| modules.is_some_and(|modules| modules.version == binary.version);
        let mut kernels = [self.binary, self.unsigned_binary].into_iter().flatten().collect::<Vec<_>>();
        let whole = kernels.iter().position(fits);
        let kernel = kernels.get(whole.unwrap_or(0))?;
        let version = kernel.version.clone();
        let packages = match (whole, self.modules) {
            (Some(at), Some(modules)) => {
                let base = self.base.filter(|base| base.version == version);
                [kernels.swap_remove(at), modules].into_iter().chain(base).collect()
            }
            _ => Vec::new(),
        };
        Some(Offer { release, version, packages })
    }
}

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;
