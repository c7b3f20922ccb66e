//! Where generated cases are run: a VM and a vCPU that a case sets back and does not make. Pages of RAM are laid again where they
//! differ, and registers where a case can have touched them.
//!
//! A testbed on which anything but the usual happened is not used again.

use std::cell::RefCell;
use std::sync::Arc;

use guests::{Image, MMIO_HOLE, Memory as Compared, RAM, TRAP, strategies::WINDOW};

use crate::kvm::{
    Argument, Descriptor, EINTR, Exit, Guarded, KVM_CAP_DIRTY_LOG_RING, KVM_GET_REGS, KVM_GET_SREGS, KVM_RUN,
    KVM_SET_REGS, KVM_SET_USER_MEMORY_REGION, Kvm, Memory, Vcpu, Vm, abi,
};
use crate::state::State;
use crate::{Controllers, HostFault, Outcome, Stop, entry};

/// The size of a page, in bytes.
pub(crate) const PAGE: usize = 4096;
/// How long a dirty ring is, in pages: room for what Intel's KVM holds in reserve, and as much again.
pub(crate) const RING_PAGES: usize = 4;
/// The slot of the window.
const WINDOW_SLOT: u32 = 100;

/// One memory slot of RAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The first page of it.
    pub first: usize,
    /// How many pages there are.
    pub pages: usize,
    /// KVM_MEM_*.
    pub flags: u32,
}

/// What a testbed is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Setting {
    /// Whether there is RAM where the window of a program for MMIO is.
    pub window: bool,
    /// Who has the interrupt controllers.
    pub controllers: Controllers,
    /// The slots of RAM; one for all of it where there are none.
    pub slots: Vec<Slot>,
    /// Whether vCPUs have dirty rings.
    pub ring: bool,
}

/// A VM and a vCPU on which one case after the other is run.
#[derive(Debug)]
pub struct Testbed {
    setting: Setting,
    /// Each slot's first address and memory, ascending.
    ram: Vec<(usize, Arc<Memory>)>,
    window: Option<Arc<Memory>>,
    /// What RAM and window hold.
    held: (Vec<u8>, Vec<u8>),
    /// Room for all of RAM, which would be made anew for each case otherwise.
    spare: Vec<u8>,
    /// What the vCPU had at first.
    first: State,
    /// The special registers as they are known to be.
    sregs: abi::kvm_sregs,
    touched: Touched,
    registers: RefCell<Guarded>,
    special: RefCell<Guarded>,
    vcpu: Vcpu,
    vm: Vm,
}

/// What the last case can have touched, beside registers and memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Touched {
    vectors: bool,
    msrs: bool,
}

thread_local! {
    /// The testbeds that this process has, and that nobody uses.
    static FREE: RefCell<Vec<Testbed>> = const { RefCell::new(Vec::new()) };
}

/// Closes the testbeds that are left.
pub(crate) fn close() {
    FREE.with(|free| free.borrow_mut().clear());
}

impl Testbed {
    /// A free testbed of this setting with RAM for the image, or a new one, with the image laid out and its state entered.
    pub fn with(setting: &Setting, image: &Image) -> Result<Self, Stop> {
        let free = FREE.with(|free| {
            let mut free = free.borrow_mut();
            let fits =
                |testbed: &Self| testbed.setting == *setting && testbed.held.0.len() as u64 == image.size;
            let at = free.iter().position(fits)?;
            Some(free.swap_remove(at))
        });
        let mut testbed = free.map_or_else(|| Self::new(setting, image), Ok)?;
        testbed.lay(image)?;
        Ok(testbed)
    }

    /// Leaves it to the next case. A layout of slots is one case's own, and so is more RAM than images have: a hypervisor's.
    pub fn give_back(self) {
        if self.setting.slots.is_empty() && self.held.0.len() as u64 == RAM {
            FREE.with(|free| free.borrow_mut().push(self));
        }
    }

