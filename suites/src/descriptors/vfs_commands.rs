//! The commands that the VFS answers for every file, before KVM sees them: `do_vfs_ioctl` in `fs/ioctl.c`.

use harness::kvm::{Argument, Command, Descriptor, Guarded, Kvm, Vcpu, Vm};
use harness::{Outcome, claim, equal, succeeds};
use rustix::fs::{OFlags, fcntl_getfl};
use rustix::io::{FdFlags, fcntl_getfd};

const FIOCLEX: Command = Command { name: "FIOCLEX", number: 0x5451, kinds: &[] };
const FIONCLEX: Command = Command { name: "FIONCLEX", number: 0x5450, kinds: &[] };
const FIONBIO: Command = Command { name: "FIONBIO", number: 0x5421, kinds: &[] };

fn switches_close_on_exec(of: &impl Descriptor) -> Outcome {
    succeeds(of.value(FIONCLEX, 0))?;
    equal(succeeds(fcntl_getfd(of))?, FdFlags::empty())?;
    succeeds(of.value(FIOCLEX, 0))?;
    equal(succeeds(fcntl_getfd(of))?, FdFlags::CLOEXEC)
}

fn close_on_exec(kvm: Kvm, vm: Vm, vcpu: Vcpu) -> Outcome {
    switches_close_on_exec(&kvm)?;
    switches_close_on_exec(&vm)?;
    switches_close_on_exec(&vcpu)
}
claim!(
    close_on_exec,
    "FIOCLEX and FIONCLEX switch the close-on-exec flag of system, VM and vCPU descriptors",
    [Code("do_vfs_ioctl, fs/ioctl.c")]
);

fn switches_nonblocking(of: &impl Descriptor) -> Outcome {
    for (value, expected) in [(1_u32, OFlags::NONBLOCK), (0, OFlags::empty())] {
        let mut bytes = Guarded::zeroed(size_of_val(&value));
        bytes.put(0, &value);
        succeeds(of.send(FIONBIO, Argument::Bytes(&mut bytes)))?;
        equal(succeeds(fcntl_getfl(of))? & OFlags::NONBLOCK, expected)?;
    }
    Ok(())
}

fn nonblocking(kvm: Kvm, vm: Vm, vcpu: Vcpu) -> Outcome {
    switches_nonblocking(&kvm)?;
    switches_nonblocking(&vm)?;
    switches_nonblocking(&vcpu)
}
claim!(
    nonblocking,
    "FIONBIO switches O_NONBLOCK on system, VM and vCPU descriptors",
    [Code("do_vfs_ioctl, fs/ioctl.c")]
);
