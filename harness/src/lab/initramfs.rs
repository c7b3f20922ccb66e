//! The initramfs: a cpio archive in the "new" form, as `Documentation/driver-api/early-userspace/buffer-format.rst` wants it.
//!
//! It is not compressed: the kernel copies it several times faster than it can unpack the fastest of its formats under emulation.

use std::collections::BTreeSet;

use cpio::newc::{Builder, trailer};

use super::LabError;

const DIRECTORY: u32 = 0o040_000;
const CHARACTER: u32 = 0o020_000;
const REGULAR: u32 = 0o100_000;

/// An initramfs of these files: a path (with or without a slash before it), permissions, and bytes. A path that ends in a slash is
/// an empty directory.
///
/// The directories above them are made too, and `/dev/console`, which the kernel opens before it starts init.
pub fn initramfs(files: &[(&str, u32, &[u8])]) -> Result<Vec<u8>, LabError> {
    let room = files.iter().map(|(path, _, bytes)| bytes.len() + path.len() + 256).sum();
    let mut archive = Archive { bytes: Vec::with_capacity(room), entries: 0, made: BTreeSet::new() };
    archive.above("dev/console")?;
    let console = Builder::new("dev/console").mode(CHARACTER | 0o600).rdev_major(5).rdev_minor(1);
    archive.entry(console, "dev/console", b"")?;
    for &(path, mode, bytes) in files {
        let name = path.trim_start_matches('/');
        archive.above(name)?;
        if name.ends_with('/') {
            continue;
        }
        if !archive.made.insert(name.to_owned()) {
            return Err(LabError::Initramfs(format!("{name} is in it twice; name it once")));
        }
        archive.entry(Builder::new(name).mode(REGULAR | (mode & 0o7777)), name, bytes)?;
    }
    trailer(&mut archive.bytes).map_err(|error| LabError::Initramfs(error.to_string()))?;
    Ok(archive.bytes)
}

struct Archive {
    bytes: Vec<u8>,
    entries: u32,
    made: BTreeSet<String>,
}

impl Archive {
    /// Makes the directories above a path.
    fn above(&mut self, path: &str) -> Result<(), LabError> {
        for (slash, _) in path.match_indices('/') {
            let directory = &path[..slash];
            if self.made.insert(directory.to_owned()) {
                self.entry(Builder::new(directory).mode(DIRECTORY | 0o755).nlink(2), directory, b"")?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, entry: Builder, name: &str, bytes: &[u8]) -> Result<(), LabError> {
        let refused = |why: String| LabError::Initramfs(format!("{name}: {why}"));
        let size = u32::try_from(bytes.len())
            .map_err(|_| refused("it is larger than an archive can hold (4 GiB); leave it out".into()))?;
        self.entries += 1;
        // The kernel takes entries with one inode number for links of one file.
        let mut writer = entry.ino(self.entries).write(&mut self.bytes, size);
        std::io::Write::write_all(&mut writer, bytes)
            .and_then(|()| writer.finish().map(drop))
            .map_err(|error| refused(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn entries(mut archive: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
        let mut all = Vec::new();
        loop {
            let mut reader = cpio::newc::Reader::new(archive).unwrap();
            if reader.entry().is_trailer() {
                return all;
            }
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes).unwrap();
            all.push((reader.entry().name().to_owned(), reader.entry().mode(), bytes));
            archive = reader.finish().unwrap();
        }
    }

    #[test]
    fn files_have_the_directories_above_them_once() {
        let archive =
            initramfs(&[("/init", 0o755, b"run"), ("a/b/c", 0o644, b"c"), ("a/b/d", 0o600, b"")]).unwrap();
        let expected = [
            ("dev", 0o040_755, ""),
            ("dev/console", 0o020_600, ""),
            ("init", 0o100_755, "run"),
            ("a", 0o040_755, ""),
            ("a/b", 0o040_755, ""),
            ("a/b/c", 0o100_644, "c"),
            ("a/b/d", 0o100_600, ""),
        ];
        let expected = expected.map(|(name, mode, bytes)| (name.to_owned(), mode, bytes.as_bytes().to_vec()));
        assert_eq!(entries(&archive), expected);
    }

    #[test]
    fn a_path_with_a_slash_at_its_end_is_a_directory() {
        let archive = initramfs(&[("proc/", 0o755, b"")]).unwrap();
        assert_eq!(entries(&archive)[2], ("proc".to_owned(), 0o040_755, vec![]));
    }

    #[test]
    fn no_two_entries_share_an_inode_number() {
        let archive = initramfs(&[("a", 0o644, b""), ("b", 0o644, b"")]).unwrap();
        let mut rest = archive.as_slice();
        let mut seen = BTreeSet::new();
        loop {
            let reader = cpio::newc::Reader::new(rest).unwrap();
            if reader.entry().is_trailer() {
                break;
            }
            assert!(seen.insert(reader.entry().ino()));
            rest = reader.finish().unwrap();
        }
        assert_eq!(seen.len(), 4);
    }

    #[test]
    fn a_file_that_is_named_twice_is_refused() {
        assert!(initramfs(&[("init", 0o755, b""), ("/init", 0o755, b"")]).is_err());
    }
}
