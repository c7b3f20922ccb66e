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
    CpuId, KVM_EXIT_DIRTY_RING_FULL, Msrs, kvm_fpu, kvm_msr_entry, kvm_regs, kvm_run, kvm_sregs,
};
use kvm_ioctls::{VcpuExit, VcpuFd};
use serde_json::Value;

use super::debug;
use super::kick::{KvmKick, handle_signal};
use super::reset::{self, PowerUp};
use super::shown::Shown;
use super::state::{VcpuState, leave_guests, whole};
use super::trace::{of_cpu, told};
use super::watcher;
use crate::IrqChip;
use crate::accel::{AccelError, Cpu, CpuError, Debugging, Exit, Kick, Stopped};
use crate::clock::Nanos;

/// A vCPU.
pub(super) struct KvmCpu {
    fd: VcpuFd,
    run: RunPage,
    power_up: PowerUp,
    kick: Arc<KvmKick>,
    /// The thread that the kick's signal goes to.
    thread: Option<ThreadId>,
    shown: Arc<Shown>,
    /// What it was made with: its processor's leaves, and the MSRs that there are to be saved.
    cpuid: CpuId,
    msrs: Vec<u32>,
    has_apic: bool,
    /// The interrupt that KVM was given for its own local APIC and has not looked at yet: nothing that can be saved tells of it.
    given: Option<u8>,
    /// Whether it is the first of its machine.
    is_first: bool,
}

/// What the run page says until KVM_RUN comes to the guest: no exit has this number.
const NOT_ENTERED: u32 = u32::MAX;

/// A vCPU's run page. It is never borrowed as a whole while a guest is not running: another thread stores `immediate_exit`, and what
/// an exit carries is borrowed while other fields are read.
struct RunPage(*mut kvm_run);

