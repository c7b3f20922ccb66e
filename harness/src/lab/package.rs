//! Debian packages: an `ar` archive (deb(5)) of a control and a data part, each a compressed tar archive.
//!
//! Only a kernel's image, its modules and the list of what is built in are unpacked, into a directory of their own in the cache,
//! once: `lib/modules` stays where it is, and `usr/lib/modules` is put there too. `vmlinuz.unsigned` becomes `vmlinuz`.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Take};
use std::path::{Component, Path, PathBuf};

use super::compression::plain;
use super::{LabError, checksum, lock};

/// The size of an `ar` header.
const HEADER: usize = 60;
const MAGIC: &[u8; 8] = b"!<arch>\n";

/// What the control part says.
#[derive(Debug, PartialEq, Eq)]
struct Control {
    package: String,
    version: String,
    architecture: String,
}

/// Unpacks a package into the cache unless that was done before, and says where it is.
///
/// `sha256` is the package's checksum where it is known.
pub(super) fn unpack(deb: &Path, cache: &Path, progress: &dyn Fn(&str)) -> Result<PathBuf, LabError> {
    let control = control(deb)?;
    if control.architecture != "amd64" {
        let why = format!("it is for {}; name one for amd64", control.architecture);
        return Err(LabError::Package { path: deb.to_owned(), why });
    }
    let sha256 = checksum::sha256(deb)?;
    let target = place(cache, &control.package, &control.version, &sha256);
    if let Some(_lock) = claim(&target)? {
        fill(deb, &target, progress)?;
    }
    Ok(target)
}

/// Where a package is unpacked: its checksum is in the name, as two builds of one's own may share a version.
pub(super) fn place(cache: &Path, package: &str, version: &str, sha256: &str) -> PathBuf {
    let safe = |text: &str| text.replace(|c: char| !(c.is_ascii_alphanumeric() || "+-.~".contains(c)), "-");
    let short = sha256.get(..12).unwrap_or(sha256);
    cache.join("unpacked").join(format!("{}_{}_{short}", safe(package), safe(version)))
}

/// The lock under which a package is to be unpacked; `None` where that was done.
pub(super) fn claim(target: &Path) -> Result<Option<File>, LabError> {
    if target.is_dir() {
        return Ok(None);
    }
    let lock = lock::exclusive(&beside(target, ".lock"))?;
    Ok((!target.is_dir()).then_some(lock))
}

/// Unpacks a package to a directory, which appears complete or not at all.
pub(super) fn fill(deb: &Path, target: &Path, progress: &dyn Fn(&str)) -> Result<(), LabError> {
    progress(&format!("unpacking {}", deb.file_name().unwrap_or(deb.as_os_str()).display()));
    let draft = beside(target, ".draft");
    // What a killed run left.
    remove(&draft)?;
    let unpacked = unpack_members(deb, &draft)
        .and_then(|()| fs::rename(&draft, target).map_err(LabError::file("write", target)));
    if unpacked.is_err() {
        remove(&draft)?;
    }
    unpacked
}

fn beside(target: &Path, extension: &str) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(extension);
    name.into()
}

fn remove(directory: &Path) -> Result<(), LabError> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(LabError::file("remove", directory)(error))
        }
        _ => Ok(()),
    }
}

fn unpack_members(deb: &Path, draft: &Path) -> Result<(), LabError> {
    let damaged = |error: std::io::Error| LabError::Package {
        path: deb.to_owned(),
        why: format!("it is damaged ({error}); fetch it again"),
    };
    let mut archive = tar::Archive::new(part(deb, "data.tar")?);
    let mut found = 0;
    for entry in archive.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let path = entry.path().map_err(damaged)?.into_owned();
        let Some(path) = wanted(&path).filter(|_| entry.header().entry_type().is_file()) else { continue };
        let path = draft.join(path);
        let directory = path.parent().unwrap_or(draft);
        fs::create_dir_all(directory).map_err(LabError::file("write", directory))?;
        let mut file = File::create(&path).map_err(LabError::file("write", &path))?;
        copy(&mut entry, &mut file, deb, &path)?;
        found += 1;
    }
    if found == 0 {
        let why = "there is neither a kernel nor a module in it; name linux-image-…, or linux-binary-… and linux-modules-… \
                   separated by a comma";
        return Err(LabError::Package { path: deb.to_owned(), why: why.into() });
    }
    Ok(())
}

/// What a file of a package contains that is put at this path.
pub(super) fn file_of(deb: &Path, wanted: &Path) -> Result<Vec<u8>, LabError> {
    let failed = |why: String| LabError::Package { path: deb.to_owned(), why };
    let damaged = |error: std::io::Error| failed(format!("it is damaged ({error}); fetch it again"));
    let mut archive = tar::Archive::new(part(deb, "data.tar")?);
    for entry in archive.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let path = entry.path().map_err(damaged)?.into_owned();
        if Path::new("/").join(path.strip_prefix(".").unwrap_or(&path)) == wanted {
            let mut contents = Vec::new();
            entry.read_to_end(&mut contents).map_err(damaged)?;
            return Ok(contents);
        }
    }
    Err(failed(format!("it has no {}", wanted.display())))
}

