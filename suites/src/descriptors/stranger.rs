//! Commands that a descriptor does not know, and how each kind of descriptor says so.

use harness::kvm::{Argument, COMMANDS, Command, Descriptor, EINVAL, ENOTTY, Errno, Guarded, Kind};
use harness::{Outcome, each, equal, fails, unchanged};

use super::state::state;

/// How many bytes are offered to a command that should not touch any.
const OFFERED: usize = 4096;
/// What they hold.
const FILL: u8 = 0;

/// How a kind of descriptor answers what it does not know.
///
/// The documentation says nothing of it; the kinds differ because `kvm_arch_dev_ioctl` and `kvm_arch_vcpu_ioctl` end in EINVAL,
/// but `kvm_arch_vm_ioctl`, `kvm_device_ioctl` and, for files without commands, `vfs_ioctl` in ENOTTY.
pub(crate) fn refusal(kind: Kind) -> Errno {
    match kind {
        Kind::System | Kind::Vcpu => EINVAL,
        Kind::Vm | Kind::Device | Kind::GuestMemfd | Kind::Stats => ENOTTY,
    }
}

/// The descriptor answers each command as unknown, whatever comes with it, and nothing changes.
pub(crate) fn unknown_to(of: &impl Descriptor, commands: impl IntoIterator<Item = Command>) -> Outcome {
    refused_by(of, commands, refusal(of.kind()))
}

/// The descriptor answers each command with this error, whatever comes with it, and nothing changes.
pub(crate) fn refused_by(
    of: &impl Descriptor,
    commands: impl IntoIterator<Item = Command>,
    errno: Errno,
) -> Outcome {
    unchanged(|| state(of), || each(commands, |command| is_refused_by(of, *command, errno)))
}

fn is_refused_by(of: &impl Descriptor, command: Command, errno: Errno) -> Outcome {
    fails(errno, of.value(command, 0))?;
    fails(errno, of.value(command, u64::MAX))?;
    // A kernel that looked at the argument first would answer EFAULT.
    fails(errno, of.send(command, Argument::Inaccessible))?;
    let mut offered = Guarded::zeroed(OFFERED);
    fails(errno, of.send(command, Argument::Bytes(&mut offered)))?;
    equal(offered.bytes().iter().position(|byte| *byte != FILL), None)
}

/// Every command that this kind of descriptor does not know.
pub(crate) fn of_other_kinds(kind: Kind) -> impl Iterator<Item = Command> {
    COMMANDS.iter().copied().filter(move |command| !command.kinds.contains(&kind))
}

/// Whether any descriptor knows the number.
pub(crate) fn is_known(number: u32) -> bool {
    COMMANDS.iter().any(|command| command.number == number)
}
