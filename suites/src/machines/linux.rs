//! Linux in our PC: the kernel under trial once more, as a guest of itself, with this program as its first process.

use std::fs;
use std::path::Path;
use std::time::Duration;

use harness::lab::{GuestKernel, initramfs};
use harness::{Broken, HostFault, Outcome, Stop, claim, equal};
use vmm::accel::CpuError;
use vmm::boot::{Boot, Entry, File, load};
use vmm::{BuildError, Builder, Disk, End, IrqChip, Limit, Machine, MachineError, accel, machine_class};

use super::guest_init::{MODULES, NAME, SAYS};

/// What a kernel needs to unpack itself and this program.
const MEMORY: u64 = 256 << 20;
/// The clock of the claim is mostly shorter.
pub(super) const LIMIT: Limit = Limit { time: Duration::from_secs(200), exits: u64::MAX };
/// How much of what the console said is told with a failure.
const LAST_WORDS: usize = 1500;
pub(super) const DISK: usize = 1 << 20;
/// A kernel that panics resets the machine. QEMU's TCG does not tell KVM of XSETBV, so that the sizes
/// which a guest sees do not fit: it does without XSAVE, feature 154.
const COMMAND_LINE: &str = "console=ttyS0 panic=-1 quiet clearcpuid=154";

fn boots_with_the_kernels_controllers() -> Outcome {
    boots(IrqChip::Kernel, Entry::Long)
}
claim!(
    boots_with_the_kernels_controllers,
    "With all interrupt controllers in the kernel, Linux enters our PC in 64-bit mode, sees two processors and a virtio disk, and switches the power off by ACPI",
    [Api("4.24 KVM_CREATE_IRQCHIP"), Doc("arch/x86/boot.rst, The Linux/x86 Boot Protocol")],
    GuestKernel,
    Emulator("QEMU"),
    Time(8)
);

fn boots_with_split_controllers() -> Outcome {
    boots(IrqChip::Split, Entry::Protected)
}
claim!(
    boots_with_split_controllers,
    "With only the local APICs in the kernel, Linux enters our PC in protected mode, sees two processors and a virtio disk, and switches the power off by ACPI",
    [Api("7.5 KVM_CAP_SPLIT_IRQCHIP"), Doc("arch/x86/boot.rst, The Linux/x86 Boot Protocol")],
    GuestKernel,
    Emulator("QEMU"),
    Time(8)
);

fn boots_with_our_controllers() -> Outcome {
    boots(IrqChip::User, Entry::Long)
}
claim!(
    boots_with_our_controllers,
    "With no interrupt controllers in the kernel, Linux enters our PC in 64-bit mode, sees two processors and a virtio disk, and switches the power off by ACPI",
    [Api("4.16 KVM_INTERRUPT"), Doc("arch/x86/boot.rst, The Linux/x86 Boot Protocol")],
    GuestKernel,
    Emulator("QEMU"),
    Time(8)
);

fn boots_from_the_pci_bus() -> Outcome {
    boots_on(IrqChip::Kernel, Entry::Long, |builder, disk| {
        builder.wires().disks.add(disk);
        builder.virtio_pci("virtio-blk")
    })
}
claim!(
    boots_from_the_pci_bus,
    "With the disk on our PC's PCI bus, whose interrupts are messages, Linux sees two processors and the disk, and switches the power off by ACPI",
    [Api("4.70 KVM_SIGNAL_MSI"), Doc("virtio 1.2, 4.1 Virtio Over PCI Bus")],
    GuestKernel,
    Emulator("QEMU"),
    Time(8)
);

fn boots(irqchip: IrqChip, entry: Entry) -> Outcome {
    boots_on(irqchip, entry, Builder::disk)
}