    /// A new testbed, with room for the image and nothing of it.
    pub fn new(setting: &Setting, image: &Image) -> Result<Self, Stop> {
        let kvm = Kvm::open()?;
        let vm = kvm.create_vm(0)?;
        if setting.ring {
            vm.enable_cap(KVM_CAP_DIRTY_LOG_RING, [(RING_PAGES * PAGE) as u64, 0, 0, 0])?;
        }
        setting.controllers.bring(&vm)?;
        let size = usize::try_from(image.size).unwrap_or(0);
        let whole = [Slot { first: 0, pages: size / PAGE, flags: 0 }];
        let slots = if setting.slots.is_empty() { &whole[..] } else { &setting.slots };
        let mut ram = Vec::new();
        for (number, slot) in (0..).zip(slots) {
            let memory = Arc::new(Memory::new(slot.pages * PAGE)?);
            vm.set_memory(number, slot.flags, (slot.first * PAGE) as u64, &memory)?;
            ram.push((slot.first * PAGE, memory));
        }
        let length = usize::try_from(WINDOW).unwrap_or(0);
        let window = setting.window.then(|| Memory::new(length).map(Arc::new)).transpose()?;
        if let Some(window) = &window {
            vm.set_memory(WINDOW_SLOT, 0, MMIO_HOLE, window)?;
        }
        vm.set_tss_addr()?;
        let vcpu = vm.create_vcpu(0)?;
        vcpu.set_cpuid2(&kvm.get_supported_cpuid()?)?;
        let first = State::of(&vcpu)?;
        Ok(Self {
            setting: setting.clone(),
            held: (vec![0; size], vec![0; if window.is_some() { length } else { 0 }]),
            spare: Vec::new(),
            ram,
            window,
            sregs: first.sregs,
            first,
            touched: Touched::default(),
            registers: RefCell::new(Guarded::zeroed(size_of::<abi::kvm_regs>())),
            special: RefCell::new(Guarded::zeroed(size_of::<abi::kvm_sregs>())),
            vcpu,
            vm,
        })
    }

    /// Lays the image out and enters its state: afterwards nothing tells of what was there before.
    pub fn lay(&mut self, image: &Image) -> Outcome {
        let (room, size) = (self.held.0.len(), image.size);
        if room as u64 != size {
            let why = format!("cannot lay an image of {size} bytes into {room} bytes of RAM");
            return Err(Stop::HostFault(HostFault(why)));
        }
        let mut wanted = std::mem::take(&mut self.spare);
        image.ram_into(&mut wanted);
        for (index, page) in wanted.chunks(PAGE).enumerate() {
            let at = index * PAGE;
            if self.held.0.get(at..at + page.len()) != Some(page) {
                self.write(at, page)?;
            }
        }
        self.spare = std::mem::replace(&mut self.held.0, wanted);
        if let Some(window) = self.window.as_ref().filter(|_| self.held.1.iter().any(|byte| *byte != TRAP)) {
            window.fill(TRAP)?;
            self.held.1.fill(TRAP);
        }
        let now = Touched { vectors: image.code.touches_vectors(), msrs: image.code.writes_msrs() };
        if self.touched.vectors || now.vectors {
            self.first.load_vectors(&self.vcpu)?;
        }
        if self.touched.msrs {
            self.first.load_msrs(&self.vcpu)?;
        }
        self.touched = now;
        let sregs = entry::sregs(&image.entry, self.first.sregs);
        if sregs != self.sregs {
            self.special.borrow_mut().put(0, &sregs);
            self.vcpu.send(crate::kvm::KVM_SET_SREGS, Argument::Bytes(&mut self.special.borrow_mut()))?;
            self.sregs = sregs;
        }
        self.registers.borrow_mut().put(0, &entry::regs(&image.entry.registers));
        self.vcpu.send(KVM_SET_REGS, Argument::Bytes(&mut self.registers.borrow_mut()))?;
        Ok(())
    }

    /// KVM_RUN, and why it came back; none where something else than the guest ended it.
    pub fn run(&self) -> Result<Option<Exit>, Stop> {
        self.vcpu.run_page()?;
        match self.vcpu.value(KVM_RUN, 0) {
            Ok(_) => Ok(Some(self.vcpu.exit()?)),
            Err(refused) if refused.errno == EINTR => Ok(None),
            Err(refused) => Err(refused.into()),
        }
    }

