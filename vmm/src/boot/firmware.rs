//! What firmware is told that it cannot find out by itself: QEMU, `docs/specs/fw_cfg.rst`, and SeaBIOS, `docs/Runtime_config.md`.

use super::e820::memory_map;
use crate::{BuildError, Drives, Media, Wires};

/// Where the machine is to be looked for something to boot first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BootFrom {
    /// Disks, and then discs.
    #[default]
    Disk,
    /// Discs, and then disks.
    Cdrom,
}

/// The serial port on which firmware and what it boots can be seen, where there is no screen.
const SERIAL: u16 = 0x3f8;
/// Of each system state from S0 to S5, that it is there; and of S3 to S5 the type that PM1 control has for it.
const STATES: [u8; 6] = [0x80, 0, 0, 1, 2, 0x80];

/// Fills the firmware configuration. The disks on the PCI bus have these numbers.
pub(crate) fn offer(wires: &Wires, first: BootFrom, pci_disks: &[u8]) -> Result<(), BuildError> {
    let entry = |first: u64, length: u64, kind: u32| {
        [&first.to_le_bytes()[..], &length.to_le_bytes(), &kind.to_le_bytes()].concat()
    };
    // What lies below 1 MiB is firmware's own affair: it is told of all RAM.
    let below = wires.ram.size().min(crate::Ram::HOLE);
    let above = memory_map(&wires.ram).into_iter().filter(|range| range.first >= below);
    let above = above.flat_map(|range| entry(range.first, range.length, if range.is_ram { 1 } else { 2 }));
    let items = &wires.items;
    items.add("etc/e820", entry(0, below, 1).into_iter().chain(above).collect())?;
    items.add("etc/system-states", STATES.to_vec())?;
    items.add("etc/sercon-port", SERIAL.to_le_bytes().to_vec())?;
    let order = order(&wires.drives, pci_disks, first);
    if !order.is_empty() {
        items.add("bootorder", order)?;
    }
    Ok(())
}

/// Everything that can be booted in the order in which it is tried, by paths in Open Firmware's notation: what has none is tried last.
fn order(drives: &Drives, pci_disks: &[u8], first: BootFrom) -> Vec<u8> {
    let held = (0..Drives::COUNT).filter_map(|number| Some((number, drives.get(number)?)));
    let ide = held.map(|(number, media)| {
        let path = format!("/pci@i0cf8/ide@1,1/drive@{}/disk@{}", number / 2, number % 2);
        (path, matches!(media, Media::Cdrom(_)))
    });
    let pci = pci_disks.iter().map(|number| (format!("/pci@i0cf8/scsi@{number:x}/disk@0,0"), false));
    let is_first = |is_disc: bool| is_disc == (first == BootFrom::Cdrom);
    let (before, behind): (Vec<_>, Vec<_>) = ide.chain(pci).partition(|(_, is_disc)| is_first(*is_disc));
    let lines: Vec<_> = before.into_iter().chain(behind).map(|(path, _)| path).collect();
    if lines.is_empty() { Vec::new() } else { format!("{}\0", lines.join("\n")).into_bytes() }
}

#[cfg(test)]
mod tests {
    use super::{BootFrom, order};
    use crate::{Disk, Drives, Media};

    #[test]
    fn what_is_asked_for_comes_first() {
        let drives = Drives::default();
        assert_eq!(order(&drives, &[], BootFrom::Disk), b"");
        let disk = || Disk::in_memory(vec![0; 512], true);
        assert!(drives.put(1, Media::Disk(disk())) && drives.put(2, Media::Cdrom(disk())));
        assert!(!drives.put(2, Media::Disk(disk())) && !drives.put(4, Media::Disk(disk())));
        let (first, second) = ("/pci@i0cf8/ide@1,1/drive@0/disk@1", "/pci@i0cf8/ide@1,1/drive@1/disk@0");
        let third = "/pci@i0cf8/scsi@a/disk@0,0";
        let disks = format!("{first}\n{third}\n{second}\0");
        assert_eq!(order(&drives, &[10], BootFrom::Disk), disks.into_bytes());
        let discs = format!("{second}\n{first}\n{third}\0");
        assert_eq!(order(&drives, &[10], BootFrom::Cdrom), discs.into_bytes());
    }
}
