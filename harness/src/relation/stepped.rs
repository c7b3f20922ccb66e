//! Code that is single-stepped, and code that is watched by breakpoints it never hits: api.rst 4.87 KVM_SET_GUEST_DEBUG.

use guests::Image;

use super::{Run, Seen, Turn};
use crate::kvm::{Descriptor, KVM_SET_GUEST_DEBUG, Vcpu, abi};
use crate::testbed::Setting;
use crate::{Broken, Outcome, Stop};

/// What lies in wait and is never met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// KVM_GUESTDBG_USE_SW_BP.
    Software,
    /// KVM_GUESTDBG_USE_HW_BP with one that waits for the execution of this address.
    Execution(u64),
    /// The same with one that waits for writes to this address.
    Write(u64),
}

/// Runs the image one instruction after the other; how many steps that took comes with what was seen.
pub fn stepped(setting: &Setting, image: &Image) -> Result<(Seen, usize), Stop> {
    let mut run = Run::on(setting, image)?;
    debug(run.testbed().vcpu(), abi::KVM_GUESTDBG_SINGLESTEP, None)?;
    let end = image.code.address() + image.code.bytes.len() as u64;
    let mut steps = 0;
    while !run.is_over() {
        let Turn::Debug(next) = run.turn()? else { continue };
        // Behind the last instruction everything is HLT, and each would be one more step.
        if next == end {
            let broken =
                Broken::new("the last instruction was a step like any other, and did not end the run");
            let (expected, seen) = ("the exit of the last instruction", "KVM_EXIT_DEBUG behind it");
            return Err(broken.comparing(expected, seen).with(image.code.disassemble()).into());
        }
        steps += 1;
    }
    off(run.testbed().vcpu())?;
    Ok((run.finish()?, steps))
}

/// Runs the image while something waits for what it never does.
pub fn watched(setting: &Setting, image: &Image, watch: Watch) -> Result<Seen, Stop> {
    /// DR7 with breakpoint 0 on, and what it waits for.
    const ON: u64 = 1 << 1 | 1 << 10;
    const WRITES: u64 = 1 << 16;
    let mut run = Run::on(setting, image)?;
    let vcpu = run.testbed().vcpu();
    match watch {
        Watch::Software => debug(vcpu, abi::KVM_GUESTDBG_USE_SW_BP, None)?,
        Watch::Execution(address) => debug(vcpu, abi::KVM_GUESTDBG_USE_HW_BP, Some((address, ON)))?,
        Watch::Write(address) => debug(vcpu, abi::KVM_GUESTDBG_USE_HW_BP, Some((address, ON | WRITES)))?,
    }
    while !run.is_over() {
        if matches!(run.turn()?, Turn::Debug(_)) {
            let rip = run.testbed().registers()?.rip;
            let broken = Broken::new(format!("a breakpoint was hit that nothing reaches: {watch:x?}"));
            return Err(broken.with(image.code.around(rip)).into());
        }
    }
    off(run.testbed().vcpu())?;
    run.finish()
}

fn debug(vcpu: &Vcpu, how: u32, breakpoint: Option<(u64, u64)>) -> Outcome {
    let mut request = abi::kvm_guest_debug { control: abi::KVM_GUESTDBG_ENABLE | how, ..Default::default() };
    if let Some((address, dr7)) = breakpoint {
        request.arch.debugreg[0] = address;
        request.arch.debugreg[7] = dr7;
    }
    vcpu.write(KVM_SET_GUEST_DEBUG, &request)?;
    Ok(())
}

fn off(vcpu: &Vcpu) -> Outcome {
    vcpu.write(KVM_SET_GUEST_DEBUG, &abi::kvm_guest_debug::default())?;
    Ok(())
}
