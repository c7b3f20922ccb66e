//! The commands by number: a place for each in the recorder's table, found without a search.

use crate::kvm::{COMMANDS, Kind};

/// KVM_X86_SET_MSR_FILTER as 32-bit programs number it, which is no command to anybody else.
const FILTER_COMPAT: (&str, u32) = ("KVM_X86_SET_MSR_FILTER_COMPAT", 0x4104_aec6);

/// How many commands there are.
pub(super) const COUNT: usize = COMMANDS.len() + 1;

/// Where there is no further command with the same lowest byte.
const NONE: usize = usize::MAX;

/// The first command with each lowest byte, which is mostly the only one.
static FIRST: [usize; 256] = chains().0;
/// The next command with the same lowest byte.
static NEXT: [usize; COUNT] = chains().1;

const fn chains() -> ([usize; 256], [usize; COUNT]) {
    let (mut first, mut next) = ([NONE; 256], [NONE; COUNT]);
    let mut index = 0;
    while index < COUNT {
        let byte = (number(index) & 0xff) as usize;
        next[index] = first[byte];
        first[byte] = index;
        index += 1;
    }
    (first, next)
}

const fn number(index: usize) -> u32 {
    if index < COMMANDS.len() { COMMANDS[index].number } else { FILTER_COMPAT.1 }
}

/// The place of a command; none for a number that no KVM command has.
pub(super) fn of(sent: u32) -> Option<usize> {
    let mut index = FIRST[(sent & 0xff) as usize];
    while index != NONE {
        if number(index) == sent {
            return Some(index);
        }
        index = NEXT[index];
    }
    None
}

/// The only kind of descriptor that knows a command; none where several do.
pub(super) fn only_kind(index: usize) -> Option<Kind> {
    match COMMANDS.get(index)?.kinds {
        [kind] => Some(*kind),
        _ => None,
    }
}

/// The name of the command in a place.
pub(super) fn name(index: usize) -> &'static str {
    COMMANDS.get(index).map_or(FILTER_COMPAT.0, |command| command.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_place_of_its_own() {
        for (index, command) in COMMANDS.iter().enumerate() {
            assert_eq!((of(command.number), name(index)), (Some(index), command.name));
        }
        assert_eq!(of(FILTER_COMPAT.1).map(name), Some(FILTER_COMPAT.0));
        // TCGETS, and a number beside those that are taken.
        assert_eq!((of(0x5401), of(0xaeff)), (None, None));
    }
}
