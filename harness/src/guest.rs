//! Bare KVM as a subject: one VM, one vCPU, one slot of RAM, no interrupt controller, and every exit written down.
#![expect(unsafe_code, reason = "linkme places the subject in the slice's link section")]

use std::sync::Arc;

use guests::{EntryState, Event, Image, Memory as Compared, Registers, Story};

use crate::kvm::{Exit, Kvm, Memory, Vcpu, Vm};
use crate::subject::fault;
use crate::{Broken, Stop, entry, subject};

subject!("kvm", "bare KVM: one vCPU, one slot, no interrupt controller", tell);

/// After so many exits a guest will not come to its end by itself any more.
const EXITS: usize = 1000;

/// A guest on bare KVM, entered and not yet run.
#[derive(Debug)]
pub struct Guest {
    image: Image,
    memory: Arc<Memory>,
    vcpu: Vcpu,
    others: Vec<Vcpu>,
    vm: Vm,
}

fn tell(image: &Image, replies: &mut dyn Iterator<Item = Vec<u8>>) -> Result<Story, Stop> {
    Guest::of(image)?.tell(replies)
}

impl Guest {
    /// Lays the image out in a VM of its own and enters its state.
    pub fn of(image: &Image) -> Result<Self, Stop> {
        let kvm = Kvm::open()?;
        let vm = kvm.create_vm(0)?;
        let ram = image.ram();
        let memory = Arc::new(Memory::new(ram.len())?);
        memory.write(0, &ram)?;
        vm.set_memory(0, 0, 0, &memory)?;
        vm.set_tss_addr()?;
        let cpuid = kvm.get_supported_cpuid()?;
        let enter = |id: u64, state: &EntryState| -> Result<Vcpu, Stop> {
            let vcpu = vm.create_vcpu(id)?;
            vcpu.set_cpuid2(&cpuid)?;
            vcpu.set_sregs(&entry::sregs(state, vcpu.get_sregs()?))?;
            vcpu.set_regs(&entry::regs(&state.registers))?;
            Ok(vcpu)
        };
        let vcpu = enter(0, &image.entry)?;
        let others =
            (1..).zip(&image.others).map(|(id, state)| enter(id, state)).collect::<Result<_, _>>()?;
        Ok(Self { image: image.clone(), memory, vcpu, others, vm })
    }

    /// Lays everything out and enters the state again, as it was at first: what the image does not name stays as it is.
    pub fn reset(&self) -> Result<(), Stop> {
        self.memory.write(0, &self.image.ram())?;
        for (vcpu, state) in self.vcpus().zip([&self.image.entry].into_iter().chain(&self.image.others)) {
            vcpu.set_sregs(&entry::sregs(state, vcpu.get_sregs()?))?;
            vcpu.set_regs(&entry::regs(&state.registers))?;
        }
        Ok(())
    }

    /// Runs the guest until it halts or leaves with anything but an access, and tells its story.
    pub fn tell(&self, replies: &mut dyn Iterator<Item = Vec<u8>>) -> Result<Story, Stop> {
        let mut events = Vec::new();
        for _ in 0..EXITS {
            let event = self.next(0, replies)?;
            let goes_on = !matches!(event, Event::Halt | Event::Exit(_));
            events.push(event);
            if !goes_on {
                return Ok(Story::of(events).ending(self.registers()?, self.ram()?));
            }
        }
        let rip = self.registers()?.rip;
        let last = events.last().map(ToString::to_string).unwrap_or_default();
        let broken = Broken::new(format!(
            "the guest did not come to its end within {EXITS} exits; the last was {last}"
        ));
        Err(Stop::Hung(Box::new(broken.with(self.image.code.around(rip)))))
    }

    /// Runs a vCPU to its next exit, answers it, and says what it was.
    pub fn next(&self, vcpu: usize, replies: &mut dyn Iterator<Item = Vec<u8>>) -> Result<Event, Stop> {
        let vcpu = self.vcpus().nth(vcpu).ok_or_else(|| fault(format!("the image has no vCPU {vcpu}")))?;
        let exit = vcpu.run()?;
        answer(vcpu, &exit, replies)
    }

    /// The image that it runs.
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// The general registers.
    pub fn registers(&self) -> Result<Registers, Stop> {
        Ok(entry::registers(&self.vcpu.get_regs()?))
    }

    /// What became of the image's RAM.
    pub fn ram(&self) -> Result<Compared, Stop> {
        Ok(Compared::compare(&self.image, &self.memory.read(0, self.memory.len())?))
    }

    /// Its RAM, from guest-physical address zero.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Its VM.
    pub fn vm(&self) -> &Vm {
        &self.vm
    }

    /// Its first vCPU.
    pub fn vcpu(&self) -> &Vcpu {
        &self.vcpu
    }

    /// All of its vCPUs.
    pub fn vcpus(&self) -> impl Iterator<Item = &Vcpu> {
        [&self.vcpu].into_iter().chain(&self.others)
    }
}

/// Gives the guest what it reads, and writes down what it did.
pub(crate) fn answer(
    vcpu: &Vcpu,
    exit: &Exit,
    replies: &mut dyn Iterator<Item = Vec<u8>>,
) -> Result<Event, Stop> {
    let mut reply = |length: usize| -> Result<Vec<u8>, Stop> {
        let mut bytes = replies.next().unwrap_or_default();
        bytes.resize(length, 0xff);
        let page = vcpu.run_page()?;
        let at = exit.reply_at().ok_or_else(|| no_place(exit))?;
        if at + length > page.len() {
            return Err(no_place(exit));
        }
        for (offset, byte) in bytes.iter().enumerate() {
            page.put(at + offset, *byte);
        }
        Ok(bytes)
    };
    Ok(match exit {
        Exit::Io { out: true, size, port, data, .. } => {
            Event::Out { port: *port, size: *size, data: data.clone() }
        }
        Exit::Io { out: false, size, port, count, .. } => {
            let data = reply(usize::from(*size) * *count as usize)?;
            Event::In { port: *port, size: *size, data }
        }
        Exit::Mmio { write: true, address, data } => Event::mmio_write(*address, data.clone()),
        Exit::Mmio { write: false, address, data } => Event::mmio_read(*address, reply(data.len())?),
        Exit::Hlt => Event::Halt,
        other => Event::Exit(format!("{other:x?}")),
    })
}

/// The exit says that the guest reads, and names no place in the mapping for the answer.
fn no_place(exit: &Exit) -> Stop {
    Broken::new(format!("the exit has no place for what the guest reads: {exit:x?}")).into()
}
