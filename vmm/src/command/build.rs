//! Makes the machine that the options ask for.

use std::fs::File;
use std::io::{self, Write};

use super::drives;
use super::networks::Networks;
use super::options::{Options, processors, size};
use crate::boot::{self, BootFrom};
use crate::builder::models;
use crate::{
    Builder, Console, CpuModel, CpuModelError, Disk, IrqChip, Machine, Region, Space, accel, device_class,
    machine_class, machine_classes,
};

/// What `-machine` and its relatives say.
struct Wanted {
    machine: String,
    accel: String,
    irqchip: IrqChip,
}

/// The machine, or one sentence that says why there is none.
pub(super) fn build(options: &Options) -> Result<Machine, String> {
    let wanted = Wanted::of(options)?;
    let memory =
        size(&options.memory).ok_or_else(|| format!("there is no memory of \"{}\"", options.memory))?;
    let cpus = processors(&options.smp)
        .ok_or_else(|| format!("there are no \"{}\" processors: there may be 1 to 255", options.smp))?;
    let processor: CpuModel = options.cpu.parse().map_err(|error: CpuModelError| error.to_string())?;
    check(options)?;
    let class = machine_class(&wanted.machine).ok_or_else(|| {
        let known: Vec<_> = machine_classes().iter().map(|class| class.name).collect();
        format!("there is no machine \"{}\": there is {}", wanted.machine, known.join(", "))
    })?;
    let (_, hypervisor) = accel::open(&wanted.accel).map_err(|error| format!("cannot {error}"))?;
    let builder = Builder::with_cpus(hypervisor, memory, cpus, wanted.irqchip);
    let builder = builder.map_err(|error| format!("cannot build a {}: cannot {error}", class.name))?;
    let builder = drives::fill(firmware(builder.processor(processor), options)?, options)?;
    let mut builder =
        (class.furnish)(builder).map_err(|error| format!("cannot build a {}: cannot {error}", class.name))?;
    drives::check(&builder, options, class.name)?;
    let mut networks = Networks::of(options)?;
    for device in &options.device {
        let device = networks.plug(&builder, device)?;
        builder = add(builder, &device)?;
    }
    networks.finish()?;
    for (number, _) in options.serial.iter().enumerate().skip(1) {
        builder = add(builder, &format!("com{}", number + 1))?;
    }
    for disk in &options.disk {
        builder = add_disk(builder, drives::open(disk)?, options.bios.is_some())?;
    }
    if options.hvc.is_some() {
        builder = builder.virtio("virtio-console").map_err(|error| format!("cannot {error}"))?;
    }
    connect(&builder, options)?;
    builder.build().map_err(|error| format!("cannot build a {}: cannot {error}", class.name))
}

/// The devices that there are, in QEMU's form.
pub(super) fn devices() -> String {
    models().into_iter().map(|(name, about)| format!("name \"{name}\", desc \"{about}\"\n")).collect()
}

impl Wanted {
    fn of(options: &Options) -> Result<Self, String> {
        let mut wanted = Self { machine: "pc".to_owned(), accel: "kvm".to_owned(), irqchip: IrqChip::Kernel };
        let mut irqchip = None;
        for part in options.machine.iter().flat_map(|machine| machine.split(',')) {
            match part.split_once('=') {
                None | Some(("type", _)) => part.trim_start_matches("type=").clone_into(&mut wanted.machine),
                Some(("accel", accel)) => wanted.accel = accel.replace(':', ","),
                Some(("kernel_irqchip" | "kernel-irqchip" | "irqchip", place)) => irqchip = Some(place),
                Some((name, _)) => {
                    return Err(format!("a machine has no \"{name}\": there is accel, kernel_irqchip"));
                }
            }
        }
        if !options.accel.is_empty() {
            wanted.accel = options.accel.join(",");
        }
        // Without a kernel's controllers there are only ours.
        let default = if wanted.accel.starts_with("qtest") { "user" } else { "kernel" };
        wanted.irqchip = options.irqchip.as_deref().or(irqchip).unwrap_or(default).parse()?;
        Ok(wanted)
    }
}

/// Refuses what there is only one kind of if another is asked for.
fn check(options: &Options) -> Result<(), String> {
    for (what, kind) in [("display", &options.display), ("monitor", &options.monitor)] {
        if kind != "none" {
            return Err(format!("there is no {what} \"{kind}\": there is none"));
        }
    }
    match options.global.iter().find(|global| !global.contains('=')) {
        Some(global) => Err(format!("\"{global}\" sets no property")),
        None => Ok(()),
    }
}

/// Adds what a `-device` says: a name, and with commas where it is to be.
fn add(builder: Builder, device: &str) -> Result<Builder, String> {
    let mut words = device.split(',');
    let name = words.next().unwrap_or_default();
    let (mut base, mut size) = (None, None);
    for word in words {
        let value = |text: &str| {
            let hex = text.strip_prefix("0x").map(|hex| u16::from_str_radix(hex, 16).ok());
            hex.unwrap_or_else(|| text.parse().ok()).ok_or_else(|| format!("\"{word}\" says no port"))
        };
        match word.split_once('=') {
            Some(("iobase", text)) => base = Some(value(text)?),
            Some(("iosize", text)) => size = Some(value(text)?),
            Some(("chardev" | "id", _)) => {}
            _ => return Err(format!("a {name} has no \"{word}\": there is iobase, iosize")),
        }
    }
    let added = match base {
        None => builder.model(name),
        Some(base) => builder.model_at(name, name, &[moved(name, base, size)?]),
    };
    added.map_err(|error| format!("cannot {error}"))
}

