//! A processor model as a person names it: `host`, `max` or `qemu64`, and features with a plus or a minus, as QEMU's `-cpu` has it.

use std::str::FromStr;

use kvm_bindings::kvm_cpuid_entry2;
use thiserror::Error;

use super::feature::{Feature, feature_names};
use super::property::Property;

/// Which processor a guest sees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuModel {
    base: Base,
    /// What is on or off whatever the base has, in order; each with the name that it was given by.
    changes: Vec<(String, Feature, bool)>,
    properties: Vec<Property>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Base {
    /// All that the accel supports.
    #[default]
    All,
    /// What every 64-bit processor has, as QEMU's model of this name: QEMU, `docs/system/cpu-models-x86.rst.inc`.
    Qemu64,
}

/// Why there is no such processor.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CpuModelError {
    /// There is no such model.
    #[error("there is no processor \"{0}\": there is host, max, qemu64")]
    Model(String),
    /// There is no such feature.
    #[error("there is no feature \"{name}\" of a processor{}", .near.as_ref().map(|near| format!(": did you mean {near}?")).unwrap_or_default())]
    Feature {
        /// What was asked for.
        name: String,
        /// Names that are like it.
        near: Option<String>,
    },
    /// A property has no such value.
    #[error("a processor has no {name} of \"{value}\": {known}")]
    Value {
        /// The property.
        name: &'static str,
        /// What was asked for.
        value: String,
        /// What there is.
        known: &'static str,
    },
    /// The accel does not have it for guests.
    #[error("this host has no \"{0}\" for a guest")]
    Unsupported(String),
}

/// The features of QEMU's qemu64, but for what KVM takes from it: `acpi`, `monitor` and `svm`.
const QEMU64: &str = "fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 ht \
                      sse3 cx16 x2apic hypervisor syscall nx lm lahf-lm kvmclock-old kvmclock kvm-nopiodelay \
                      kvm-asyncpf kvm-steal-time kvm-pv-eoi kvmclock-stable-bit kvm-msi-ext-dest-id";
/// Its family, model and stepping: 15, 107 and 1.
const QEMU64_SIGNATURE: u32 = 0x0006_0fb1;
/// The leaves that tell of features, and of which a model without more than its own has no others.
const TOLD: [u32; 9] = [1, 6, 7, 0xd, 0x8000_0001, 0x8000_0007, 0x8000_0008, 0x8000_000a, 0x4000_0001];

impl FromStr for CpuModel {
    type Err = CpuModelError;

    fn from_str(text: &str) -> Result<Self, CpuModelError> {
        let mut words = text.split(',').map(str::trim);
        let base = match words.next().unwrap_or_default() {
            "host" | "max" => Base::All,
            "qemu64" => Base::Qemu64,
            other => return Err(CpuModelError::Model(other.to_owned())),
        };
        let (mut changes, mut properties) = (Vec::new(), Vec::new());
        for word in words.filter(|word| !word.is_empty()) {
            if let Some(property) = Property::read(word)? {
                // That the host does not say how wide addresses are leaves it to what else is said, wherever that stands.
                let at = if word.starts_with("host-") { 0 } else { properties.len() };
                properties.insert(at, property);
                continue;
            }
            let (name, on) = match (word.strip_prefix('+'), word.strip_prefix('-'), word.split_once('=')) {
                (Some(name), _, _) => (name, true),
                (_, Some(name), _) => (name, false),
                (_, _, Some((name, "on" | "true" | "yes"))) => (name, true),
                (_, _, Some((name, "off" | "false" | "no"))) => (name, false),
                (_, _, Some((name, _))) => return Err(unknown(name)),
                _ => (word, true),
            };
            // Without migration, what it needs has no meaning.
            if name != "migratable" {
                let feature = Feature::named(name).ok_or_else(|| unknown(name))?;
                changes.push((name.to_owned(), feature, on));
            }
        }
        Ok(Self { base, changes, properties })
    }
}

fn unknown(name: &str) -> CpuModelError {
    const LIKE: f64 = 0.75;
    let mut near: Vec<_> = feature_names()
        .into_iter()
        .map(|known| (strsim::jaro_winkler(known, &name.to_ascii_lowercase()), known))
        .filter(|(like, _)| *like >= LIKE)
        .collect();
    near.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let near: Vec<_> = near.into_iter().take(3).map(|(_, known)| known).collect();
    CpuModelError::Feature { name: name.to_owned(), near: (!near.is_empty()).then(|| near.join(", ")) }
}