// SAFETY: the page belongs to its vCPU, with which it goes from thread to thread; but for `immediate_exit`, which is reached by an
// atomic alone, only the thread that has the vCPU reaches it.
unsafe impl Send for RunPage {}

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
    Debug(Stopped, u64),
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
        cpuid: CpuId,
        msrs: &[u32],
        is_first: bool,
    ) -> Result<Self, AccelError> {
        handle_signal()?;
        let has_apic = matches!(irqchip, IrqChip::Kernel | IrqChip::Split);
        let power_up = PowerUp::of(&fd, msrs, has_apic)?;
        let run = RunPage(&raw mut *fd.get_kvm_run());
        // SAFETY: the byte lies in the run page, which is mapped as long as `fd` lives, and dropping this cuts the kick off first.
        let kick = unsafe { KvmKick::new(&raw mut (*run.0).immediate_exit) };
        let (kick, msrs) = (Arc::new(kick), power_up.msrs());
        Ok(Self {
            fd,
            run,
            power_up,
            kick,
            thread: None,
            shown,
            cpuid,
            msrs,
            has_apic,
            given: None,
            is_first,
        })
    }

    /// KVM_RUN, and what the run page says of its end.
    fn enter(&mut self) -> Result<Found, CpuError> {
        // SAFETY: the page is mapped, and no exit's data is borrowed.
        unsafe { (*self.run.0).exit_reason = NOT_ENTERED };
        let found = self.enter_and_find();
        // SAFETY: as above: what is found is not reached yet.
        if unsafe { (*self.run.0).exit_reason } != NOT_ENTERED {
            self.given = None;
        }
        found
    }

    fn enter_and_find(&mut self) -> Result<Found, CpuError> {
        Ok(match told("KVM_RUN", self.fd.run()) {
            Ok(VcpuExit::IoOut(port, data)) => Found::Out(port, data),
            Ok(VcpuExit::IoIn(port, data)) => Found::In(port, data),
            Ok(VcpuExit::MmioWrite(address, data)) => Found::MmioWrite(address, data),
            Ok(VcpuExit::MmioRead(address, data)) => Found::MmioRead(address, data),
            Ok(VcpuExit::Hlt) => Found::Halt,
            Ok(VcpuExit::Intr) => Found::Kicked,
            Ok(VcpuExit::InternalError) => Found::InternalError,
            Ok(VcpuExit::Debug(exit)) => Found::Debug(debug::stopped(&exit), exit.pc),
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
    fn io_size(&self) -> usize {
        // SAFETY: the page is mapped, and the exit reason is KVM_EXIT_IO, so `io` is what the union holds; any bytes make one.
        usize::from(unsafe { (*self.run.0).__bindgen_anon_1.io }.size)
    }

    /// What the KVM_EXIT_INTERNAL_ERROR that the run page holds carries.
    fn internal_error(&self) -> String {
        // SAFETY: the page is mapped, and the exit reason is KVM_EXIT_INTERNAL_ERROR, so `internal` is what the union holds; any
        // bytes make one.
        let internal = unsafe { (*self.run.0).__bindgen_anon_1.internal };
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

    /// Registers and events as after power-up, or as after an INIT, which these are.
    fn begin_anew(&mut self, sregs: &kvm_sregs) -> Result<(), CpuError> {
        self.set_sregs(sregs)?;
        self.set_regs(&reset::regs())?;
        let before = of_cpu("KVM_GET_VCPU_EVENTS", self.fd.get_vcpu_events())?;
        of_cpu("KVM_SET_VCPU_EVENTS", self.fd.set_vcpu_events(&reset::events(before)))
    }

    /// The guest takes no interrupt until KVM says so again.
    fn close(&mut self) {
        // SAFETY: the page is mapped, and no exit's data is borrowed.
        unsafe { (*self.run.0).ready_for_interrupt_injection = 0 };
    }

    fn put_xsave_back(&self) -> Result<(), CpuError> {
        let Some(xsave) = &self.power_up.xsave else { return Ok(()) };
        // SAFETY: the kernel reads more than the structure has only where the process has asked for states that are off by default,
        // which this program does not.
        of_cpu("KVM_SET_XSAVE", unsafe { self.fd.set_xsave(xsave) })
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
/// RFLAGS.IF.
const INTERRUPT_FLAG: u64 = 1 << 9;

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
        if !matches!(found, Found::Kicked) {
            // SAFETY: the page is mapped, and nobody writes to it while KVM_RUN is not being done, but to the byte of the kick.
            watcher::show(unsafe { &*self.run.0 });
        }
        // SAFETY: the page is mapped. Only these fields are read, so that what the exit carries stays as it is.
        let (cr8, apic_base) = unsafe { ((*self.run.0).cr8, (*self.run.0).apic_base) };
        left((cr8 & 0xf) as u8, apic_base);
        Ok(match found {
            // SAFETY: here and below: the data lies in the mapping of the run page, which lives as long as `self`, out of the way of
            // the fields that are read in between; the borrow of `self` keeps KVM_RUN from being done and the page from being
            // reached meanwhile, but for the byte of the kick, which is no part of it.
            Found::Out(port, data) => Exit::Out { port, size: self.io_size(), data: unsafe { &*data } },
            // SAFETY: as above.
            Found::In(port, data) => Exit::In { port, size: self.io_size(), data: unsafe { &mut *data } },
            // SAFETY: as above.
            Found::MmioWrite(address, data) => Exit::MmioWrite { address, data: unsafe { &*data } },
            // SAFETY: as above.
            Found::MmioRead(address, data) => Exit::MmioRead { address, data: unsafe { &mut *data } },
            Found::Halt => Exit::Halt,
            Found::Kicked => {
                self.kick.stay(false);
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
            Found::Debug(stopped, at) => Exit::Debug(stopped, at),
            Found::Shutdown => Exit::Shutdown,
            Found::RingFull => Exit::Kicked,
            Found::InternalError => Exit::Other(self.internal_error()),
            Found::Other(exit) => Exit::Other(exit),
        })
    }

    fn leave(&mut self) {
        self.kick.stay(true);
    }

    fn kick(&self) -> Arc<dyn Kick> {
        Arc::<KvmKick>::clone(&self.kick)
    }

    fn is_open(&mut self) -> bool {
        // SAFETY: the page is mapped, and no exit's data is borrowed.
        unsafe { (*self.run.0).ready_for_interrupt_injection != 0 }
    }

    fn interrupt(&mut self, vector: u8) -> Result<(), CpuError> {
        self.close();
        self.given = self.has_apic.then_some(vector);
        of_cpu("KVM_INTERRUPT", self.inject(vector))
    }

    fn nmi(&mut self) -> Result<(), CpuError> {
        of_cpu("KVM_NMI", self.fd.nmi())
    }

    fn want_open(&mut self, wanted: bool) {
        // SAFETY: the page is mapped, and no exit's data is borrowed.
        unsafe { (*self.run.0).request_interrupt_window = wanted.into() };
    }

    fn set_cr8(&mut self, cr8: u8) {
        // SAFETY: the page is mapped, and no exit's data is borrowed.
        unsafe { (*self.run.0).cr8 = cr8.into() };
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

    fn init(&mut self) -> Result<(), CpuError> {
        let sregs = reset::sregs_of_init(self.sregs()?);
        self.begin_anew(&sregs)?;
        self.power_up.put_back_debug_registers(&self.fd)
    }

    fn reset(&mut self) -> Result<(), CpuError> {
        leave_guests(&self.fd)?;
        let sregs = self.power_up.sregs;
        self.begin_anew(&sregs)?;
        self.power_up.put_back(&self.fd)?;
        self.put_xsave_back()
    }

    fn debug(&mut self, how: &Debugging) -> Result<(), CpuError> {
        of_cpu("KVM_SET_GUEST_DEBUG", self.fd.set_guest_debug(&debug::control(how)))
    }

    fn translate(&self, address: u64) -> Result<Option<u64>, CpuError> {
        let found = of_cpu("KVM_TRANSLATE", self.fd.translate_gva(address))?;
        Ok((found.valid != 0).then_some(found.physical_address))
    }

    fn fpu(&self) -> Result<kvm_fpu, CpuError> {
        of_cpu("KVM_GET_FPU", self.fd.get_fpu())
    }

    fn set_fpu(&mut self, fpu: &kvm_fpu) -> Result<(), CpuError> {
        of_cpu("KVM_SET_FPU", self.fd.set_fpu(fpu))
    }

    fn state(&self) -> Result<Value, CpuError> {
        // SAFETY: the page is mapped, and no exit's data is borrowed.
        let is_open = unsafe { (*self.run.0).ready_for_interrupt_injection != 0 };
        let mut state = VcpuState::of(&self.fd, &self.cpuid, &self.msrs, self.has_apic, is_open)?;
        state.given = self.given;
        Ok(serde_json::to_value(state)?)
    }

    fn load(&mut self, state: Value) -> Result<(), CpuError> {
        let state: VcpuState = whole(&state)?;
        if let Some(why) = state.misfit(&self.cpuid, &self.msrs, self.has_apic) {
            return Err(CpuError::OtherState(why));
        }
        state.put(&self.fd, self.is_first)?;
        if let Some(vector) = state.given {
            self.interrupt(vector)?;
        }
        self.set_cr8((state.sregs.cr8 & 0xf) as u8);
        // SAFETY: the page is mapped, and no exit's data is borrowed.
        unsafe { (*self.run.0).ready_for_interrupt_injection = state.is_open.into() };
        Ok(())
    }

    fn regs(&self) -> Result<kvm_regs, CpuError> {
        of_cpu("KVM_GET_REGS", self.fd.get_regs())
    }

    fn set_regs(&mut self, regs: &kvm_regs) -> Result<(), CpuError> {
        // What the run page says is of the registers before.
        if regs.rflags & INTERRUPT_FLAG == 0 {
            self.close();
        }
        of_cpu("KVM_SET_REGS", self.fd.set_regs(regs))
    }

    fn sregs(&self) -> Result<kvm_sregs, CpuError> {
        of_cpu("KVM_GET_SREGS", self.fd.get_sregs())
    }

    fn set_sregs(&mut self, sregs: &kvm_sregs) -> Result<(), CpuError> {
        // An interrupt that is being taken already leaves no room for another.
        if sregs.interrupt_bitmap != [0; 4] {
            self.close();
        }
        // Without a local APIC in the kernel the next entry takes it from the run page.
        self.set_cr8((sregs.cr8 & 0xf) as u8);
        of_cpu("KVM_SET_SREGS", self.fd.set_sregs(sregs))
    }
}

impl Drop for KvmCpu {
    fn drop(&mut self) {
        self.kick.cut();
    }
}