/// Adds a virtio disk: where firmware can find it, if there is any.
fn add_disk(builder: Builder, disk: Disk, has_firmware: bool) -> Result<Builder, String> {
    let added = if has_firmware {
        builder.wires().disks.add(disk);
        builder.virtio_pci("virtio-blk")
    } else {
        builder.disk(disk)
    };
    added.map_err(|error| format!("cannot {error}"))
}

/// Burns the firmware that `-bios` names.
fn firmware(builder: Builder, options: &Options) -> Result<Builder, String> {
    let first = match options.boot.as_deref().map(|order| order.trim_start_matches("order=")) {
        None => BootFrom::default(),
        Some(order) if order.starts_with('c') => BootFrom::Disk,
        Some(order) if order.starts_with('d') => BootFrom::Cdrom,
        Some(order) => return Err(format!("there is no order \"{order}\" to boot in: there is c, d")),
    };
    let Some(path) = &options.bios else { return Ok(builder) };
    let file = boot::File::read(path).map_err(|error| format!("cannot {error}"))?;
    let burnt = builder.boots_from(first).firmware(&file.contents);
    burnt.map_err(|error| format!("cannot use {} as firmware: cannot {error}", file.name))
}

/// Where a device lies that is moved to a port: as wide as its model says, and as long unless something else is asked for.
fn moved(name: &str, base: u16, size: Option<u16>) -> Result<Region, String> {
    let regions = device_class(name).map_or(&[][..], |class| class.regions);
    let region = match regions {
        [region] if region.space() == Space::Ports => *region,
        // What is not known is told by whoever makes it.
        [] => Region::ports(base, base),
        _ => {
            return Err(format!(
                "a {name} cannot be moved to port {base:#x}: it does not lie at ports in one piece"
            ));
        }
    };
    let length = size.map_or(region.length(), u64::from).max(1);
    let moved = Region::new(Space::Ports, base.into(), length).map_err(|error| format!("cannot {error}"))?;
    Ok(moved.by(region.widest))
}

/// Connects the serial ports, the virtio console and the debug port.
fn connect(builder: &Builder, options: &Options) -> Result<(), String> {
    let wires = builder.wires();
    let default = if reads_terminal(options) { "stdio" } else { "null" };
    let first = options.serial.first().map_or(default, String::as_str);
    let ports = [first].into_iter().chain(options.serial.iter().skip(1).map(String::as_str));
    for (port, place) in wires.serial.iter().zip(ports) {
        lead(port, place)?;
    }
    if let Some(place) = &options.hvc {
        lead(&wires.hvc, place)?;
    }
    match &options.debugcon {
        Some(place) => lead(&wires.console, place),
        None => Ok(()),
    }
}

fn lead(console: &Console, place: &str) -> Result<(), String> {
    let to: Box<dyn Write + Send> = match place.trim_start_matches("mon:") {
        "stdio" => Box::new(io::stdout()),
        "null" | "none" => Box::new(io::sink()),
        place => match place.strip_prefix("file:") {
            Some(name) => {
                Box::new(File::create(name).map_err(|error| format!("cannot write to {name}: {error}"))?)
            }
            None => {
                return Err(format!("a port cannot lead to \"{place}\": there is stdio, null, file:FILE"));
            }
        },
    };
    console.send_to(to);
    Ok(())
}

/// Whether the terminal is the first serial port's.
pub(super) fn reads_terminal(options: &Options) -> bool {
    match options.serial.first() {
        Some(place) => place.trim_start_matches("mon:") == "stdio",
        None => options.nographic || !options.nodefaults && options.qtest.is_none(),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::{Options, build, moved};

    #[test]
    fn a_disk_that_nothing_would_reach_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk");
        std::fs::write(&path, [0; 512]).unwrap();
        let typed = ["-machine", "bare", "-accel", "qtest", "-hda"].map(Into::into);
        let options = Options::read(typed.into_iter().chain([path.into_os_string()])).unwrap();
        let told = build(&options).err();
        assert_eq!(told.as_deref(), Some("a bare has no IDE channel for a disk or a disc to be at"));
        assert!(Options::read(["-boot", "d"].map(Into::into)).is_err(), "nobody boots so without firmware");
    }

    #[rstest]
    #[case::as_the_model_says("com1", None, Ok((0x280, 8, 1)))]
    #[case::as_it_is_asked_for("isa-debug-exit", Some(2), Ok((0x280, 2, u32::MAX)))]
    #[case::two_pieces(
        "i8254",
        None,
        Err("a i8254 cannot be moved to port 0x280: it does not lie at ports in one piece")
    )]
    #[case::memory(
        "ioapic",
        None,
        Err("a ioapic cannot be moved to port 0x280: it does not lie at ports in one piece")
    )]
    fn a_device_is_moved_as_it_is(
        #[case] name: &str,
        #[case] size: Option<u16>,
        #[case] expected: Result<(u64, u64, u32), &str>,
    ) {
        let region = moved(name, 0x280, size).map(|region| (region.first, region.length(), region.widest));
        assert_eq!(region, expected.map_err(str::to_owned));
    }
}
