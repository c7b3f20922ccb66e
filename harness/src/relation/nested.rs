//! Code that runs as the guest of a guest: on a control block that a small hypervisor makes, which is the guest that KVM runs.

use guests::nested::{HYPERVISOR, Halting, nested, saved};
use guests::{Image, Memory};

use super::{Cut, Luggage, Seen, travelling, upon};
use crate::testbed::{Setting, Testbed};
use crate::{HostFault, Stop};

/// EFER.SVME, which the guest of a guest has set.
const SVME: u64 = 1 << 12;

/// Runs the image's code as the guest of a guest, and tells what it made visible of its own: without the hypervisor's memory, and
/// without the bit that VMRUN asks for.
pub fn as_guest_of_a_guest(image: &Image) -> Result<Seen, Stop> {
    let (seen, _) = run(image, Halting::Itself)?;
    Ok(its_own(seen))
}

/// The same, taken elsewhere at the cut; whether it came to the cut comes with what was seen.
pub fn travelling_as_guest_of_a_guest(
    image: &Image,
    cut: Cut,
    luggage: Luggage,
) -> Result<(Seen, bool), Stop> {
    let image = nested(image, Halting::Itself).map_err(fault)?;
    let (seen, has_travelled) = travelling(&Setting::default(), &image, cut, luggage)?;
    Ok((its_own(seen), has_travelled))
}

fn its_own(mut seen: Seen) -> Seen {
    seen.special.efer &= !SVME;
    if let Memory::Changed(changes) = &mut seen.story.ending.memory {
        changes.retain(|change| change.address < HYPERVISOR);
        if changes.is_empty() {
            seen.story.ending.memory = Memory::Unchanged;
        }
    }
    seen
}

/// Runs the image's code as the guest of a guest whose HLT is intercepted; with what was seen comes what the control block holds then:
/// RAX, RSP, RIP and RFLAGS.
pub fn back_in_the_hypervisor(image: &Image) -> Result<(Seen, [u64; 4]), Stop> {
    let (seen, testbed) = run(image, Halting::Intercepted)?;
    let block = saved(&testbed.read()?).ok_or_else(|| fault("there is no control block"))?;
    Ok((its_own(seen), block))
}

/// The testbed is left behind: a vCPU that is in its guest's guest is not set back like another.
fn run(image: &Image, halting: Halting) -> Result<(Seen, Testbed), Stop> {
    let image = nested(image, halting).map_err(fault)?;
    upon(Testbed::new(&Setting::default(), &image)?, &image)
}

fn fault(error: impl std::fmt::Display) -> Stop {
    Stop::HostFault(HostFault(format!("cannot make the hypervisor: {error}")))
}
