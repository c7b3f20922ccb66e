//! What can be read of the thing behind a descriptor: that it is the same afterwards shows that a refused command changed nothing.

use std::os::fd::AsFd;

use harness::kvm::{
    Argument, Command, Descriptor, Errno, Guarded, KVM_GET_DEBUGREGS, KVM_GET_FPU, KVM_GET_IRQCHIP,
    KVM_GET_MP_STATE, KVM_GET_PIT2, KVM_GET_REGS, KVM_GET_SREGS, KVM_GET_TSC_KHZ, KVM_GET_VCPU_EVENTS,
    KVM_GET_XCRS, Kind,
};
use harness::{HostFault, Stop};
use rustix::fs::{OFlags, fcntl_getfl};
use rustix::io::{FdFlags, fcntl_getfd};

/// What a VM can be asked for that nothing but a command changes.
const OF_A_VM: &[Command] = &[KVM_GET_IRQCHIP, KVM_GET_PIT2, KVM_GET_TSC_KHZ];

/// What a vCPU can be asked for that nothing but a command changes, while it does not run.
const OF_A_VCPU: &[Command] = &[
    KVM_GET_REGS,
    KVM_GET_SREGS,
    KVM_GET_FPU,
    KVM_GET_MP_STATE,
    KVM_GET_VCPU_EVENTS,
    KVM_GET_DEBUGREGS,
    KVM_GET_XCRS,
    KVM_GET_TSC_KHZ,
];

/// What can be read of a descriptor, of what is behind it, and of the process's descriptors.
#[derive(Debug, PartialEq)]
pub(crate) struct State {
    answers: Vec<(Command, Answer)>,
    flags: (FdFlags, OFlags),
    open: Vec<String>,
}

/// What a command answered, and what it filled in.
type Answer = Result<(i32, Vec<u8>), Errno>;

/// Reads it.
pub(crate) fn state(of: &impl Descriptor) -> Result<State, Stop> {
    let commands = match of.kind() {
        Kind::Vm => OF_A_VM,
        Kind::Vcpu => OF_A_VCPU,
        Kind::System | Kind::Device | Kind::GuestMemfd | Kind::Stats => &[],
    };
    Ok(State {
        answers: commands.iter().map(|command| (*command, answer(of, *command))).collect(),
        flags: flags(of)?,
        open: open_descriptors()?,
    })
}

/// The process's descriptors, each with what it leads to. The listing's own is among them, at the lowest free number.
pub(crate) fn open_descriptors() -> Result<Vec<String>, Stop> {
    let failed = |error| Stop::HostFault(HostFault(format!("cannot list /proc/self/fd: {error}")));
    let mut open = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd").map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let target = std::fs::read_link(&path).map_err(failed)?;
        open.push(format!("{} -> {}", path.display(), target.display()));
    }
    open.sort();
    Ok(open)
}

fn answer(of: &impl Descriptor, command: Command) -> Answer {
    let mut bytes = Guarded::zeroed(command.size());
    let argument = if command.takes_address() { Argument::Bytes(&mut bytes) } else { Argument::Value(0) };
    let answer = of.send(command, argument).map_err(|refused| refused.errno)?;
    Ok((answer, bytes.bytes().to_vec()))
}

fn flags(of: &impl AsFd) -> Result<(FdFlags, OFlags), Stop> {
    let failed = |errno| Stop::HostFault(HostFault(format!("fcntl failed: {errno}")));
    Ok((fcntl_getfd(of).map_err(failed)?, fcntl_getfl(of).map_err(failed)?))
}
