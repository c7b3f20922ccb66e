//! The features of a processor by the names that QEMU and Linux have for them, and where CPUID tells of each: Intel SDM volume 2, CPUID;
//! AMD APM volume 3, appendix E; `Documentation/virt/kvm/x86/cpuid.rst`.

use kvm_bindings::kvm_cpuid_entry2;

/// A register of a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Register {
    Eax,
    Ebx,
    Ecx,
    Edx,
}

/// One feature: a bit of a leaf's register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feature {
    pub(super) leaf: u32,
    pub(super) index: u32,
    pub(super) register: Register,
    pub(super) bit: u32,
}

/// Names of a register's bits: of bit 0 first, with a dash for one without a name; several names for one bit are joined by `|`.
type Names = &'static str;

use Register::{Eax, Ebx, Ecx, Edx};

const TABLE: &[(u32, u32, Register, Names)] = &[
    (
        1,
        0,
        Edx,
        "fpu vme de pse tsc msr pae mce cx8 apic - sep mtrr pge mca cmov pat pse36 pn clflush - ds acpi mmx \
         fxsr sse sse2 ss ht tm ia64 pbe",
    ),
    (
        1,
        0,
        Ecx,
        "pni|sse3 pclmulqdq|pclmuldq dtes64 monitor ds-cpl vmx smx est tm2 ssse3 cid - fma cx16 xtpr pdcm - pcid \
         dca sse4.1|sse4-1|sse4_1 sse4.2|sse4-2|sse4_2 x2apic movbe popcnt tsc-deadline|tsc_deadline aes xsave osxsave avx f16c \
         rdrand hypervisor",
    ),
    (
        7,
        0,
        Ebx,
        "fsgsbase tsc-adjust|tsc_adjust sgx bmi1 hle avx2 - smep bmi2 erms invpcid rtm - - mpx - avx512f avx512dq \
         rdseed adx smap avx512ifma - clflushopt clwb intel-pt avx512pf avx512er avx512cd sha-ni|sha_ni avx512bw \
         avx512vl",
    ),
    (
        7,
        0,
        Ecx,
        "- avx512vbmi umip pku ospke waitpkg avx512vbmi2 shstk gfni vaes vpclmulqdq avx512vnni avx512bitalg - \
         avx512-vpopcntdq - la57 - - - - - rdpid - bus-lock-detect cldemote - movdiri movdir64b - sgxlc pks",
    ),
    (
        7,
        0,
        Edx,
        "- - avx512-4vnniw avx512-4fmaps fsrm - - - avx512-vp2intersect - md-clear - - - serialize - tsx-ldtrk - - - \
         - - amx-bf16 avx512-fp16 amx-tile amx-int8 spec-ctrl stibp flush-l1d arch-capabilities core-capability ssbd",
    ),
    (7, 1, Eax, "- - - - avx-vnni avx512-bf16 - - - - fzrm fsrs fsrc"),
    (0xd, 1, Eax, "xsaveopt xsavec xgetbv1 xsaves"),
    (
        0x8000_0001,
        0,
        Ecx,
        "lahf-lm|lahf_lm cmp-legacy svm extapic cr8legacy abm|lzcnt sse4a misalignsse 3dnowprefetch osvw ibs xop skinit wdt \
         - lwp fma4 tce - nodeid-msr - tbm topoext perfctr-core perfctr-nb",
    ),
    (
        0x8000_0001,
        0,
        Edx,
        "- - - - - - - - - - - syscall - - - - - - - mp nx|xd - mmxext - - fxsr-opt|ffxsr pdpe1gb rdtscp - lm|i64 \
         3dnowext 3dnow",
    ),
    (0x8000_0007, 0, Edx, "- - - - - - - - invtsc"),
    (
        0x8000_0008,
        0,
        Ebx,
        "clzero - xsaveerptr - - - - - - wbnoinvd - - ibpb - ibrs amd-stibp - - - - - - - - amd-ssbd virt-ssbd",
    ),
    (
        0x8000_000a,
        0,
        Edx,
        "npt lbrv svm-lock nrip-save tsc-scale vmcb-clean flushbyasid decodeassists - - pause-filter - pfthreshold \
         avic - v-vmsave-vmload vgif",
    ),
    (
        0x4000_0001,
        0,
        Eax,
        "kvmclock-old kvm-nopiodelay kvm-mmu kvmclock kvm-asyncpf kvm-steal-time kvm-pv-eoi kvm-pv-unhalt - \
         kvm-pv-tlb-flush kvm-asyncpf-vmexit kvm-pv-ipi kvm-poll-control kvm-pv-sched-yield kvm-asyncpf-int \
         kvm-msi-ext-dest-id - - - - - - - - kvmclock-stable-bit",
    ),
];