/// Boots a PC to which the disk is added in this way.
fn boots_on(irqchip: IrqChip, entry: Entry, add: Add) -> Outcome {
    let guest = GuestKernel::find().ok_or_else(|| Stop::Skip("there is no kernel to boot".to_owned()))?;
    let before: Vec<u8> =
        (0_u32..).map(|number| number.wrapping_mul(0x9e37_79b1).to_le_bytes()[3]).take(DISK).collect();
    let disk = Disk::in_memory(before.clone(), false);
    let mut machine = pc(irqchip, disk.clone(), add)?;
    load(&mut machine, &boot(&guest, entry)?).map_err(fault)?;
    let end = run(&mut machine, LIMIT);
    let console = String::from_utf8_lossy(&machine.wires().serial[0].take()).into_owned();
    let said = console.lines().find_map(|line| line.trim().strip_prefix(SAYS)).unwrap_or("nothing").trim();
    let sum: u64 = before.iter().map(|byte| u64::from(*byte)).sum();
    let expected = format!("processors 0-1 online, {DISK} bytes of disk of sum {sum}");
    let told =
        || console.chars().skip(console.chars().count().saturating_sub(LAST_WORDS)).collect::<String>();
    match end {
        Ok(End::OutOfTime) => {
            let why =
                format!("it did not come to its end within {:?}; its last words: {}", LIMIT.time, told());
            return Err(Stop::Hung(Box::new(Broken::new(why))));
        }
        Ok(End::PoweredOff) if said == expected => {}
        Ok(end) => {
            let seen = format!("{end:?}, said \"{said}\"; its last words: {}", told());
            return equal(seen, format!("PoweredOff, said \"{expected}\""));
        }
        Err(stop) => return Err(stop.during(format!("its last words: {}", told()))),
    }
    let mut after = vec![0; DISK];
    disk.read(0, &mut after).map_err(|error| fault_of(&error))?;
    let mut turned = before;
    turned[DISK - 512..].reverse();
    equal(after == turned, true)
}

/// Runs the machine until it ends; an exit that no machine handles is KVM's to answer for.
pub(super) fn run(machine: &mut Machine, limit: Limit) -> Result<End, Stop> {
    machine.run(limit).map_err(|error| match error {
        MachineError::Cpu { source: CpuError::Unhandled { exit, rip }, id } => {
            Broken::new(format!("vCPU {id} left the guest at {rip:#x} for what no machine handles: {exit}"))
                .comparing("an exit that a machine handles", exit)
                .into()
        }
        other => fault(other),
    })
}

/// How a disk is added.
pub(super) type Add = fn(Builder, Disk) -> Result<Builder, BuildError>;

/// A PC of two processors with this disk.
pub(super) fn pc(irqchip: IrqChip, disk: Disk, add: Add) -> Result<Machine, Stop> {
    let (_, hypervisor) = accel::open("kvm").map_err(fault)?;
    let class = machine_class("pc").ok_or_else(|| Stop::HostFault(HostFault("there is no pc".to_owned())))?;
    Builder::with_cpus(hypervisor, MEMORY, 2, irqchip)
        .and_then(class.furnish)
        .and_then(|builder| add(builder, disk))
        .and_then(Builder::build)
        .map_err(fault)
}

/// The kernel, with this program and the modules in its initial file system.
pub(super) fn boot(guest: &GuestKernel, entry: Entry) -> Result<Boot, Stop> {
    let read = |path: &Path| fs::read(path).map_err(|error| fault_of(&error));
    let program = read(Path::new("/proc/self/exe"))?;
    let mut files = vec![("init".to_owned(), 0o755, program)];
    for module in &guest.modules {
        let name = module.file_name().unwrap_or_default().to_string_lossy().into_owned();
        files.push((format!("{MODULES}/{name}"), 0o644, read(module)?));
    }
    let files: Vec<_> =
        files.iter().map(|(path, mode, bytes)| (path.as_str(), *mode, bytes.as_slice())).collect();
    let contents = initramfs(&files).map_err(fault)?;
    Ok(Boot {
        kernel: File::read(&guest.image).map_err(fault)?,
        initrd: Some(File { name: "the initramfs".to_owned(), contents }),
        append: format!("{COMMAND_LINE} -- {NAME}"),
        entry,
    })
}

/// What the machine cannot do says nothing of KVM.
pub(super) fn fault(error: impl std::error::Error) -> Stop {
    fault_of(&error)
}

fn fault_of(error: &dyn std::error::Error) -> Stop {
    Stop::HostFault(HostFault(format!("cannot build our machine: {error}")))
}
