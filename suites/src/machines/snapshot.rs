//! A machine that is saved while Linux boots in it goes on in another.

use harness::lab::GuestKernel;
use harness::{Outcome, Stop, claim, equal};
use vmm::boot::{Entry, load};
use vmm::{Builder, Disk, End, IrqChip, Limit};

use super::guest_init::SAYS;
use super::linux::{DISK, LIMIT, boot, fault, pc, run};

/// After how many more exits of a processor it is moved: early, while the kernel sets its devices up, and while it is at work, if it
/// is not done before.
const MOVES: [u64; 4] = [400, 600, 1000, 2000];
/// It is moved so often at least.
const LEAST: usize = 2;

fn a_boot_goes_on_elsewhere_with_the_kernels_controllers() -> Outcome {
    a_boot_goes_on_elsewhere(IrqChip::Kernel)
}
claim!(
    a_boot_goes_on_elsewhere_with_the_kernels_controllers,
    "With all interrupt controllers in the kernel, our PC can be saved several times while Linux boots, and goes on each time in a new machine until Linux switches the power off",
    [Api("4.11 KVM_GET_REGS"), Api("4.25 KVM_GET_IRQCHIP"), Api("4.29 KVM_GET_CLOCK")],
    GuestKernel,
    Emulator("QEMU"),
    Time(8)
);

fn a_boot_goes_on_elsewhere_with_our_controllers() -> Outcome {
    a_boot_goes_on_elsewhere(IrqChip::User)
}
claim!(
    a_boot_goes_on_elsewhere_with_our_controllers,
    "With no interrupt controllers in the kernel, our PC can be saved several times while Linux boots, and goes on each time in a new machine until Linux switches the power off",
    [Api("4.11 KVM_GET_REGS"), Api("4.31 KVM_GET_VCPU_EVENTS"), Api("4.29 KVM_GET_CLOCK")],
    GuestKernel,
    Emulator("QEMU"),
    Time(8)
);

fn a_boot_goes_on_elsewhere(irqchip: IrqChip) -> Outcome {
    let guest = GuestKernel::find().ok_or_else(|| Stop::Skip("there is no kernel to boot".to_owned()))?;
    let disk = Disk::in_memory(vec![1; DISK], false);
    let mut machine = pc(irqchip, disk.clone(), Builder::disk)?;
    load(&mut machine, &boot(&guest, Entry::Best)?).map_err(fault)?;
    let mut said = Vec::new();
    let mut moves = 0;
    let mut exits = MOVES.into_iter();
    let end = loop {
        let limit = Limit { exits: exits.next().unwrap_or(LIMIT.exits), ..LIMIT };
        let end = run(&mut machine, limit)?;
        said.extend(machine.wires().serial[0].take());
        if end != End::OutOfExits {
            break end;
        }
        moves += 1;
        let mut file = Vec::new();
        machine.save(&mut file).map_err(fault)?;
        drop(machine);
        machine = pc(irqchip, disk.clone(), Builder::disk)?;
        machine.restore(&mut file.as_slice()).map_err(fault)?;
    };
    let said = String::from_utf8_lossy(&said);
    let line = said.lines().find_map(|line| line.trim().strip_prefix(SAYS)).unwrap_or(&said).trim();
    let expected = format!("processors 0-1 online, {DISK} bytes of disk of sum {DISK}");
    equal((end, line, moves >= LEAST), (End::PoweredOff, expected.as_str(), true))
}
