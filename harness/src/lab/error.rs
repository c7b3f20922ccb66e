//! Why the lab cannot do what it was asked to: each completes "cannot …" and says the cure.

use std::io;
use std::path::{Path, PathBuf};

/// Why the lab cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// A kernel's name leads to no kernel.
    #[error("find the kernel `{spec}`: {why}")]
    NoKernel {
        /// The name as it was given.
        spec: String,
        /// What was looked at, and what to write instead.
        why: String,
    },
    /// The system's apt does not answer.
    #[error("ask apt about {what}: {why}")]
    Apt {
        /// A suite, or the system's own sources.
        what: String,
        /// What apt said, and what to do.
        why: String,
    },
    /// A package did not arrive.
    #[error("download {package}: {why}")]
    Download {
        /// The package's name and version.
        package: String,
        /// What went wrong, and what to do.
        why: String,
    },
    /// A package is not one, or not for this purpose.
    #[error("unpack {}: {why}", path.display())]
    Package {
        /// The package's file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        why: String,
    },
    /// A file is no kernel that can be booted here.
    #[error("boot {}: {why}", path.display())]
    Image {
        /// The image.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        why: String,
    },
    /// A module cannot be loaded into the kernel.
    #[error("load {module} into {kernel}: {why}")]
    Module {
        /// The module's name.
        module: String,
        /// The kernel's release.
        kernel: String,
        /// What is wrong with it, and what to do.
        why: String,
    },
    /// The files for an initramfs do not make one.
    #[error("make an initramfs: {0}")]
    Initramfs(String),
    /// The file system refuses.
    #[error("{act} {}: {}{}", path.display(), reports::reason(source), cure(source))]
    File {
        /// `read`, `write` and the like.
        act: &'static str,
        /// What could not be read or written.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl LabError {
    /// For `map_err`: an act on a path that the system refused.
    pub(super) fn file(act: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File { act, path: path.to_owned(), source }
    }
}

fn cure(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; make room there",
        io::ErrorKind::PermissionDenied => "; ask its owner for access, or be root",
        io::ErrorKind::ReadOnlyFilesystem => "; name a cache that can be written",
        _ => "",
    }
}
