//! A vCPU's descriptor and its run page: `api.rst` 4.10 "KVM_RUN" and 5 "The kvm_run structure".
#![expect(
    unsafe_code,
    reason = "reads the fields of the run page that its exit reason names, and does one ioctl by hand"
)]

use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::thread::{self, ThreadId};

use kvm_bindings::{
    KVM_EXIT_DIRTY_RING_FULL, KVM_MP_STATE_RUNNABLE, KVM_MP_STATE_UNINITIALIZED, Msrs, kvm_lapic_state,
    kvm_mp_state, kvm_msr_entry, kvm_regs, kvm_sregs, kvm_vcpu_events,
};
use kvm_ioctls::{VcpuExit, VcpuFd};

use super::kick::{KvmKick, handle_signal};
use super::reset;
use super::shown::Shown;
use super::trace::{of_cpu, told};
use crate::IrqChip;
use crate::accel::{AccelError, Cpu, CpuError, Exit, Kick};
use crate::clock::Nanos;

/// A vCPU.
pub(super) struct KvmCpu {
    fd: VcpuFd,
    irqchip: IrqChip,
    is_bootstrap: bool,
    kick: Arc<KvmKick>,
    /// The thread that the kick's signal goes to.
    thread: Option<ThreadId>,
    shown: Arc<Shown>,
}

/// What the run page says, with the data found but not yet reached.
enum Found {
    Out(u16, *const [u8]),
    In(u16, *mut [u8]),
    MmioWrite(u64, *const [u8]),
    MmioRead(u64, *mut [u8]),
    Halt,
    Kicked,
    Open,
    ReadMsr(u32, *mut u64, *mut u8),
    WriteMsr(u32, u64, *mut u8),
    EndOfInterrupt(u8),
    Shutdown,
    RingFull,
    InternalError,
    Other(String),
}

impl KvmCpu {
    pub(super) fn new(
        mut fd: VcpuFd,
        shown: Arc<Shown>,
        irqchip: IrqChip,
        is_bootstrap: bool,
    ) -> Result<Self, AccelError> {
        handle_signal()?;
        let immediate_exit = &raw mut fd.get_kvm_run().immediate_exit;
        // SAFETY: the byte lies in the run page, which is mapped as long as `fd` lives, and dropping this cuts the kick off first.
        let kick = unsafe { KvmKick::new(immediate_exit) };
        Ok(Self { fd, irqchip, is_bootstrap, kick: Arc::new(kick), thread: None, shown })
    }

