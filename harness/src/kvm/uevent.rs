//! The uevents by which `/dev/kvm` announces that a VM was made or has been freed: `kvm_uevent_notify_change` in
//! `virt/kvm/kvm_main.c`. They are the one sign of a VM's end that a process can see.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;

use rustix::net::netlink::{KOBJECT_UEVENT, SocketAddrNetlink};
use rustix::net::sockopt::set_socket_recv_buffer_size_force;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};

use super::Kvm;
use crate::{HostFault, Stop};

/// How often a VM is made to find out under which number the kernel announces this process's, while others make VMs too.
const ROUNDS: usize = 32;

/// How many bytes of announcements may wait.
const ROOM: usize = 1 << 22;

/// A listener to `/dev/kvm`'s uevents.
#[derive(Debug)]
pub struct Uevents {
    socket: OwnedFd,
    own: i32,
}

/// One announcement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uevent {
    /// EVENT: what became of the VM.
    pub event: VmEvent,
    /// PID: the thread that made it, as the initial PID namespace counts.
    pub pid: i32,
    /// CREATED: how many VMs this kernel has made, this one included.
    pub created: u64,
    /// COUNT: how many there are now.
    pub count: u64,
}

/// What a uevent says of a VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VmEvent {
    /// It was made.
    Create,
    /// It is being freed.
    Destroy,
}

impl Uevents {
    /// Listens from now on. Where no uevent reaches this process, the claim is skipped.
    pub fn listen() -> Result<Self, Stop> {
        let socket = socket_with(
            AddressFamily::NETLINK,
            SocketType::DGRAM,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            Some(KOBJECT_UEVENT),
        )
        .and_then(|socket| bind(&socket, &SocketAddrNetlink::new(0, 1)).map(|()| socket))
        .map_err(|errno| Stop::Skip(format!("this process may not listen to uevents: {errno}")))?;
        // Other processes' VMs are announced too. Only root may ask for more room than usual, and the usual does mostly.
        let _ = set_socket_recv_buffer_size_force(&socket, ROOM);
        let mut listener = Self { socket, own: 0 };
        listener.own = listener.find_own()?;
        Ok(listener)
    }

    /// The number by which the kernel announces this thread's VMs.
    pub fn own(&self) -> i32 {
        self.own
    }

    /// What has been announced of this thread's VMs since the last call.
    pub fn heard(&self) -> Result<Vec<VmEvent>, Stop> {
        self.heard_of(self.own)
    }

    /// What has been announced of the VMs of the thread `pid` since the last call.
    pub fn heard_of(&self, pid: i32) -> Result<Vec<VmEvent>, Stop> {
        Ok(self.take()?.iter().filter(|uevent| uevent.pid == pid).map(|uevent| uevent.event).collect())
    }

    /// Every announcement since the last call, whosever VM it is about.
    pub fn take(&self) -> Result<Vec<Uevent>, Stop> {
        let mut heard = Vec::new();
        let mut bytes = vec![0; 8192];
        loop {
            match recv(&self.socket, &mut bytes[..], RecvFlags::empty()) {
                Ok((length, _)) => heard.extend(Uevent::parse(&bytes[..length])),
                Err(rustix::io::Errno::AGAIN) => return Ok(heard),
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => {
                    return Err(Stop::HostFault(HostFault(format!("cannot hear uevents: {errno}"))));
                }
            }
        }
    }

    /// The one number under which each of the VMs made here was announced: other processes' numbers come and go.
    fn find_own(&self) -> Result<i32, Stop> {
        let kvm = Kvm::open()?;
        let mut always: Option<BTreeSet<i32>> = None;
        for _ in 0..ROUNDS {
            self.take()?;
            let vm = kvm.create_vm(0)?;
            let heard = self.take()?;
            drop(vm);
            let creators: BTreeSet<i32> =
                heard.iter().filter(|heard| heard.event == VmEvent::Create).map(|heard| heard.pid).collect();
            let left = match &always {
                Some(always) => always & &creators,
                None => creators,
            };
            match left.len() {
                0 => return Err(Stop::Skip("KVM's uevents do not reach this process".into())),
                1 => {
                    self.take()?;
                    return Ok(left.first().copied().unwrap_or_default());
                }
                _ => always = Some(left),
            }
        }
        Err(Stop::HostFault(HostFault(
            "too many VMs are made by others to tell whose uevent is whose".into(),
        )))
    }
}

impl Uevent {
    /// Reads a uevent's lines; none where it is not about a VM.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let field = |name: &str| {
            text.split('\0')
                .filter_map(|line| line.split_once('='))
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value)
        };
        if !field("DEVPATH")?.ends_with("/misc/kvm") {
            return None;
        }
        let event = match field("EVENT")? {
            "create" => VmEvent::Create,
            "destroy" => VmEvent::Destroy,
            _ => return None,
        };
        let number = |name| field(name)?.parse().ok();
        Some(Self {
            event,
            pid: field("PID")?.parse().ok()?,
            created: number("CREATED")?,
            count: number("COUNT")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Uevent, VmEvent};

    #[test]
    fn a_kernels_uevent_is_read() {
        let text = b"change@/devices/virtual/misc/kvm\0ACTION=change\0DEVPATH=/devices/virtual/misc/kvm\0SUBSYSTEM=misc\0\
                     CREATED=41\0COUNT=1\0EVENT=create\0PID=13132\0STATS_PATH=/kvm/13132-5\0";
        let expected = Uevent { event: VmEvent::Create, pid: 13132, created: 41, count: 1 };
        assert_eq!(Uevent::parse(text), Some(expected));
        assert_eq!(
            Uevent::parse(b"add@/devices/x\0DEVPATH=/devices/x\0EVENT=create\0PID=1\0CREATED=1\0COUNT=1\0"),
            None
        );
    }
}
