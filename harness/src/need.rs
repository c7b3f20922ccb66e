//! What a host must have for a claim to be tried there.

use std::fmt;

use reports::KernelRange;

use crate::host::Facts;
use crate::kvm::Cap;
use crate::lab::{Firmware, GuestKernel};

/// What a host must have.
#[derive(Clone, Copy, Debug)]
pub enum Need {
    /// KVM_CHECK_EXTENSION answers this capability with anything but 0.
    Has(Cap),
    /// KVM_CHECK_EXTENSION answers this capability with at least so much.
    AtLeast(Cap, i32),
    /// AMD's KVM.
    Amd,
    /// Intel's KVM.
    Intel,
    /// A kernel in this range, such as `>=6.1, <6.13`.
    Kernel(&'static str),
    /// A module's parameter has this value.
    Param(&'static str, &'static str, &'static str),
    /// To be root.
    Root,
    /// The kernel lets 64-bit programs enter it as 32-bit ones do.
    Compat32,
    /// To be in the lab, where a kernel may be hurt.
    Lab,
    /// To be in a machine that is emulated by a program of this name; where that is not so, or nobody knows, this is not met.
    Emulator(&'static str),
    /// A Linux kernel to boot as a guest, with modules for virtio: the lab brings its own.
    GuestKernel,
    /// SeaBIOS and GRUB on a disc: the lab brings them from Debian's packages.
    Firmware,
    /// So many times the clock of other claims, at most eight: it waits for something that takes long.
    Time(u32),
    /// Not this.
    Not(&'static Need),
    /// One of these.
    Any(&'static [Need]),
}

impl Need {
    /// Whether the host meets it.
    pub fn is_met(&self, facts: &Facts) -> bool {
        let host = &facts.host;
        let answer = |cap: &Cap| host.capabilities.get(cap.name).copied().unwrap_or(0);
        match self {
            Self::Has(cap) => answer(cap) != 0,
            Self::AtLeast(cap, least) => answer(cap) >= *least,
            Self::Amd => host.module.as_deref() == Some("kvm_amd"),
            Self::Intel => host.module.as_deref() == Some("kvm_intel"),
            Self::Kernel(range) => KernelRange::parse(range).is_ok_and(|range| range.contains(&host.release)),
            Self::Param(module, name, value) => {
                host.parameters.get(*module).and_then(|of| of.get(*name)).is_some_and(|is| is == value)
            }
            Self::Root => facts.root,
            Self::Compat32 => facts.compat32,
            Self::Lab => facts.lab,
            Self::Emulator(name) => {
                host.emulator.as_deref().is_some_and(|emulator| emulator.starts_with(name))
            }
            Self::GuestKernel => GuestKernel::find().is_some(),
            Self::Firmware => Firmware::find().is_some(),
            Self::Time(_) => true,
            Self::Not(need) => !need.is_met(facts),
            Self::Any(needs) => needs.iter().any(|need| need.is_met(facts)),
        }
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Has(cap) => f.write_str(cap.name),
            Self::AtLeast(cap, least) => write!(f, "{} of at least {least}", cap.name),
            Self::Amd => f.write_str("AMD's KVM (kvm_amd)"),
            Self::Intel => f.write_str("Intel's KVM (kvm_intel)"),
            Self::Kernel(range) => write!(f, "Linux {range}"),
            Self::Param(module, name, value) => write!(f, "{module}.{name}={value}"),
            Self::Root => f.write_str("to be root"),
            Self::Compat32 => f.write_str("the kernel's entry for 32-bit programs"),
            Self::Lab => f.write_str("to be in the lab"),
            Self::Emulator(name) => write!(f, "to be emulated by {name}"),
            Self::GuestKernel => f.write_str("a Linux kernel to boot as a guest, which the lab has"),
            Self::Firmware => {
                f.write_str("SeaBIOS and GRUB's disc, which Debian's seabios and grub-rescue-pc have")
            }
            Self::Time(factor) => write!(f, "{factor} times the time of other claims"),
            Self::Not(need) => write!(f, "not {need}"),
            Self::Any(needs) => {
                let needs: Vec<_> = needs.iter().map(ToString::to_string).collect();
                f.write_str(&needs.join(" or "))
            }
        }
    }
}
