//! What a person calls a kernel, and the kernel that it is.

use std::path::{Path, PathBuf};

use super::directory::{Found, in_directory, in_roots};
use super::modules::Modules;
use super::{LabError, debian, package};

/// A kernel that can be booted, and its modules.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// Its name as it was given.
    pub name: String,
    /// Its release, as `uname -r` says it.
    pub release: String,
    /// Its image: a vmlinuz or bzImage.
    pub image: PathBuf,
    pub(super) modules: Modules,
}

/// Where kernels come from.
#[derive(Clone, Debug)]
pub struct Sources {
    /// Suites of Debian to ask, beside those that the system's apt is configured with.
    pub suites: Vec<String>,
    /// Where packages and apt's lists of them are kept.
    pub cache: PathBuf,
}

/// The forms of a kernel's name, for messages.
const FORMS: &str = "write debian:6.12 (any prefix of a version), a .deb file or two with a comma between them, a directory \
                     with vmlinuz and lib/modules, a tree that a kernel was built in, or host";

impl Kernel {
    /// What its image says of itself: its release, who built it, and what `uname -v` says.
    pub fn version(&self) -> Result<String, LabError> {
        super::image::version(&self.image)
    }

    /// The kernel that a name leads to; `progress` hears what takes time.
    pub fn find(spec: &str, options: &Sources, progress: &dyn Fn(&str)) -> Result<Self, LabError> {
        let found = if spec == "host" {
            host()
        } else if let Some(prefix) = spec.strip_prefix("debian:") {
            in_roots(&debian::fetch(prefix, options, progress)?, None)
        } else if spec.ends_with(".deb") {
            packages(spec, &options.cache, progress)
        } else if Path::new(spec).is_dir() {
            in_directory(Path::new(spec))
        } else {
            let exists = match Path::new(spec).exists() {
                true => "it is neither a directory nor a package",
                false => "there is no such file or directory",
            };
            return Err(LabError::NoKernel { spec: spec.to_owned(), why: format!("{exists}; {FORMS}") });
        };
        let Found { release, image, modules } = found?;
        Ok(Self { name: spec.to_owned(), release, image, modules })
    }
}

fn host() -> Result<Found, LabError> {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    in_roots(&[PathBuf::from("/")], Some(&release)).map_err(|error| match error {
        LabError::Image { why, .. } => LabError::NoKernel {
            spec: "host".into(),
            why: format!(
                "this host runs {release}, and {why}; where it keeps its kernel elsewhere, name a directory with \
                 vmlinuz and lib/modules"
            ),
        },
        other => other,
    })
}

fn packages(spec: &str, cache: &Path, progress: &dyn Fn(&str)) -> Result<Found, LabError> {
    let roots: Result<Vec<_>, _> =
        spec.split(',').map(|deb| package::unpack(Path::new(deb), cache, progress)).collect();
    in_roots(&roots?, None).map_err(|error| match error {
        LabError::Image { why, .. } => LabError::NoKernel {
            spec: spec.to_owned(),
            why: format!(
                "{why} (from 6.19 on Debian has a kernel in linux-binary-… and its modules in linux-modules-…: name \
                 both, with a comma between them)"
            ),
        },
        other => other,
    })
}
