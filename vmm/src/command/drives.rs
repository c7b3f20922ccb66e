//! Opens the disks that the options name, and puts those of IDE into their drives.

use std::path::Path;

use super::options::Options;
use crate::{Builder, Disk, Media, Region, Space};

/// Puts IDE disks and the disc of a CD-ROM drive into their drives.
pub(super) fn fill(builder: Builder, options: &Options) -> Result<Builder, String> {
    let disks = [&options.hda, &options.hdb, &options.hdc, &options.hdd];
    for (number, disk) in disks.into_iter().enumerate() {
        if let Some(disk) = disk {
            builder.wires().drives.put(number, Media::Disk(open(disk)?));
        }
    }
    if let Some(disc) = &options.cdrom {
        let path = disc.split(',').next().unwrap_or_default();
        let disc = Disk::open(Path::new(path), true).map_err(|error| format!("cannot {error}"))?;
        if !builder.wires().drives.put(CDROM, Media::Cdrom(disc)) {
            return Err(
                "there cannot be both a third IDE disk and a CD-ROM: they have the same place".to_owned()
            );
        }
    }
    Ok(builder)
}

/// Whether there is a disk that the guest can write to.
pub(super) fn are_written(options: &Options) -> bool {
    let disks = [&options.hda, &options.hdb, &options.hdc, &options.hdd].into_iter().flatten();
    disks.chain(&options.disk).any(|disk| !read(disk).1)
}

fn read(disk: &str) -> (&str, bool) {
    match disk.rsplit_once(',') {
        Some((path, "readonly=on" | "readonly" | "ro")) => (path, true),
        Some((path, "readonly=off")) => (path, false),
        _ => (disk, false),
    }
}

/// Refuses drives that nothing reaches.
pub(super) fn check(builder: &Builder, options: &Options, machine: &str) -> Result<(), String> {
    let drives = [&options.hda, &options.hdb, &options.hdc, &options.hdd, &options.cdrom];
    let has_channels = builder.wires().map.find(Space::Configuration, FUNCTION.first()).is_ok();
    if has_channels || drives.iter().all(|drive| drive.is_none()) {
        return Ok(());
    }
    Err(format!("a {machine} has no IDE channel for a disk or a disc to be at"))
}

/// Where the function is that has the channels.
const FUNCTION: Region = Region::function(1, 1);
/// Where QEMU has the drive of `-cdrom`: the first of the second channel.
const CDROM: usize = 2;

/// Opens what names a disk: a file, and with a comma whether it is only read.
pub(super) fn open(disk: &str) -> Result<Disk, String> {
    let (path, is_read_only) = read(disk);
    Disk::open(Path::new(path), is_read_only).map_err(|error| format!("cannot {error}"))
}
