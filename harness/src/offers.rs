//! Whether KVM offers what guest code needs.

use guests::Feature;

use crate::kvm::Kvm;
use crate::{Outcome, Stop};

/// Skips the claim if KVM_GET_SUPPORTED_CPUID lacks one of the features, and names it.
pub fn offers(features: &[Feature]) -> Outcome {
    match lacking(features)?.first() {
        Some(feature) => Err(Stop::Skip(format!("KVM_GET_SUPPORTED_CPUID lacks {feature}"))),
        None => Ok(()),
    }
}

/// Those of the features that KVM_GET_SUPPORTED_CPUID lacks.
pub fn lacking(features: &[Feature]) -> Result<Vec<Feature>, Stop> {
    let cpuid = Kvm::open()?.get_supported_cpuid()?;
    let has = |feature: &Feature| {
        cpuid.iter().any(|entry| {
            entry.function == feature.leaf
                && entry.index == feature.index
                && feature.is_in(entry.ebx, entry.ecx, entry.edx)
        })
    };
    Ok(features.iter().copied().filter(|feature| !has(feature)).collect())
}
