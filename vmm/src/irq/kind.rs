//! Where a machine's interrupt controllers are.

use std::fmt;
use std::str::FromStr;

/// Where a machine's interrupt controllers are, as with QEMU's `kernel-irqchip`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IrqChip {
    /// It has none.
    #[default]
    None,
    /// All in the kernel.
    Kernel,
    /// The local APICs in the kernel, the others here.
    Split,
    /// All here.
    User,
}

/// The names of those that can be asked for.
const NAMES: [(&str, IrqChip); 3] =
    [("kernel", IrqChip::Kernel), ("split", IrqChip::Split), ("user", IrqChip::User)];

impl FromStr for IrqChip {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = match text {
            "on" => "kernel",
            "off" => "user",
            text => text,
        };
        let found = NAMES.iter().find(|(name, _)| *name == text);
        found.map(|(_, kind)| *kind).ok_or_else(|| {
            format!("there are no interrupt controllers \"{text}\": there is kernel, split, user")
        })
    }
}

impl fmt::Display for IrqChip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = NAMES.iter().find(|(_, kind)| kind == self);
        f.write_str(found.map_or("none", |(name, _)| name))
    }
}
