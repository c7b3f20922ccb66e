//! KVM_GET_DEVICE_ATTR and KVM_HAS_DEVICE_ATTR on `/dev/kvm`: api.rst 4.80 and 4.81.

use harness::kvm::{
    Descriptor, EFAULT, EINVAL, ENXIO, Guarded, KVM_CAP_SYS_ATTRIBUTES, KVM_CAP_XCRS, KVM_GET_DEVICE_ATTR,
    KVM_HAS_DEVICE_ATTR, KVM_SET_DEVICE_ATTR, Kvm, abi, abi::kvm_device_attr, get_attribute,
};
use harness::{Outcome, Stop, claim, each, equal, fails, holds};
use proptest::prelude::{Arbitrary, BoxedStrategy, Strategy};
use proptest::prop_oneof;
use serde::{Deserialize, Serialize};

/// KVM_X86_GRP_SYSTEM with KVM_X86_XCOMP_GUEST_SUPP: the bits of XCR0 that guests can have.
const XCOMP_GUEST_SUPP: kvm_device_attr =
    kvm_device_attr { flags: 0, group: 0, attr: abi::KVM_X86_XCOMP_GUEST_SUPP as u64, addr: 0 };

/// x87 and SSE: no processor with XCR0 is without them.
const X87_SSE: u64 = 3;

/// An attribute that no `/dev/kvm` has: of the system's group, or of a group that there is not.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Unknown {
    group: u32,
    attr: u64,
}

impl Arbitrary for Unknown {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> Self::Strategy {
        let groups = prop_oneof![(0..=0_u32, 1..=u64::MAX), (2..=u32::MAX, 0..=u64::MAX),];
        groups.prop_map(|(group, attr)| Self { group, attr }).boxed()
    }
}

impl From<Unknown> for kvm_device_attr {
    fn from(unknown: Unknown) -> Self {
        Self { flags: 0, group: unknown.group, attr: unknown.attr, addr: 0 }
    }
}

/// The bits of XCR0 that guests can have.
#[track_caller]
pub(super) fn guest_xcr0(kvm: &Kvm) -> Result<u64, Stop> {
    let mut value = Guarded::zeroed(8);
    get_attribute(kvm, &XCOMP_GUEST_SUPP, &mut value)?;
    Ok(value.get(0))
}

fn has_the_guests_xcr0(kvm: Kvm) -> Outcome {
    equal(kvm.write(KVM_HAS_DEVICE_ATTR, &XCOMP_GUEST_SUPP)?, 0)
}
claim!(
    has_the_guests_xcr0,
    "KVM_HAS_DEVICE_ATTR on /dev/kvm knows KVM_X86_XCOMP_GUEST_SUPP",
    [Api("4.81 KVM_HAS_DEVICE_ATTR")],
    Has(KVM_CAP_SYS_ATTRIBUTES)
);

fn guests_xcr0_is_within_the_hosts(kvm: Kvm) -> Outcome {
    let leaf = std::arch::x86_64::__cpuid_count(0xd, 0);
    let (guest, host) = (guest_xcr0(&kvm)?, u64::from(leaf.edx) << 32 | u64::from(leaf.eax));
    equal(guest & X87_SSE, X87_SSE)?;
    holds(guest & !host == 0, format_args!("the guests' {guest:#x} is part of the processor's {host:#x}"))
}
claim!(
    guests_xcr0_is_within_the_hosts,
    "KVM_X86_XCOMP_GUEST_SUPP has x87 and SSE, and nothing that the processor lacks",
    [Api("4.80 KVM_SET_DEVICE_ATTR/KVM_GET_DEVICE_ATTR")],
    Has(KVM_CAP_SYS_ATTRIBUTES),
    Has(KVM_CAP_XCRS)
);

fn has_nothing_unknown(kvm: Kvm, unknown: Unknown) -> Outcome {
    fails(ENXIO, kvm.write(KVM_HAS_DEVICE_ATTR, &kvm_device_attr::from(unknown)))
}
claim!(
    has_nothing_unknown,
    "KVM_HAS_DEVICE_ATTR on /dev/kvm answers ENXIO for an attribute or group that is unknown",
    [Api("4.81 KVM_HAS_DEVICE_ATTR")],
    Has(KVM_CAP_SYS_ATTRIBUTES)
);

