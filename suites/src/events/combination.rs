//! Generated states of a vCPU's events, as KVM_SET_VCPU_EVENTS takes them, and what the kernel makes of them.

use harness::kvm::abi;
use proptest::arbitrary::{Arbitrary, any};
use proptest::option;
use proptest::sample::select;
use proptest::strategy::{BoxedStrategy, Just, Strategy};
use serde::{Deserialize, Serialize};

/// Every field, whether it makes sense with the others or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Combination {
    flags: u32,
    exception: (bool, bool, u8),
    error: (bool, u32),
    payload: (bool, u64),
    interrupt: (bool, u8, bool),
    shadow: u8,
    nmi: (bool, u8, bool),
    sipi_vector: u32,
    smi: (bool, bool, bool, bool),
    triple_fault: bool,
}

/// Events of which the guest takes one first, whatever else there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct First {
    pub(super) triple_fault: bool,
    pub(super) exception: Option<Exception>,
    pub(super) nmi: bool,
    pub(super) interrupt: Option<u8>,
}

/// An exception as processors raise it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Exception {
    pub(super) vector: u8,
    pub(super) pending: bool,
    pub(super) error: u16,
}

/// The exceptions that are no instruction's own: those of INT3 and INTO have the processor step over it.
pub(super) const EXCEPTIONS: [u8; 15] = [0, 1, 5, 6, 7, 8, 10, 11, 12, 13, 14, 16, 17, 18, 19];
/// The exceptions of INT3 and INTO.
const SOFT: [u8; 2] = [3, 4];
/// The vector of NMIs, which is no exception's.
const NMI: u8 = 2;
/// As many flags as there are.
const FLAGS: u32 = 0x3f;

impl Combination {
    /// What a host lays down.
    pub(super) fn laid(&self) -> abi::kvm_vcpu_events {
        let mut events = abi::kvm_vcpu_events { flags: self.flags, ..Default::default() };
        let (injected, pending, nr) = self.exception;
        (events.exception.injected, events.exception.pending, events.exception.nr) =
            (injected.into(), pending.into(), nr);
        (events.exception.has_error_code, events.exception.error_code) = (self.error.0.into(), self.error.1);
        (events.exception_has_payload, events.exception_payload) = (self.payload.0.into(), self.payload.1);
        let (injected, nr, soft) = self.interrupt;
        (events.interrupt.injected, events.interrupt.nr, events.interrupt.soft) =
            (injected.into(), nr, soft.into());
        events.interrupt.shadow = self.shadow;
        let (injected, pending, masked) = self.nmi;
        (events.nmi.injected, events.nmi.pending, events.nmi.masked) =
            (injected.into(), pending, masked.into());
        events.sipi_vector = self.sipi_vector;
        let (smm, pending, inside, latched) = self.smi;
        (events.smi.smm, events.smi.pending) = (smm.into(), pending.into());
        (events.smi.smm_inside_nmi, events.smi.latched_init) = (inside.into(), latched.into());
        events.triple_fault.pending = self.triple_fault.into();
        events
    }

    /// Whether the kernel refuses it with EINVAL: only exceptions can be injected or pending.
    pub(super) fn is_refused(&self) -> bool {
        let (injected, pending, nr) = self.exception;
        let is_any = injected || pending && self.has(abi::KVM_VCPUEVENT_VALID_PAYLOAD);
        is_any && (nr > 31 || nr == NMI)
    }

    /// Without SMM, which some kernels and emulators do not have.
    pub(super) fn without_smm(self) -> Self {
        Self { smi: (false, false, false, false), ..self }
    }

