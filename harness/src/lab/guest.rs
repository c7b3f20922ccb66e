//! The kernel under trial once more, with the modules that a guest with virtio devices needs: for claims that boot it as a guest.

use std::fs;
use std::path::{Path, PathBuf};

use super::orders::{ORDERS, module_name};
use super::{Kernel, LabError};
use crate::{Need, claim_named};

/// Where it is in the initramfs of the lab.
const IMAGE: &str = "/lab/guest/vmlinuz";
const MODULES: &str = "/lab/guest/modules";
/// What a guest needs: virtio devices as our PC has them, in memory and on the PCI bus, and disks.
const WANTED: [&str; 3] = ["virtio_mmio", "virtio_pci", "virtio_blk"];

/// A kernel to boot as a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestKernel {
    /// Its image: a bzImage.
    pub image: PathBuf,
    /// Its modules, in the order in which they are loaded; what is built in is not among them.
    pub modules: Vec<PathBuf>,
}

impl GuestKernel {
    /// The kernel that the lab brought along, if this is the lab and the kernel has what a guest needs.
    pub fn find() -> Option<Self> {
        let image = PathBuf::from(IMAGE);
        // The processes that claims are tried in know the lab by its files alone.
        if !Path::new(ORDERS).exists() || !image.exists() {
            return None;
        }
        let files = fs::read_dir(MODULES).into_iter().flatten().flatten();
        let mut modules: Vec<_> = files.map(|file| file.path()).collect();
        modules.sort();
        Some(Self { image, modules })
    }
}

/// The files of the lab's initramfs that make a guest of this kernel: none if it lacks what a guest needs.
pub(super) fn files(kernel: &Kernel) -> Result<Vec<(String, u32, Vec<u8>)>, LabError> {
    let modules = match kernel.load_order(&WANTED) {
        Ok(modules) => modules,
        Err(LabError::Module { .. }) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let image = fs::read(&kernel.image).map_err(LabError::file("read", &kernel.image))?;
    let path = |path: &Path| path.display().to_string().trim_start_matches('/').to_owned();
    let mut files = vec![(path(Path::new(IMAGE)), 0o644, image)];
    for (index, module) in modules.into_iter().enumerate() {
        let name = format!("{index:02}-{}.ko", module_name(&module.name));
        files.push((path(&Path::new(MODULES).join(name)), 0o644, module.bytes));
    }
    Ok(files)
}

/// Whether one of these claims boots a guest: all that memory is taken for them alone.
pub(super) fn is_wanted(claims: &[String]) -> bool {
    let boots = |need: &Need| matches!(need, Need::GuestKernel);
    claims.iter().filter_map(|name| claim_named(name)).any(|claim| claim.needs.iter().any(boots))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::modules::Modules;

    #[test]
    fn a_kernel_without_virtio_brings_no_guest() {
        let image = PathBuf::from("/nowhere/vmlinuz");
        let kernel = Kernel { name: "k".into(), release: "1".into(), image, modules: Modules::default() };
        assert_eq!(files(&kernel).unwrap(), []);
    }

    #[test]
    fn only_claims_that_boot_a_guest_want_one() {
        assert!(!is_wanted(&["no::such_claim".to_owned()]));
    }
}
