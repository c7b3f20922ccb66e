//! The data that is built in.

use std::sync::OnceLock;

use super::{Capability, Command, Exit, ExitRow, InterfaceError, Row, capability, command, exit};

const IOCTLS: &str = include_str!("../../data/kvm-api/ioctls.tsv");
const CAPABILITIES: &str = include_str!("../../data/kvm-api/capabilities.tsv");
const ELSEWHERE: &str = include_str!("../../data/kvm-api/capabilities-elsewhere.tsv");
const EXITS: &str = include_str!("../../data/kvm-api/exits.tsv");

/// Everything that the KVM interface of x86 is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The commands by the kind of descriptor; those that other kernels have as well.
    pub commands: Vec<Command>,
    /// How many rows are no command of their own: attributes, sub-commands, file operations.
    pub apart: usize,
    /// The capabilities.
    pub capabilities: Vec<Capability>,
    /// The numbers and names of capabilities that other architectures alone have.
    pub elsewhere: Vec<(u32, &'static str)>,
    /// The exit reasons, and their details.
    pub exits: Vec<Exit>,
}

impl Interface {
    /// What is built in.
    pub fn shipped() -> Result<&'static Self, InterfaceError> {
        static READ: OnceLock<Result<Interface, InterfaceError>> = OnceLock::new();
        let read = READ.get_or_init(|| Self::read(IOCTLS, CAPABILITIES, ELSEWHERE, EXITS));
        read.as_ref().map_err(InterfaceError::clone)
    }

    fn read(
        ioctls: &'static str,
        capabilities: &'static str,
        elsewhere: &'static str,
        exits: &'static str,
    ) -> Result<Self, InterfaceError> {
        let (commands, apart) = command::read(ioctls)?;
        let capabilities = capability::read(capabilities)?;
        let elsewhere = capability::read_elsewhere(elsewhere)?;
        let exits = exit::read(exits)?;
        Ok(Self { commands, apart, capabilities, elsewhere, exits })
    }

    /// The pairs of a kind of descriptor and a command that the newest kernel has: those that are counted.
    pub fn pairs(&self) -> impl Iterator<Item = &Command> {
        self.commands.iter().filter(|command| command.row == Row::Command)
    }

    /// The exit reasons, by number.
    pub fn reasons(&self) -> impl Iterator<Item = &Exit> {
        self.exits.iter().filter(|exit| matches!(exit.row, ExitRow::Reason(_)))
    }

    /// What the run page tells beside an exit reason.
    pub fn details(&self) -> impl Iterator<Item = &Exit> {
        self.exits.iter().filter(|exit| exit.row == ExitRow::Detail)
    }
}

/// Whether a word is an error's name, as far as its letters go.
pub(super) fn is_error(word: &str) -> bool {
    word.len() > 2
        && word.starts_with('E')
        && word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interface::SeenBy;

    #[test]
    fn what_is_shipped_is_well_formed() {
        let interface = Interface::shipped().unwrap();
        assert_eq!(interface.pairs().count(), 119);
        assert_eq!(interface.apart, 73);
        assert_eq!(interface.capabilities.len(), 140);
        assert_eq!(interface.elsewhere.len(), 106);
        let numbers: Vec<_> = interface.reasons().map(|exit| exit.row).collect();
        assert_eq!(numbers, (0..44).map(ExitRow::Reason).collect::<Vec<_>>());
        assert_eq!(interface.details().count(), 38);
    }

    #[test]
    fn what_shows_a_capability_is_in_the_data() {
        let interface = Interface::shipped().unwrap();
        for capability in &interface.capabilities {
            for seen_by in &capability.seen_by {
                let is_known = match seen_by {
                    SeenBy::Enabling => true,
                    SeenBy::Command(descriptor, name) => {
                        interface.pairs().any(|pair| (pair.descriptor, pair.name) == (descriptor, name))
                    }
                    SeenBy::Exit(name) => interface.exits.iter().any(|exit| exit.name == *name),
                };
                assert!(is_known, "{}: {seen_by:?}", capability.name);
            }
        }
    }

    #[test]
    fn damage_is_an_error_with_its_place() {
        let read = |from: &'static str, to: &'static str| {
            let ioctls: &'static str = Box::leak(IOCTLS.replacen(from, to, 1).into_boxed_str());
            Interface::read(ioctls, CAPABILITIES, ELSEWHERE, EXITS).unwrap_err().to_string()
        };
        assert_eq!(
            read("\t0xae03\t", "\tae03\t"),
            "read ioctls.tsv: number in line 2 is `ae03`, which is not a command's number"
        );
        assert!(read("\tEFAULT ENXIO\t", "\tEFAULT maybe\t").contains("is `EFAULT maybe`"));
        assert!(read("KVM_CREATE_VM\t", "KVM_CHECK_EXTENSION\t").contains("as an earlier one is"));
    }
}
