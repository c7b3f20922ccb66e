//! Claims that are payloads: one for each mode, tried on bare KVM.

use harness::{HostFault, Outcome, Stop, Subject, subjects, tells};

/// Makes a claim of each payload that is named: the function's name, the payload's, and the sentence.
macro_rules! told {
    ($source:expr, $($function:ident, $payload:literal, $sentence:literal;)+) => {
        $(
            fn $function() -> harness::Outcome {
                $crate::exits::told::on_bare_kvm($payload)
            }
            harness::claim!($function, $sentence, [Api($source)]);
        )+
    };
}

/// On bare KVM, the payload of this name tells its story.
#[track_caller]
pub(super) fn on_bare_kvm(payload: &str) -> Outcome {
    tells(named_subject("kvm")?, named_payload(payload)?)
}

fn named_subject(name: &str) -> Result<&'static Subject, Stop> {
    let found = subjects().into_iter().find(|subject| subject.name == name);
    found.ok_or_else(|| Stop::HostFault(HostFault(format!("there is no subject {name}"))))
}

fn named_payload(name: &str) -> Result<&'static guests::Payload, Stop> {
    guests::payload(name).ok_or_else(|| Stop::HostFault(HostFault(format!("there is no payload {name}"))))
}
