//! A PC that begins as PCs do: with firmware in a ROM, which finds the devices by itself and boots from a disc.

use std::fs;
use std::time::{Duration, Instant};

use harness::lab::Firmware;
use harness::{Broken, HostFault, Outcome, Stop, claim, equal};
use vmm::{Builder, Disk, End, IrqChip, Limit, Machine, Media, accel, machine_class};

const MEMORY: u64 = 64 << 20;
/// The clock of the claim is mostly shorter.
const MOST: Duration = Duration::from_secs(300);
/// How long the machine runs until what it says is looked at.
const GLANCE: Limit = Limit { time: Duration::from_millis(500), exits: u64::MAX };
/// The drive that a disc is in: the first of the second channel.
const DRIVE: usize = 2;
/// Where SeaBIOS says what it does.
const DEBUG_PORT: u16 = 0x402;
/// How much of what was said is told with a failure.
const LAST_WORDS: usize = 1500;

/// What GRUB's menu says, the key that leaves it, and what asks for a command then.
const MENU: &str = "for a command-line";
const LEAVES: &[u8] = b"c";
const PROMPT: &str = "grub> ";

fn boots_with_the_kernels_controllers() -> Outcome {
    reaches_the_prompt(IrqChip::Kernel)
}
claim!(
    boots_with_the_kernels_controllers,
    "With all interrupt controllers in the kernel, SeaBIOS begins in our PC's ROM, boots GRUB from an IDE disc, and GRUB asks for a command on the serial line",
    [Api("4.24 KVM_CREATE_IRQCHIP"), Doc("SeaBIOS docs/Execution_and_code_flow.md, POST phase")],
    Firmware,
    Emulator("QEMU"),
    Time(8)
);

fn boots_with_our_controllers() -> Outcome {
    reaches_the_prompt(IrqChip::User)
}
claim!(
    boots_with_our_controllers,
    "With no interrupt controllers in the kernel, SeaBIOS begins in our PC's ROM, boots GRUB from an IDE disc, and GRUB asks for a command on the serial line",
    [Api("4.16 KVM_INTERRUPT"), Doc("SeaBIOS docs/Execution_and_code_flow.md, POST phase")],
    Firmware,
    Emulator("QEMU"),
    Time(8)
);

fn reaches_the_prompt(irqchip: IrqChip) -> Outcome {
    let firmware = Firmware::find().ok_or_else(|| Stop::Skip("there is no firmware".to_owned()))?;
    let mut machine = pc(&firmware, irqchip)?;
    let serial = machine.wires().serial[0].clone();
    let begun = Instant::now();
    let (mut said, mut has_left) = (String::new(), false);
    while !plain(&said).contains(PROMPT) {
        let end = machine.run(GLANCE);
        said.push_str(&String::from_utf8_lossy(&serial.take()));
        match end {
            Ok(End::OutOfTime) if begun.elapsed() > MOST => {
                let why = format!("it did not ask within {MOST:?}; {}", told(&machine, &said));
                return Err(Stop::Hung(Box::new(Broken::new(why))));
            }
            Ok(End::OutOfTime) => {}
            Ok(end) => return equal(format!("{end:?}; {}", told(&machine, &said)), PROMPT.to_owned()),
            Err(error) => {
                return equal(format!("cannot {error}; {}", told(&machine, &said)), PROMPT.to_owned());
            }
        }
        if !has_left && plain(&said).contains(MENU) {
            has_left = true;
            serial.type_in(LEAVES);
        }
    }
    equal(has_left, true)
}

/// Text without what moves a cursor, which firmware sends in the middle of words where it is slow: ECMA-48, 5.4 "Control sequences".
fn plain(said: &str) -> String {
    let mut pieces = said.split("\x1b[");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |text, piece| {
        text + piece.trim_start_matches(|c: char| !c.is_alphabetic()).get(1..).unwrap_or("")
    })
}

/// What was said last, on the serial line and by SeaBIOS of itself.
fn told(machine: &Machine, said: &str) -> String {
    let last = |text: &str| -> String {
        let text = plain(text);
        text.chars().skip(text.chars().count().saturating_sub(LAST_WORDS)).collect()
    };
    let debug = String::from_utf8_lossy(&machine.console().take()).into_owned();
    format!("the last words on the serial line: {}; SeaBIOS of itself: {}", last(said), last(&debug))
}

/// A PC with this firmware and the disc in its drive.
fn pc(firmware: &Firmware, irqchip: IrqChip) -> Result<Machine, Stop> {
    let rom = fs::read(&firmware.rom).map_err(fault)?;
    let disc = Disk::open(&firmware.disc, true).map_err(fault)?;
    let class = machine_class("pc").ok_or_else(|| Stop::HostFault(HostFault("there is no pc".to_owned())))?;
    let (_, hypervisor) = accel::open("kvm").map_err(fault)?;
    let ports = [vmm::Region::ports(DEBUG_PORT, DEBUG_PORT)];
    let builder = Builder::with_cpus(hypervisor, MEMORY, 1, irqchip).map_err(fault)?;
    equal(builder.wires().drives.put(DRIVE, Media::Cdrom(disc)), true)?;
    builder
        .firmware(&rom)
        .and_then(class.furnish)
        .and_then(|builder| builder.model_at("isa-debugcon", "debugcon", &ports))
        .and_then(Builder::build)
        .map_err(fault)
}

/// What the machine cannot do says nothing of KVM.
fn fault(error: impl std::error::Error) -> Stop {
    Stop::HostFault(HostFault(format!("cannot build our machine: {error}")))
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn words_are_whole_without_what_moves_a_cursor() {
        assert_eq!(plain("OpenBS\x1b[10;09H\x1b[10;10HD \x1b[0mfor"), "OpenBSD for");
        assert_eq!(plain("gr\x1b[1"), "gr");
    }
}