fn all() -> impl Iterator<Item = (&'static str, Feature)> {
    TABLE.iter().flat_map(|&(leaf, index, register, names)| {
        let bits = (0..).zip(names.split_whitespace());
        bits.flat_map(move |(bit, names)| {
            let feature = Feature { leaf, index, register, bit };
            names.split('|').filter(|name| *name != "-").map(move |name| (name, feature))
        })
    })
}

/// The name of every feature.
pub fn feature_names() -> Vec<&'static str> {
    all().map(|(name, _)| name).collect()
}

impl Feature {
    /// The feature of this name, in QEMU's spelling or Linux's.
    pub fn named(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let same = |known: &str| known == name || known.replace(['-', '.'], "_") == name;
        all().find(|(known, _)| same(known)).map(|(_, feature)| feature)
    }

    /// Whether these leaves have it.
    pub fn is_in(self, leaves: &[kvm_cpuid_entry2]) -> bool {
        leaves.iter().any(|leaf| self.is_of(leaf) && self.word(leaf) >> self.bit & 1 != 0)
    }

    /// Puts it into these leaves, or takes it out.
    pub(super) fn set(self, leaves: &mut [kvm_cpuid_entry2], on: bool) {
        for leaf in leaves.iter_mut().filter(|leaf| self.is_of(leaf)) {
            let word = match self.register {
                Eax => &mut leaf.eax,
                Ebx => &mut leaf.ebx,
                Ecx => &mut leaf.ecx,
                Edx => &mut leaf.edx,
            };
            *word = if on { *word | 1 << self.bit } else { *word & !(1 << self.bit) };
        }
    }

    fn is_of(self, leaf: &kvm_cpuid_entry2) -> bool {
        (leaf.function, leaf.index) == (self.leaf, self.index)
    }

    fn word(self, leaf: &kvm_cpuid_entry2) -> u32 {
        match self.register {
            Eax => leaf.eax,
            Ebx => leaf.ebx,
            Ecx => leaf.ecx,
            Edx => leaf.edx,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rstest::rstest;

    use super::{Feature, Register, TABLE, feature_names};

    #[test]
    fn no_name_is_given_twice_and_no_register_has_more_than_32_bits() {
        let names = feature_names();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        assert!(TABLE.iter().all(|(_, _, _, names)| names.split_whitespace().count() <= 32));
    }

    #[rstest]
    #[case("x2apic", 1, Register::Ecx, 21)]
    #[case("sse4_2", 1, Register::Ecx, 20)]
    #[case("SSE4.2", 1, Register::Ecx, 20)]
    #[case("tsc-deadline", 1, Register::Ecx, 24)]
    #[case("hypervisor", 1, Register::Ecx, 31)]
    #[case("pbe", 1, Register::Edx, 31)]
    #[case("avx512vl", 7, Register::Ebx, 31)]
    #[case("la57", 7, Register::Ecx, 16)]
    #[case("ssbd", 7, Register::Edx, 31)]
    #[case("svm", 0x8000_0001, Register::Ecx, 2)]
    #[case("nx", 0x8000_0001, Register::Edx, 20)]
    #[case("lm", 0x8000_0001, Register::Edx, 29)]
    #[case("vgif", 0x8000_000a, Register::Edx, 16)]
    #[case("kvmclock-stable-bit", 0x4000_0001, Register::Eax, 24)]
    fn features_are_where_the_manuals_have_them(
        #[case] name: &str,
        #[case] leaf: u32,
        #[case] register: Register,
        #[case] bit: u32,
    ) {
        assert_eq!(Feature::named(name), Some(Feature { leaf, index: 0, register, bit }));
    }
}