    /// KVM_RUN, and what the run page says of its end.
    fn enter(&mut self) -> Result<Found, CpuError> {
        Ok(match told("KVM_RUN", self.fd.run()) {
            Ok(VcpuExit::IoOut(port, data)) => Found::Out(port, data),
            Ok(VcpuExit::IoIn(port, data)) => Found::In(port, data),
            Ok(VcpuExit::MmioWrite(address, data)) => Found::MmioWrite(address, data),
            Ok(VcpuExit::MmioRead(address, data)) => Found::MmioRead(address, data),
            Ok(VcpuExit::Hlt) => Found::Halt,
            Ok(VcpuExit::Intr) => Found::Kicked,
            Ok(VcpuExit::InternalError) => Found::InternalError,
            Ok(VcpuExit::Shutdown) => Found::Shutdown,
            Ok(VcpuExit::IrqWindowOpen) => Found::Open,
            // The run page has the priority anyway.
            Ok(VcpuExit::SetTpr) => Found::Open,
            Ok(VcpuExit::IoapicEoi(vector)) => Found::EndOfInterrupt(vector),
            Ok(VcpuExit::X86Rdmsr(exit)) => Found::ReadMsr(exit.index, exit.data, exit.error),
            Ok(VcpuExit::X86Wrmsr(exit)) => Found::WriteMsr(exit.index, exit.data, exit.error),
            Ok(VcpuExit::Unsupported(KVM_EXIT_DIRTY_RING_FULL)) => Found::RingFull,
            Ok(VcpuExit::FailEntry(reason, processor)) => {
                Found::Other(format!("KVM_EXIT_FAIL_ENTRY with reason {reason:#x} of processor {processor}"))
            }
            Ok(other) => Found::Other(format!("exit {other:?}")),
            Err(error) if matches!(error.errno(), libc::EINTR | libc::EAGAIN) => Found::Kicked,
            Err(error) => return Err(CpuError::Refused { call: "KVM_RUN", source: io::Error::from(error) }),
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

impl KvmCpu {
    /// KVM_INTERRUPT, which the wrappers lack: `api.rst` 4.16.
    fn inject(&self, vector: u8) -> Result<(), kvm_ioctls::Error> {
        let interrupt = kvm_bindings::kvm_interrupt { irq: vector.into() };
        // SAFETY: the descriptor is a vCPU's, and the kernel reads the structure alone.
        match unsafe { libc::ioctl(self.fd.as_raw_fd(), KVM_INTERRUPT, &raw const interrupt) } {
            0 => Ok(()),
            _ => Err(kvm_ioctls::Error::last()),
        }
    }

    /// The kernel's local APIC as after power-up, and whether the vCPU waits for a start-up message.
    fn reset_apic(&mut self) -> Result<(), CpuError> {
        let before = of_cpu("KVM_GET_LAPIC", self.fd.get_lapic())?;
        let mut after = kvm_lapic_state::default();
        let mut put = |register: usize, bytes: [libc::c_char; 4]| {
            after.regs[register..register + 4].copy_from_slice(&bytes);
        };
        for kept in [0x20, 0x30] {
            let bytes = &before.regs[kept..kept + 4];
            put(kept, [bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
        put(0xe0, [-1; 4]);
        put(0xf0, [-1, 0, 0, 0]);
        for entry in (0x320..0x380).step_by(0x10) {
            put(entry, [0, 0, 1, 0]);
        }
        if self.is_bootstrap {
            // Virtual-wire mode, as KVM leaves it for whoever comes without firmware.
            put(0x350, [0, 7, 0, 0]);
        }
        of_cpu("KVM_SET_LAPIC", self.fd.set_lapic(&after))?;
        let mp_state = if self.is_bootstrap { KVM_MP_STATE_RUNNABLE } else { KVM_MP_STATE_UNINITIALIZED };
        of_cpu("KVM_SET_MP_STATE", self.fd.set_mp_state(kvm_mp_state { mp_state }))
    }
}

/// A ring that cannot be emptied keeps its vCPU from going on.
fn of_ring(error: AccelError) -> CpuError {
    match error {
        AccelError::Refused { call, source } => CpuError::Refused { call, source },
        other => CpuError::Refused { call: "KVM_RESET_DIRTY_RINGS", source: io::Error::other(other) },
    }
}

/// `_IOW(KVMIO, 0x86, struct kvm_interrupt)`.
const KVM_INTERRUPT: libc::c_ulong = 0x4004_ae86;

impl Cpu for KvmCpu {
    fn run(&mut self, left: &mut dyn FnMut(u8, u64)) -> Result<Exit<'_>, CpuError> {
        let thread = thread::current().id();
        if self.thread != Some(thread) {
            self.kick.come_to_this_thread();
            self.thread = Some(thread);
        }
        let mut found = self.enter()?;
        while matches!(found, Found::RingFull) {
            self.shown.empty_rings().map_err(of_ring)?;
            found = self.enter()?;
        }
        let run = self.fd.get_kvm_run();
        left((run.cr8 & 0xf) as u8, run.apic_base);
        Ok(match found {
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
            Found::Open => Exit::Open,
            Found::ReadMsr(msr, data, faults) => {
                // SAFETY: as above, for two different fields.
                Exit::ReadMsr { msr, data: unsafe { &mut *data }, faults: unsafe { &mut *faults } }
            }
            Found::WriteMsr(msr, data, faults) => {
                // SAFETY: as above.
                Exit::WriteMsr { msr, data, faults: unsafe { &mut *faults } }
            }
            Found::EndOfInterrupt(vector) => Exit::EndOfInterrupt(vector),
            Found::Shutdown => Exit::Shutdown,
            Found::RingFull => Exit::Kicked,
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

    fn is_open(&mut self) -> bool {
        self.fd.get_kvm_run().ready_for_interrupt_injection != 0
    }

    fn interrupt(&mut self, vector: u8) -> Result<(), CpuError> {
        self.fd.get_kvm_run().ready_for_interrupt_injection = 0;
        of_cpu("KVM_INTERRUPT", self.inject(vector))
    }

    fn nmi(&mut self) -> Result<(), CpuError> {
        of_cpu("KVM_NMI", self.fd.nmi())
    }

    fn want_open(&mut self, wanted: bool) {
        self.fd.get_kvm_run().request_interrupt_window = wanted.into();
    }

    fn set_cr8(&mut self, cr8: u8) {
        self.fd.get_kvm_run().cr8 = cr8.into();
    }

    fn time_of_tsc(&self, tsc: u64, now: Nanos) -> Result<Nanos, CpuError> {
        const TSC: u32 = 0x10;
        let khz = of_cpu("KVM_GET_TSC_KHZ", self.fd.get_tsc_khz())?;
        let mut msrs = [kvm_msr_entry { index: TSC, ..Default::default() }];
        if let Ok(mut wanted) = Msrs::from_entries(&msrs) {
            of_cpu("KVM_GET_MSRS", self.fd.get_msrs(&mut wanted))?;
            msrs.copy_from_slice(wanted.as_slice());
        }
        let left = u128::from(tsc.saturating_sub(msrs[0].data)) * 1_000_000 / u128::from(khz.max(1));
        Ok(now.saturating_add(Nanos::try_from(left).unwrap_or(Nanos::MAX)))
    }

    fn reset(&mut self) -> Result<(), CpuError> {
        let sregs = reset::sregs(self.sregs()?);
        self.set_sregs(&sregs)?;
        self.set_regs(&reset::regs())?;
        of_cpu("KVM_SET_VCPU_EVENTS", self.fd.set_vcpu_events(&kvm_vcpu_events::default()))?;
        if matches!(self.irqchip, IrqChip::Kernel | IrqChip::Split) {
            self.reset_apic()?;
        }
        Ok(())
    }

    fn regs(&self) -> Result<kvm_regs, CpuError> {
        of_cpu("KVM_GET_REGS", self.fd.get_regs())
    }

    fn set_regs(&mut self, regs: &kvm_regs) -> Result<(), CpuError> {
        of_cpu("KVM_SET_REGS", self.fd.set_regs(regs))
    }

    fn sregs(&self) -> Result<kvm_sregs, CpuError> {
        of_cpu("KVM_GET_SREGS", self.fd.get_sregs())
    }

    fn set_sregs(&mut self, sregs: &kvm_sregs) -> Result<(), CpuError> {
        of_cpu("KVM_SET_SREGS", self.fd.set_sregs(sregs))
    }
}

impl Drop for KvmCpu {
    fn drop(&mut self) {
        self.kick.cut();
    }
}
