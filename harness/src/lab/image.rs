//! The kernel's image as boot loaders see it: a bzImage, whose header is described in `Documentation/arch/x86/boot.rst`.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::LabError;

/// As far as the text of the version may lie: a 16-bit offset from the second sector, and a line.
const HEAD: u64 = 0x200 + 0x1_0000 + 0x200;
/// `boot_flag`: 0xaa55.
const BOOT_FLAG: usize = 0x1fe;
/// `header`: "HdrS".
const MAGIC: usize = 0x202;
/// `kernel_version`: where the text is, counted from 0x200.
const VERSION: usize = 0x20e;
/// `xloadflags`: bit 0 is XLF_KERNEL_64.
const LOAD_FLAGS: usize = 0x236;

/// The release of a bzImage, as `uname -r` would say it.
pub(super) fn release(path: &Path) -> Result<String, LabError> {
    Ok(version(path)?.split(' ').next().unwrap_or_default().to_owned())
}

/// The text of a bzImage's version: its release, who built it, and what `uname -v` would say.
pub(super) fn version(path: &Path) -> Result<String, LabError> {
    let mut head = Vec::new();
    File::open(path)
        .and_then(|file| file.take(HEAD).read_to_end(&mut head))
        .map_err(LabError::file("read", path))?;
    of_head(&head).map_err(|why| LabError::Image { path: path.to_owned(), why: why.to_owned() })
}

fn of_head(head: &[u8]) -> Result<String, &'static str> {
    let word = |at: usize| Some(u16::from_le_bytes([*head.get(at)?, *head.get(at + 1)?]));
    if word(BOOT_FLAG) != Some(0xaa55) || head.get(MAGIC..MAGIC + 4) != Some(b"HdrS") {
        return Err(
            "it is no bzImage for x86; name the kernel's compressed image, as vmlinuz or arch/x86/boot/bzImage",
        );
    }
    if word(LOAD_FLAGS).is_none_or(|flags| flags & 1 == 0) {
        return Err("it is a 32-bit kernel; name one for x86-64");
    }
    let text = word(VERSION).filter(|&at| at != 0).and_then(|at| head.get(usize::from(at) + 0x200..));
    let text = text.and_then(|text| text.split(|&byte| byte == 0).next());
    text.and_then(|text| std::str::from_utf8(text).ok())
        .filter(|text| {
            text.split(' ').next().is_some_and(|release| !release.is_empty() && !release.contains('/'))
        })
        .map(str::to_owned)
        .ok_or("its header says no version; it may be cut off: build or fetch it again")
}

/// The head of an image with a release, for tests.
#[cfg(test)]
pub(super) fn synthetic(release: &str) -> Vec<u8> {
    let mut head = vec![0; 0x400];
    head[BOOT_FLAG..BOOT_FLAG + 2].copy_from_slice(&[0x55, 0xaa]);
    head[MAGIC..MAGIC + 4].copy_from_slice(b"HdrS");
    head[VERSION..VERSION + 2].copy_from_slice(&0x100_u16.to_le_bytes());
    head[LOAD_FLAGS] = 1;
    let text = format!("{release} (someone@somewhere) #1 SMP\0");
    head[0x300..0x300 + text.len()].copy_from_slice(text.as_bytes());
    head
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn the_release_is_read() {
        let version = of_head(&synthetic("6.12.1+deb12-cloud-amd64")).unwrap();
        assert_eq!(version, "6.12.1+deb12-cloud-amd64 (someone@somewhere) #1 SMP");
        let mut image = tempfile::NamedTempFile::new().unwrap();
        image.write_all(&synthetic("6.12.1")).unwrap();
        assert_eq!(release(image.path()).unwrap(), "6.12.1");
    }

    #[test]
    fn what_is_no_kernel_is_refused_with_the_cure() {
        assert!(of_head(b"\x7fELF").unwrap_err().contains("vmlinuz"));
        let mut small = synthetic("6.12.1");
        small[LOAD_FLAGS] = 0;
        assert!(of_head(&small).unwrap_err().contains("32-bit"));
        assert!(of_head(&synthetic("6.12.1")[..0x300]).unwrap_err().contains("cut off"));
    }
}
