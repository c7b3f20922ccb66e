//! Bare KVM as a subject: one VM, one vCPU, one slot of RAM, no interrupt controller, and every exit written down.
#![expect(unsafe_code, reason = "linkme places the subject in the slice's link section")]

use std::sync::Arc;

use guests::{Event, Image, Memory as Compared, Registers, Story};

use crate::kvm::{Exit, Kvm, Memory, Vcpu, Vm};
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
    _vm: Vm,
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
        let vcpu = vm.create_vcpu(0)?;
        vcpu.set_cpuid2(&kvm.get_supported_cpuid()?)?;
        vcpu.set_sregs(&entry::sregs(&image.entry, vcpu.get_sregs()?))?;
        vcpu.set_regs(&entry::regs(&image.entry.registers))?;
        Ok(Self { image: image.clone(), memory, vcpu, _vm: vm })
    }

    /// Runs the guest until it halts or leaves with anything but an access, and tells its story.
    pub fn tell(&self, replies: &mut dyn Iterator<Item = Vec<u8>>) -> Result<Story, Stop> {
        let mut events = Vec::new();
        for _ in 0..EXITS {
            let exit = self.vcpu.run()?;
            let event = self.answer(&exit, replies)?;
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

    /// The general registers.
    pub fn registers(&self) -> Result<Registers, Stop> {
        Ok(entry::registers(&self.vcpu.get_regs()?))
    }

    /// What became of the image's RAM.
    pub fn ram(&self) -> Result<Compared, Stop> {
        Ok(Compared::compare(&self.image, &self.memory.read(0, self.memory.len())?))
    }

    /// Its vCPU.
    pub fn vcpu(&self) -> &Vcpu {
        &self.vcpu
    }

    /// Gives the guest what it reads, and writes down what it did.
    fn answer(&self, exit: &Exit, replies: &mut dyn Iterator<Item = Vec<u8>>) -> Result<Event, Stop> {
        let mut reply = |length: usize| -> Result<Vec<u8>, Stop> {
            let mut bytes = replies.next().unwrap_or_default();
            bytes.resize(length, 0xff);
            let page = self.vcpu.run_page()?;
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
}

/// The exit says that the guest reads, and names no place in the mapping for the answer.
fn no_place(exit: &Exit) -> Stop {
    Broken::new(format!("the exit has no place for what the guest reads: {exit:x?}")).into()
}