impl CpuModel {
    /// Makes of a processor with all that the accel supports one of this model.
    pub fn apply(&self, leaves: &mut [kvm_cpuid_entry2]) -> Result<(), CpuModelError> {
        let supported = leaves.to_vec();
        if self.base == Base::Qemu64 {
            be_qemu64(leaves);
        }
        for (name, feature, on) in &self.changes {
            if *on && !feature.is_in(&supported) {
                return Err(CpuModelError::Unsupported(name.clone()));
            }
            feature.set(leaves, *on);
        }
        self.properties.iter().for_each(|property| property.set(leaves));
        Ok(())
    }
}

fn be_qemu64(leaves: &mut [kvm_cpuid_entry2]) {
    let supported = leaves.to_vec();
    for leaf in leaves.iter_mut().filter(|leaf| TOLD.contains(&leaf.function)) {
        match leaf.function {
            1 => (leaf.eax, leaf.ecx, leaf.edx) = (QEMU64_SIGNATURE, 0, 0),
            // How its state is saved is told there as well, and stays with XSAVE.
            0xd if leaf.index != 1 => {}
            0x8000_0001 => (leaf.eax, leaf.ecx, leaf.edx) = (QEMU64_SIGNATURE, 0, 0),
            // How wide addresses are.
            0x8000_0008 => leaf.ebx = 0,
            0x8000_000a => leaf.edx = 0,
            0x4000_0001 => leaf.eax = 0,
            _ => (leaf.eax, leaf.ebx, leaf.ecx, leaf.edx) = (0, 0, 0, 0),
        }
    }
    for name in QEMU64.split_whitespace() {
        if let Some(feature) = Feature::named(name).filter(|feature| feature.is_in(&supported)) {
            feature.set(leaves, true);
        }
    }
}

#[cfg(test)]
mod tests {
    use kvm_bindings::kvm_cpuid_entry2;
    use rstest::rstest;

    use super::{CpuModel, Feature};

    /// A processor with every feature but one.
    fn processor(without: &str) -> Vec<kvm_cpuid_entry2> {
        let leaf = |function, index| kvm_cpuid_entry2 {
            function,
            index,
            eax: u32::MAX,
            ebx: u32::MAX,
            ecx: u32::MAX,
            edx: u32::MAX,
            ..Default::default()
        };
        let leaves = [
            (1, 0),
            (7, 0),
            (7, 1),
            (0xd, 0),
            (0xd, 1),
            (0x8000_0001, 0),
            (0x8000_0008, 0),
            (0x4000_0001, 0),
        ];
        let mut leaves: Vec<_> = leaves.into_iter().map(|(function, index)| leaf(function, index)).collect();
        if let Some(feature) = Feature::named(without) {
            feature.set(&mut leaves, false);
        }
        leaves
    }

    fn has(leaves: &[kvm_cpuid_entry2], name: &str) -> bool {
        Feature::named(name).unwrap().is_in(leaves)
    }

    #[rstest]
    #[case("max", "avx2", true)]
    #[case("host,-avx2", "avx2", false)]
    #[case("max,avx2=off", "avx2", false)]
    #[case("max,-avx2,+avx2", "avx2", true)]
    #[case("qemu64", "avx2", false)]
    #[case("qemu64", "lm", true)]
    #[case("qemu64", "svm", false)]
    #[case("qemu64,+x2apic,+svm", "svm", true)]
    #[case("qemu64,smep", "smep", true)]
    #[case("qemu64,-x2apic", "x2apic", false)]
    #[case("max,migratable=off", "smap", true)]
    fn models_have_what_they_are_told(#[case] model: &str, #[case] name: &str, #[case] expected: bool) {
        let mut leaves = processor("");
        model.parse::<CpuModel>().unwrap().apply(&mut leaves).unwrap();
        assert_eq!(has(&leaves, name), expected);
    }

    #[test]
    fn a_model_has_nothing_that_the_host_lacks() {
        let mut leaves = processor("x2apic");
        "qemu64".parse::<CpuModel>().unwrap().apply(&mut leaves).unwrap();
        assert!(!has(&leaves, "x2apic"));
    }

    #[rstest]
    #[case("pentium9", "there is no processor \"pentium9\": there is host, max, qemu64")]
    #[case("max,+x2apc", "there is no feature \"x2apc\" of a processor: did you mean x2apic")]
    #[case("max,-zzzzzz", "there is no feature \"zzzzzz\" of a processor")]
    #[case("max,phys-bits=99", "a processor has no phys-bits of \"99\": there is 32 to 52")]
    #[case("max,vendor=Me", "a processor has no vendor of \"Me\": a vendor has twelve letters")]
    #[case("max,+avx2", "this host has no \"avx2\" for a guest")]
    fn what_is_impossible_is_said(#[case] model: &str, #[case] why: &str) {
        let mut leaves = processor("avx2");
        let told = model.parse::<CpuModel>().and_then(|model| model.apply(&mut leaves));
        let told = told.unwrap_err().to_string();
        assert!(told.starts_with(why), "{told}");
    }
}
