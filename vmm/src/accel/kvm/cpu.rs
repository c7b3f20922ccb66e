//! A vCPU's descriptor and its run page: `api.rst` 4.10 "KVM_RUN" and 5 "The kvm_run structure".
#![expect(unsafe_code, reason = "reads the fields of the run page that its exit reason names")]

use std::io;
use std::sync::Arc;
use std::thread::{self, ThreadId};

use kvm_bindings::{kvm_regs, kvm_sregs};
use kvm_ioctls::{VcpuExit, VcpuFd};

use super::kick::{KvmKick, handle_signal};
use super::vm::Shown;
use crate::accel::{AccelError, Cpu, CpuError, Exit, Kick};

/// A vCPU.
pub(super) struct KvmCpu {
    fd: VcpuFd,
    kick: Arc<KvmKick>,
    /// The thread that the kick's signal goes to.
    thread: Option<ThreadId>,
    _shown: Shown,
}

/// What the run page says, with the data found but not yet reached.
enum Found {
    Out(u16, *const [u8]),
    In(u16, *mut [u8]),
    MmioWrite(u64, *const [u8]),
    MmioRead(u64, *mut [u8]),
    Halt,
    Kicked,
    InternalError,
    Other(String),
}

impl KvmCpu {
    pub(super) fn new(mut fd: VcpuFd, shown: Shown) -> Result<Self, AccelError> {
        handle_signal()?;
        let immediate_exit = &raw mut fd.get_kvm_run().immediate_exit;
        // SAFETY: the byte lies in the run page, which is mapped as long as `fd` lives, and dropping this cuts the kick off first.
        let kick = unsafe { KvmKick::new(immediate_exit) };
        Ok(Self { fd, kick: Arc::new(kick), thread: None, _shown: shown })
    }

    /// KVM_RUN, and what the run page says of its end.
    fn enter(&mut self) -> Result<Found, CpuError> {
        Ok(match self.fd.run() {
            Ok(VcpuExit::IoOut(port, data)) => Found::Out(port, data),
            Ok(VcpuExit::IoIn(port, data)) => Found::In(port, data),
            Ok(VcpuExit::MmioWrite(address, data)) => Found::MmioWrite(address, data),
            Ok(VcpuExit::MmioRead(address, data)) => Found::MmioRead(address, data),
            Ok(VcpuExit::Hlt) => Found::Halt,
            Ok(VcpuExit::Intr) => Found::Kicked,
            Ok(VcpuExit::InternalError) => Found::InternalError,
            Ok(VcpuExit::Shutdown) => Found::Other("KVM_EXIT_SHUTDOWN".to_owned()),
            Ok(VcpuExit::FailEntry(reason, processor)) => {
                Found::Other(format!("KVM_EXIT_FAIL_ENTRY with reason {reason:#x} of processor {processor}"))
            }
            Ok(other) => Found::Other(format!("exit {other:?}")),
            Err(error) if matches!(error.errno(), libc::EINTR | libc::EAGAIN) => Found::Kicked,
            Err(error) => return Err(refused("KVM_RUN", error)),
        })
    }

    /// The width of one access of the KVM_EXIT_IO that the run page holds.
    fn io_size(&mut self) -> usize {
        // SAFETY: the exit reason is KVM_EXIT_IO, so `io` is what the union holds; any bytes make one.
        usize::from(unsafe { self.fd.get_kvm_run().__bindgen_anon_1.io }.size)
    }

    /// What the KVM_EXIT_INTERNAL_ERROR that the run page holds carries.
    fn internal_error(&mut self) -> String {
        // SAFETY: the exit reason is KVM_EXIT_INTERNAL_ERROR, so `internal` is what the union holds; any bytes make one.
        let internal = unsafe { self.fd.get_kvm_run().__bindgen_anon_1.internal };
        let data = internal.data.iter().take(internal.ndata as usize);
        let data: Vec<String> = data.map(|value| format!("{value:#x}")).collect();
        format!("KVM_EXIT_INTERNAL_ERROR with suberror {} and data [{}]", internal.suberror, data.join(", "))
    }
}

impl Cpu for KvmCpu {
    fn run(&mut self) -> Result<Exit<'_>, CpuError> {
        let thread = thread::current().id();
        if self.thread != Some(thread) {
            self.kick.come_to_this_thread();
            self.thread = Some(thread);
        }
        Ok(match self.enter()? {
            // SAFETY: here and in the three below: the data lies in the mapping of the run page, which lives as long as `self`, out
            // of the way of the fields that are read in between; the borrow of `self` keeps KVM_RUN from being done meanwhile.
            Found::Out(port, data) => Exit::Out { port, size: self.io_size(), data: unsafe { &*data } },
            // SAFETY: as above.
            Found::In(port, data) => Exit::In { port, size: self.io_size(), data: unsafe { &mut *data } },
            // SAFETY: as above.
            Found::MmioWrite(address, data) => Exit::MmioWrite { address, data: unsafe { &*data } },
            // SAFETY: as above.
            Found::MmioRead(address, data) => Exit::MmioRead { address, data: unsafe { &mut *data } },
            Found::Halt => Exit::Halt,
            Found::Kicked => {
                self.fd.set_kvm_immediate_exit(0);
                Exit::Kicked
            }
            Found::InternalError => Exit::Other(self.internal_error()),
            Found::Other(exit) => Exit::Other(exit),
        })
    }

    fn leave(&mut self) {
        self.fd.set_kvm_immediate_exit(1);
    }

    fn kick(&self) -> Arc<dyn Kick> {
        Arc::<KvmKick>::clone(&self.kick)
    }

    fn regs(&self) -> Result<kvm_regs, CpuError> {
        self.fd.get_regs().map_err(|error| refused("KVM_GET_REGS", error))
    }

    fn set_regs(&mut self, regs: &kvm_regs) -> Result<(), CpuError> {
        self.fd.set_regs(regs).map_err(|error| refused("KVM_SET_REGS", error))
    }

    fn sregs(&self) -> Result<kvm_sregs, CpuError> {
        self.fd.get_sregs().map_err(|error| refused("KVM_GET_SREGS", error))
    }

    fn set_sregs(&mut self, sregs: &kvm_sregs) -> Result<(), CpuError> {
        self.fd.set_sregs(sregs).map_err(|error| refused("KVM_SET_SREGS", error))
    }
}

impl Drop for KvmCpu {
    fn drop(&mut self) {
        self.kick.cut();
    }
}

fn refused(call: &'static str, error: kvm_ioctls::Error) -> CpuError {
    CpuError::Refused { call, source: io::Error::from(error) }
}
