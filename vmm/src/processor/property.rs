//! What of a processor is no feature: who has made it, and how wide its addresses are: SDM volume 2, CPUID.

use kvm_bindings::kvm_cpuid_entry2;

use super::model::CpuModelError;

/// A property, as QEMU's `-cpu` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Property {
    /// Twelve letters.
    Vendor([u8; 12]),
    /// How many bits a physical address has.
    AddressBits(u8),
    /// As many as the host's.
    HostAddressBits,
}

/// What QEMU's models have where nothing else is said.
const ADDRESS_BITS: u8 = 40;

impl Property {
    /// The property that a word sets, if it sets one.
    pub(super) fn read(word: &str) -> Result<Option<Self>, CpuModelError> {
        let (name, value) = word.split_once('=').unwrap_or((word, "on"));
        let wrong = |name, known| CpuModelError::Value { name, value: value.to_owned(), known };
        let read = match (name, value) {
            ("vendor", _) => {
                let letters = value.as_bytes().try_into().ok().map(Self::Vendor);
                letters.ok_or_else(|| wrong("vendor", "a vendor has twelve letters"))?
            }
            ("phys-bits", _) => {
                let bits = value.parse().ok().filter(|bits| (32..=52).contains(bits));
                Self::AddressBits(bits.ok_or_else(|| wrong("phys-bits", "there is 32 to 52"))?)
            }
            ("host-phys-bits", "on" | "true" | "yes") => Self::HostAddressBits,
            ("host-phys-bits", "off" | "false" | "no") => Self::AddressBits(ADDRESS_BITS),
            ("host-phys-bits", _) => return Err(wrong("host-phys-bits", "there is on, off")),
            _ => return Ok(None),
        };
        Ok(Some(read))
    }

    /// Gives a processor the property.
    pub(super) fn set(&self, leaves: &mut [kvm_cpuid_entry2]) {
        match self {
            Self::HostAddressBits => {}
            Self::AddressBits(bits) => {
                for leaf in leaves.iter_mut().filter(|leaf| leaf.function == 0x8000_0008) {
                    leaf.eax = leaf.eax & !0xff | u32::from(*bits);
                }
            }
            Self::Vendor([a, b, c, d, e, f, g, h, i, j, k, l]) => {
                let word = |letters: [&u8; 4]| u32::from_le_bytes(letters.map(|letter| *letter));
                for leaf in leaves.iter_mut().filter(|leaf| matches!(leaf.function, 0 | 0x8000_0000)) {
                    (leaf.ebx, leaf.edx, leaf.ecx) =
                        (word([a, b, c, d]), word([e, f, g, h]), word([i, j, k, l]));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use kvm_bindings::kvm_cpuid_entry2;
    use rstest::rstest;

    use super::Property;

    fn with(word: &str) -> (String, u32) {
        let leaf = |function| kvm_cpuid_entry2 { function, eax: 0x3030, ..Default::default() };
        let mut leaves = [leaf(0), leaf(0x8000_0008)];
        Property::read(word).unwrap().unwrap().set(&mut leaves);
        let letters = [leaves[0].ebx, leaves[0].edx, leaves[0].ecx].map(u32::to_le_bytes).concat();
        (String::from_utf8(letters).unwrap().trim_matches('\0').to_owned(), leaves[1].eax)
    }

    #[rstest]
    #[case("vendor=GenuineIntel", "GenuineIntel", 0x3030)]
    #[case("phys-bits=36", "", 0x3024)]
    #[case("host-phys-bits", "", 0x3030)]
    #[case("host-phys-bits=off", "", 0x3028)]
    fn properties_are_qemus(#[case] word: &str, #[case] vendor: &str, #[case] addresses: u32) {
        assert_eq!(with(word), (vendor.to_owned(), addresses));
    }
}
