//! Firmware and what it boots, as Debian packages them: for claims whose machine begins as a PC does.

use std::fs;
use std::path::{Path, PathBuf};

use super::{LabError, debian, lock};
use crate::{Claim, Need, claim_named};

/// SeaBIOS, and GRUB on a disc.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Firmware {
    /// The ROM.
    pub rom: PathBuf,
    /// The disc's image.
    pub disc: PathBuf,
}

/// A file, and where it comes from.
struct Source {
    package: &'static str,
    /// Where the package puts it.
    file: &'static str,
    /// Where it is in the lab.
    place: &'static str,
}

const ROM: Source =
    Source { package: "seabios", file: "/usr/share/seabios/bios-256k.bin", place: "/lab/firmware/rom.bin" };
const DISC: Source = Source {
    package: "grub-rescue-pc",
    file: "/usr/lib/grub-rescue/grub-rescue-cdrom.iso",
    place: "/lab/firmware/disc.iso",
};

impl Source {
    fn find(&self) -> Option<PathBuf> {
        [self.place, self.file].into_iter().map(PathBuf::from).find(|path| path.is_file())
    }

    /// Its contents: as this host has it, as it was fetched before, or through apt.
    fn fetch(&self, cache: &Path, progress: &dyn Fn(&str)) -> Result<Vec<u8>, LabError> {
        let kept = cache.join("firmware").join(self.package);
        for path in [Path::new(self.file), &kept] {
            if path.is_file() {
                return fs::read(path).map_err(LabError::file("read", path));
            }
        }
        let contents = debian::fetch_file(self.package, Path::new(self.file), cache, progress)?;
        let directory = kept.parent().unwrap_or(cache);
        fs::create_dir_all(directory).map_err(LabError::file("write", directory))?;
        let draft = kept.with_extension("draft");
        let written = fs::write(&draft, &contents).and_then(|()| fs::rename(&draft, &kept));
        written.map_err(LabError::file("write", &kept)).map(|()| contents)
    }
}

impl Firmware {
    /// What the lab brought along, or this host has installed.
    pub fn find() -> Option<Self> {
        Some(Self { rom: ROM.find()?, disc: DISC.find()? })
    }
}

/// Whether one of these claims begins with firmware.
pub(super) fn is_wanted(claims: &[String]) -> bool {
    claims.iter().filter_map(|name| claim_named(name)).any(wants)
}

fn wants(claim: &Claim) -> bool {
    claim.needs.iter().any(|need| matches!(need, Need::Firmware))
}

/// The files of the lab's initramfs that these claims want: none if they want none.
pub(crate) fn files(
    claims: &[&'static Claim],
    cache: &Path,
    progress: &dyn Fn(&str),
) -> Result<Vec<(String, u32, Vec<u8>)>, LabError> {
    if !claims.iter().any(|claim| wants(claim)) {
        return Ok(Vec::new());
    }
    // Of several kernels that are tried at once, the first fetches it for all.
    let _lock = lock::exclusive(&cache.join("firmware/lock"))?;
    let file = |source: &Source| {
        let place = source.place.trim_start_matches('/').to_owned();
        Ok((place, 0o644, source.fetch(cache, progress)?))
    };
    [ROM, DISC].iter().map(file).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_claims_that_want_firmware_bring_it() {
        assert_eq!(files(&[], Path::new("/nowhere"), &|_| {}).unwrap(), []);
        assert!(!is_wanted(&["no::such_claim".to_owned()]));
    }

    #[test]
    fn what_was_fetched_before_is_taken() {
        let cache = tempfile::tempdir().unwrap();
        fs::create_dir(cache.path().join("firmware")).unwrap();
        fs::write(cache.path().join("firmware/none-such"), b"rom").unwrap();
        let source = Source { package: "none-such", file: "/nowhere/rom", place: "/nowhere" };
        assert_eq!(source.fetch(cache.path(), &|_| {}).unwrap(), b"rom");
        assert_eq!(source.find(), None);
    }
}
