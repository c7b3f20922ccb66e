//! Whose processor is emulated, and by what: AMD's by QEMU, Intel's by Bochs, one of whose models has AMD's too.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Bochs' models that have virtualization, and whether it is Intel's. `ryzen` is not here: in Bochs 2.7 a kernel hangs on it.
const MODELS: [(&str, bool); 12] = [
    ("core2_penryn_t9600", true),
    ("corei5_lynnfield_750", true),
    ("corei5_arrandale_m520", true),
    ("corei7_sandy_bridge_2600k", true),
    ("corei7_ivy_bridge_3770k", true),
    ("corei7_haswell_4770", true),
    ("broadwell_ult", true),
    ("corei7_skylake_x", true),
    ("corei7_icelake_u", true),
    ("tigerlake", true),
    ("zambezi", false),
    ("trinity_apu", false),
];
/// What `intel` stands for: the model with most of VMX whose clock Bochs keeps.
const INTEL: &str = "corei7_haswell_4770";

/// A processor that can be emulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cpu {
    /// QEMU's, with AMD's virtualization.
    Amd,
    /// A model of Bochs.
    Bochs {
        /// Its name.
        model: &'static str,
        /// Whether its virtualization is Intel's.
        is_intel: bool,
    },
}

impl Cpu {
    /// The module that backs KVM on it.
    pub(super) fn module(self) -> &'static str {
        match self {
            Self::Bochs { is_intel: true, .. } => "kvm-intel",
            Self::Amd | Self::Bochs { .. } => "kvm-amd",
        }
    }

    /// How long a kernel may take to its first word: many times what it takes on a machine that is busy with other things.
    pub(crate) fn boot(self) -> Duration {
        Duration::from_secs(if self == Self::Amd { 180 } else { 900 })
    }

    /// How long a kernel may be silent then. Its own watchdog speaks up after half of that under QEMU; Bochs keeps no pace with it.
    pub(crate) fn silence(self) -> Duration {
        Duration::from_secs(if self == Self::Amd { 60 } else { 300 })
    }
}

impl fmt::Display for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Amd => "amd",
            Self::Bochs { model, .. } => model,
        })
    }
}

impl FromStr for Cpu {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = match text {
            "amd" => return Ok(Self::Amd),
            "intel" => INTEL,
            name => name,
        };
        let found = MODELS.iter().find(|(model, _)| *model == name);
        found.map(|&(model, is_intel)| Self::Bochs { model, is_intel }).ok_or_else(|| {
            let names: Vec<_> = MODELS.iter().map(|(model, _)| *model).collect();
            format!("write amd (QEMU), intel (Bochs' {INTEL}), or a model of Bochs: {}", names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_is_found_by_its_name_and_chooses_the_module() {
        for (text, module) in [
            ("amd", "kvm-amd"),
            ("intel", "kvm-intel"),
            ("core2_penryn_t9600", "kvm-intel"),
            ("zambezi", "kvm-amd"),
        ] {
            assert_eq!(text.parse::<Cpu>().unwrap().module(), module);
        }
        assert!("ryzen".parse::<Cpu>().unwrap_err().contains("zambezi"));
    }
}