fn gets_nothing_unknown(kvm: Kvm, unknown: Unknown, before: u64) -> Outcome {
    let mut value = Guarded::zeroed(8);
    value.put(0, &before);
    fails(ENXIO, get_attribute(&kvm, &unknown.into(), &mut value))?;
    equal(value.get(0), before)
}
claim!(
    gets_nothing_unknown,
    "KVM_GET_DEVICE_ATTR on /dev/kvm answers ENXIO for an attribute or group that is unknown, and writes nothing",
    [Api("4.80 KVM_SET_DEVICE_ATTR/KVM_GET_DEVICE_ATTR")],
    Has(KVM_CAP_SYS_ATTRIBUTES)
);

fn looks_at_the_attribute_first(kvm: Kvm, unknown: Unknown) -> Outcome {
    fails(ENXIO, kvm.write(KVM_GET_DEVICE_ATTR, &kvm_device_attr::from(unknown)))
}
claim!(
    looks_at_the_attribute_first,
    "KVM_GET_DEVICE_ATTR on /dev/kvm answers ENXIO for an unknown attribute also where nothing can be written",
    [Code("kvm_x86_dev_get_attr, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_SYS_ATTRIBUTES)
);

fn needs_room_for_the_value(kvm: Kvm) -> Outcome {
    each(0..8, |room| fails(EFAULT, get_attribute(&kvm, &XCOMP_GUEST_SUPP, &mut Guarded::zeroed(*room))))?;
    each([0, 1, 1 << 63, u64::MAX], |addr| {
        fails(EFAULT, kvm.write(KVM_GET_DEVICE_ATTR, &kvm_device_attr { addr: *addr, ..XCOMP_GUEST_SUPP }))
    })
}
claim!(
    needs_room_for_the_value,
    "KVM_GET_DEVICE_ATTR on /dev/kvm answers EFAULT where the value cannot be written",
    [Code("kvm_x86_dev_get_attr, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_SYS_ATTRIBUTES)
);

fn ignores_the_address_when_asked_what_there_is(kvm: Kvm, addr: u64) -> Outcome {
    equal(kvm.write(KVM_HAS_DEVICE_ATTR, &kvm_device_attr { addr, ..XCOMP_GUEST_SUPP })?, 0)
}
claim!(
    ignores_the_address_when_asked_what_there_is,
    "KVM_HAS_DEVICE_ATTR on /dev/kvm ignores the address",
    [Api("4.81 KVM_HAS_DEVICE_ATTR")],
    Has(KVM_CAP_SYS_ATTRIBUTES)
);

fn ignores_flags(kvm: Kvm, flags: u32) -> Outcome {
    let attribute = kvm_device_attr { flags, ..XCOMP_GUEST_SUPP };
    equal(kvm.write(KVM_HAS_DEVICE_ATTR, &attribute)?, 0)?;
    let mut value = Guarded::zeroed(8);
    equal(get_attribute(&kvm, &attribute, &mut value)?, 0)?;
    equal(value.get(0), guest_xcr0(&kvm)?)
}
// api.rst says that no flags are defined, not that they are ignored.
claim!(
    ignores_flags,
    "KVM_GET_DEVICE_ATTR and KVM_HAS_DEVICE_ATTR on /dev/kvm ignore the flags",
    [Code("__kvm_x86_dev_get_attr, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_SYS_ATTRIBUTES)
);

fn cannot_be_set(kvm: Kvm) -> Outcome {
    fails(EINVAL, kvm.write(KVM_SET_DEVICE_ATTR, &XCOMP_GUEST_SUPP))
}
claim!(
    cannot_be_set,
    "KVM_SET_DEVICE_ATTR is no command of /dev/kvm",
    [Api("4.80 KVM_SET_DEVICE_ATTR/KVM_GET_DEVICE_ATTR"), Code("kvm_arch_dev_ioctl, arch/x86/kvm/x86.c")]
);

fn are_unknown_without_their_capability(kvm: Kvm) -> Outcome {
    each([KVM_GET_DEVICE_ATTR, KVM_HAS_DEVICE_ATTR], |command| {
        fails(EINVAL, kvm.write(*command, &XCOMP_GUEST_SUPP))
    })
}
claim!(
    are_unknown_without_their_capability,
    "KVM_GET_DEVICE_ATTR and KVM_HAS_DEVICE_ATTR are unknown to /dev/kvm without KVM_CAP_SYS_ATTRIBUTES",
    [Api("4.80 KVM_SET_DEVICE_ATTR/KVM_GET_DEVICE_ATTR")],
    Not(&Has(KVM_CAP_SYS_ATTRIBUTES))
);
