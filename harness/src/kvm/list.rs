//! Lists that begin with a count and end in entries: `struct kvm_cpuid2`, `struct kvm_msr_list`, `struct kvm_msrs`.

use super::{Argument, Command, Descriptor, Guarded, Plain, Refused, abi};

/// One line of a CPUID list.
pub type CpuidEntry = abi::kvm_cpuid_entry2;

/// One line of a list of MSRs with their values.
pub type MsrEntry = abi::kvm_msr_entry;

/// What became of a command that fills a list: the kernel's answer, and what it left in the caller's bytes.
#[derive(Clone, Debug)]
pub struct List<T> {
    /// What the command answered.
    pub answer: Result<i32, Refused>,
    /// The count as it stands in the header afterwards.
    pub count: u32,
    /// The room that was given, as the kernel left it.
    pub entries: Vec<T>,
}

/// Sends a list command: a header of `header` bytes that begins with the count `asked`, and room for `room` entries, behind which
/// an inaccessible page begins.
#[track_caller]
pub fn list<T: Plain>(
    descriptor: &impl Descriptor,
    command: Command,
    header: usize,
    asked: u32,
    room: usize,
) -> List<T> {
    send(descriptor, command, Guarded::zeroed(header + room * size_of::<T>()), header, asked, room)
}

/// Sends a list command whose room holds these entries beforehand; for the rest it is as with [`list`].
#[track_caller]
pub fn list_over<T: Plain>(
    descriptor: &impl Descriptor,
    command: Command,
    header: usize,
    asked: u32,
    entries: &[T],
) -> List<T> {
    let mut bytes = Guarded::zeroed(header + size_of_val(entries));
    for (i, entry) in entries.iter().enumerate() {
        bytes.put(header + i * size_of::<T>(), entry);
    }
    send(descriptor, command, bytes, header, asked, entries.len())
}

#[track_caller]
fn send<T: Plain>(
    descriptor: &impl Descriptor,
    command: Command,
    mut bytes: Guarded,
    header: usize,
    asked: u32,
    room: usize,
) -> List<T> {
    bytes.put(0, &asked);
    let answer = descriptor.send(command, Argument::Bytes(&mut bytes));
    let entries = (0..room).map(|i| bytes.get(header + i * size_of::<T>())).collect();
    List { answer, count: bytes.get(0), entries }
}