    /// The general registers.
    pub fn registers(&self) -> Result<guests::Registers, Stop> {
        let mut bytes = self.registers.borrow_mut();
        self.vcpu.send(KVM_GET_REGS, Argument::Bytes(&mut bytes))?;
        Ok(entry::registers(&bytes.get(0)))
    }

    /// The special registers.
    pub fn special(&mut self) -> Result<abi::kvm_sregs, Stop> {
        let mut bytes = self.special.borrow_mut();
        self.vcpu.send(KVM_GET_SREGS, Argument::Bytes(&mut bytes))?;
        self.sregs = bytes.get(0);
        Ok(self.sregs)
    }

    /// What became of RAM since the image was laid.
    pub fn changes(&mut self) -> Result<Compared, Stop> {
        let mut now = std::mem::take(&mut self.spare);
        self.read_into(&mut now)?;
        let changes = Compared::between(&self.held.0, &now);
        self.spare = std::mem::replace(&mut self.held.0, now);
        Ok(changes)
    }

    /// What the window holds, where it is RAM.
    pub fn window(&mut self) -> Result<Option<Vec<u8>>, Stop> {
        let Some(window) = &self.window else { return Ok(None) };
        self.held.1 = window.read(0, window.len())?;
        Ok(Some(self.held.1.clone()))
    }

    /// All of RAM.
    pub fn read(&self) -> Result<Vec<u8>, Stop> {
        let mut all = Vec::new();
        self.read_into(&mut all)?;
        Ok(all)
    }

    fn read_into(&self, all: &mut Vec<u8>) -> Outcome {
        all.resize(self.held.0.len(), 0);
        for (first, memory) in &self.ram {
            memory.read_into(0, &mut all[*first..first + memory.len()])?;
        }
        Ok(())
    }

    /// Takes RAM and window of another testbed, as they are, for its own: what was laid stays known as it is there.
    pub fn take_memory(&mut self, from: &Self) -> Outcome {
        self.write(0, &from.read()?)?;
        self.held = from.held.clone();
        if let (Some(window), Some(other)) = (&self.window, &from.window) {
            window.write(0, &other.read(0, other.len())?)?;
        }
        self.touched = from.touched;
        Ok(())
    }

    fn write(&self, at: usize, bytes: &[u8]) -> Outcome {
        for (first, memory) in &self.ram {
            let start = at.max(*first);
            let end = (at + bytes.len()).min(first + memory.len());
            if start < end {
                memory.write(start - first, &bytes[start - at..end - at])?;
            }
        }
        Ok(())
    }

    /// Moves each slot of RAM to where nothing is and back, as a VMM does that lays out its memory anew.
    pub fn move_slots(&self) -> Outcome {
        for (number, (first, memory)) in (0..).zip(&self.ram) {
            let flags = self.setting.slots.get(number as usize).map_or(0, |slot| slot.flags);
            self.vm.set_memory(number, flags, 0x1000_0000 + *first as u64, memory)?;
            self.vm.set_memory(number, flags, *first as u64, memory)?;
        }
        Ok(())
    }

    /// Deletes each slot of RAM and makes it again.
    pub fn remake_slots(&self) -> Outcome {
        for (number, (first, memory)) in (0..).zip(&self.ram) {
            let flags = self.setting.slots.get(number as usize).map_or(0, |slot| slot.flags);
            let none = abi::kvm_userspace_memory_region { slot: number, ..Default::default() };
            self.vm.write(KVM_SET_USER_MEMORY_REGION, &none)?;
            self.vm.set_memory(number, flags, *first as u64, memory)?;
        }
        Ok(())
    }

    /// Of what it is made.
    pub fn setting(&self) -> &Setting {
        &self.setting
    }

    /// Whether cases touch vector registers now.
    pub fn has_vectors(&self) -> bool {
        self.touched.vectors
    }

    /// Its VM.
    pub fn vm(&self) -> &Vm {
        &self.vm
    }

    /// Its vCPU.
    pub fn vcpu(&self) -> &Vcpu {
        &self.vcpu
    }
}
