//! The data of the KVM interface that coverage is counted against, and what claims are written with, say the same.

use std::collections::BTreeSet;

use harness::kvm::{CAPS, COMMANDS, EXIT_REASONS, Given, Kind};
use reports::{ExitRow, Interface, Row};

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::System => "system",
        Kind::Vm => "vm",
        Kind::Vcpu => "vcpu",
        Kind::Device => "device",
        Kind::GuestMemfd => "guest_memfd",
        Kind::Stats => "stats",
    }
}

#[test]
fn commands_agree() {
    let ours: BTreeSet<_> = COMMANDS
        .iter()
        .flat_map(|command| command.kinds.iter().map(|kind| (name(*kind), command.name, command.number)))
        .collect();
    let interface = Interface::shipped().expect("the data");
    let data = interface.commands.iter().filter(|command| command.row != Row::Compat);
    let data: BTreeSet<_> = data.map(|command| (command.descriptor, command.name, command.number)).collect();
    assert_eq!(ours, data);
}

#[test]
fn capabilities_agree() {
    let interface = Interface::shipped().expect("the data");
    let here = interface.capabilities.iter().map(|cap| (cap.number, cap.name));
    let data: BTreeSet<_> = here.chain(interface.elsewhere.iter().copied()).collect();
    assert_eq!(CAPS.iter().map(|cap| (cap.number, cap.name)).collect::<BTreeSet<_>>(), data);
    let zero = |name: &str| interface.elsewhere.iter().any(|(_, other)| *other == name);
    for cap in CAPS {
        let is_zero = interface
            .capabilities
            .iter()
            .any(|other| other.name == cap.name && other.out_of_reach == Some("is 0 on x86"));
        assert_eq!(cap.on_x86, !is_zero && !zero(cap.name), "{}", cap.name);
    }
}

#[test]
fn exits_agree() {
    let interface = Interface::shipped().expect("the data");
    let data: Vec<_> = interface.reasons().map(|exit| (exit.row, exit.name)).collect();
    let ours = EXIT_REASONS.iter().map(|reason| (ExitRow::Reason(reason.number), reason.name));
    assert_eq!(ours.collect::<Vec<_>>(), data);
    for (reason, exit) in EXIT_REASONS.iter().zip(interface.reasons()) {
        let is_elsewhere = exit.out_of_reach.is_some_and(|why| why.starts_with("other architecture"));
        assert_eq!(is_elsewhere, matches!(reason.given, Given::On(_)), "{}", reason.name);
    }
}