    /// What a host reads back from a vCPU that had nothing before, has no local APIC, and shows all there is with `flags`.
    pub(super) fn given_back(&self, flags: u32) -> abi::kvm_vcpu_events {
        let mut events = self.laid();
        (events.flags, events.sipi_vector, events.interrupt.soft) = (flags, 0, 0);
        if !self.has(abi::KVM_VCPUEVENT_VALID_PAYLOAD) {
            events.exception.pending = 0;
        }
        if events.exception.pending == 1 {
            events.exception.injected = 0;
        } else {
            events.exception_has_payload = 0;
        }
        if SOFT.contains(&self.exception.2) {
            (events.exception.injected, events.exception.pending) = (0, 0);
        }
        if self.interrupt.2 {
            events.interrupt.injected = 0;
        }
        if !self.has(abi::KVM_VCPUEVENT_VALID_SHADOW) {
            events.interrupt.shadow = 0;
        }
        if !self.has(abi::KVM_VCPUEVENT_VALID_NMI_PENDING) {
            events.nmi.pending = 0;
        }
        let (injected, _, masked) = self.nmi;
        events.nmi.pending = events.nmi.pending.min(if injected || masked { 1 } else { 2 });
        if !self.has(abi::KVM_VCPUEVENT_VALID_SMM) {
            events.smi = abi::kvm_vcpu_events__bindgen_ty_4::default();
        }
        // Only what is in SMM came there from within an NMI, and only a local APIC latches INIT.
        events.smi.smm_inside_nmi &= events.smi.smm;
        events.smi.latched_init = 0;
        if !self.has(abi::KVM_VCPUEVENT_VALID_TRIPLE_FAULT) {
            events.triple_fault.pending = 0;
        }
        events
    }

    fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }
}

impl First {
    /// Lays it down among what the vCPU has.
    pub(super) fn lay(&self, events: &mut abi::kvm_vcpu_events) {
        events.triple_fault.pending = self.triple_fault.into();
        if let Some(exception) = self.exception {
            exception.lay(events);
        }
        events.nmi.injected = self.nmi.into();
        if let Some(vector) = self.interrupt {
            (events.interrupt.injected, events.interrupt.nr) = (1, vector);
        }
    }

    /// Of these the one that the guest takes first.
    pub(super) fn alone(self) -> Self {
        let nmi = self.nmi && self.exception.is_none();
        let interrupt = self.interrupt.filter(|_| self.exception.is_none() && !nmi);
        Self { triple_fault: false, exception: self.exception, nmi, interrupt }
    }

    /// The vector that the guest is entered through first.
    pub(super) fn vector(&self) -> Option<u8> {
        let nmi = self.nmi.then_some(NMI);
        self.exception.map(|exception| exception.vector).or(nmi).or(self.interrupt)
    }
}

impl Exception {
    /// Lays it down among what the vCPU has.
    pub(super) fn lay(&self, events: &mut abi::kvm_vcpu_events) {
        let has_error = super::handled::WITH_ERROR_CODE.contains(&self.vector);
        events.exception = abi::kvm_vcpu_events__bindgen_ty_1 {
            injected: (!self.pending).into(),
            pending: self.pending.into(),
            nr: self.vector,
            has_error_code: has_error.into(),
            error_code: if has_error { self.error.into() } else { 0 },
        };
    }
}

impl Arbitrary for Combination {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> BoxedStrategy<Self> {
        let exception = (any::<bool>(), any::<bool>(), 0..=40u8);
        let first = (0..=FLAGS, exception, any::<(bool, u32)>(), any::<(bool, u64)>());
        let second = (any::<(bool, u8, bool)>(), 0..=3u8, any::<(bool, u8, bool)>(), any::<u32>());
        (first, second, any::<(bool, bool, bool, bool)>(), any::<bool>())
            .prop_map(|(first, second, smi, triple_fault)| {
                let (flags, exception, error, payload) = first;
                let (interrupt, shadow, nmi, sipi_vector) = second;
                Self {
                    flags,
                    exception,
                    error,
                    payload,
                    interrupt,
                    shadow,
                    nmi,
                    sipi_vector,
                    smi,
                    triple_fault,
                }
            })
            .boxed()
    }
}

impl Arbitrary for First {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> BoxedStrategy<Self> {
        (any::<bool>(), option::of(any::<Exception>()), any::<bool>(), option::of(32..=255u8))
            .prop_map(|(triple_fault, exception, nmi, interrupt)| Self {
                triple_fault,
                exception,
                nmi,
                interrupt,
            })
            .boxed()
    }
}

impl Arbitrary for Exception {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> BoxedStrategy<Self> {
        // Processors of Intel's take error codes of 15 bits. The one of #DF is always zero.
        (select(EXCEPTIONS.to_vec()), any::<bool>(), 0..0x8000u16)
            .prop_flat_map(|(vector, pending, error)| {
                Just(Self { vector, pending, error: if vector == 8 { 0 } else { error } })
            })
            .boxed()
    }
}