/// Copies, and tells a damaged package from a full disk.
fn copy(from: &mut impl Read, to: &mut File, deb: &Path, path: &Path) -> Result<(), LabError> {
    let mut piece = vec![0; 1 << 16];
    loop {
        let length = from.read(&mut piece).map_err(|error| LabError::Package {
            path: deb.to_owned(),
            why: format!("it is damaged ({error}); fetch it again"),
        })?;
        if length == 0 {
            return Ok(());
        }
        std::io::Write::write_all(to, &piece[..length]).map_err(LabError::file("write", path))?;
    }
}

/// Where a member is put, if it is wanted: `boot/vmlinuz-*`, and `vmlinuz`, `modules.builtin` and modules below `lib/modules`.
fn wanted(path: &Path) -> Option<PathBuf> {
    let mut parts = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => parts.push(part.to_str()?),
            Component::CurDir => {}
            _ => return None,
        }
    }
    if parts.first() == Some(&"usr") {
        parts.remove(0);
    }
    let wanted = match parts.as_mut_slice() {
        ["boot", name] => name.starts_with("vmlinuz-"),
        ["lib", "modules", _, "vmlinuz" | "modules.builtin"] => true,
        ["lib", "modules", _, name @ "vmlinuz.unsigned"] => {
            *name = "vmlinuz";
            true
        }
        ["lib", "modules", _, .., name] => super::modules::name_of(name).is_some(),
        _ => false,
    };
    wanted.then(|| parts.iter().collect())
}

fn control(deb: &Path) -> Result<Control, LabError> {
    let damaged = |why: String| LabError::Package {
        path: deb.to_owned(),
        why: format!("it is damaged ({why}); fetch it again"),
    };
    let mut archive = tar::Archive::new(part(deb, "control.tar")?);
    for entry in archive.entries().map_err(|error| damaged(error.to_string()))? {
        let mut entry = entry.map_err(|error| damaged(error.to_string()))?;
        if entry.path().is_ok_and(|path| path.file_name().is_some_and(|name| name == "control")) {
            let mut text = String::new();
            entry.read_to_string(&mut text).map_err(|error| damaged(error.to_string()))?;
            let field = |name: &str| {
                text.lines()
                    .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
                    .map(|value| value.trim().to_owned())
                    .ok_or_else(|| damaged(format!("its control file has no {name}")))
            };
            return Ok(Control {
                package: field("Package")?,
                version: field("Version")?,
                architecture: field("Architecture")?,
            });
        }
    }
    Err(damaged("it has no control file".into()))
}

/// Reads the part whose name begins so.
fn part(deb: &Path, name: &str) -> Result<Box<dyn Read>, LabError> {
    let file = File::open(deb).map_err(LabError::file("read", deb))?;
    let member = member(BufReader::new(file), name)
        .map_err(LabError::file("read", deb))?
        .map_err(|why| LabError::Package { path: deb.to_owned(), why: why.into() })?;
    plain(BufReader::new(member)).map(|part| -> Box<dyn Read> { part }).map_err(LabError::file("read", deb))
}

/// The bytes of a member of an `ar` archive.
fn member<R: BufRead + Seek>(mut archive: R, wanted: &str) -> std::io::Result<Result<Take<R>, &'static str>> {
    let end = archive.seek(SeekFrom::End(0))?;
    archive.rewind()?;
    let mut magic = [0; MAGIC.len()];
    if end < MAGIC.len() as u64 || archive.read_exact(&mut magic).is_err() || &magic != MAGIC {
        return Ok(Err("it is no Debian package; name a .deb file"));
    }
    let mut at = MAGIC.len() as u64;
    while at + HEADER as u64 <= end {
        let mut header = [0; HEADER];
        archive.read_exact(&mut header)?;
        at += HEADER as u64;
        let text = |range: std::ops::Range<usize>| std::str::from_utf8(&header[range]).unwrap_or("").trim();
        let (Ok(size), b"`\n") = (text(48..58).parse::<u64>(), &header[58..60]) else {
            return Ok(Err("it is damaged (a member has no size); fetch it again"));
        };
        if size > end - at {
            return Ok(Err("it is cut off; fetch it again"));
        }
        if text(0..16).starts_with(wanted) {
            return Ok(Ok(archive.take(size)));
        }
        // Members begin at even offsets.
        at += size.next_multiple_of(2);
        archive.seek(SeekFrom::Start(at))?;
    }
    Ok(Err("it is cut off or no binary package of Debian; fetch it again"))
}

#[cfg(test)]
#[path = "package_tests.rs"]
mod tests;
