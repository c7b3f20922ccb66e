//! Linux resets our PC, and boots in it once more.

use harness::lab::GuestKernel;
use harness::{Outcome, Stop, claim, equal};
use vmm::boot::{Entry, load};
use vmm::{Builder, Disk, End, IrqChip};

use super::guest_init::SAYS;
use super::linux::{DISK, LIMIT, boot, fault, pc, run};

fn linux_boots_again_behind_its_own_reset() -> Outcome {
    let guest = GuestKernel::find().ok_or_else(|| Stop::Skip("there is no kernel to boot".to_owned()))?;
    let mut machine = pc(IrqChip::Kernel, Disk::in_memory(vec![1; DISK], false), Builder::disk)?;
    let mut boot = boot(&guest, Entry::Best)?;
    let append = boot.append.clone();
    boot.append = format!("{append} restart");
    load(&mut machine, &boot).map_err(fault)?;
    let first = run(&mut machine, LIMIT)?;
    machine.reset().map_err(fault)?;
    boot.append = append;
    load(&mut machine, &boot).map_err(fault)?;
    let second = run(&mut machine, LIMIT)?;
    let said = machine.wires().serial[0].take();
    let said = String::from_utf8_lossy(&said);
    let lines = said.lines().filter(|line| line.trim().starts_with(SAYS)).count();
    equal((first, second, lines), (End::Reset, End::PoweredOff, 2))
}
claim!(
    linux_boots_again_behind_its_own_reset,
    "Linux resets our PC when its first process asks for a restart, and boots in the same machine once more",
    [Doc("admin-guide/kernel-parameters.txt, reboot="), Api("4.13 KVM_SET_SREGS")],
    GuestKernel,
    Emulator("QEMU"),
    Time(8)
);
