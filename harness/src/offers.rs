//! Whether KVM offers what guest code needs.

use guests::Feature;

use crate::kvm::Kvm;
use crate::{Outcome, Stop};

/// Skips the claim if KVM_GET_SUPPORTED_CPUID lacks one of the features, and names it.
pub fn offers(features: &[Feature]) -> Outcome {
    let cpuid = Kvm::open()?.get_supported_cpuid()?;
    let has = |feature: &Feature| {
        cpuid.iter().any(|entry| {
            entry.function == feature.leaf
                && entry.index == feature.index
                && feature.is_in(entry.ebx, entry.ecx, entry.edx)
        })
    };
    match features.iter().find(|feature| !has(feature)) {
        Some(feature) => Err(Stop::Skip(format!("KVM_GET_SUPPORTED_CPUID lacks {feature}"))),
        None => Ok(()),
    }
}
