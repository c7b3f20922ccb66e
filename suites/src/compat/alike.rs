//! One command through both entries: the same answer, the same bytes, the same state behind them.

use std::fmt::Debug;

use harness::kvm::{Argument, Command, Compat, CompatBuffer, Descriptor, Errno, Guarded, Plain, Refused};
use harness::{Outcome, Stop, differs, equal};

/// What a buffer holds before the kernel fills it, by byte.
const STALE: u8 = 0x5a;

/// A command's answer and the bytes it left, through one entry.
pub(super) type Answer = (Result<i32, Errno>, Vec<u8>);

/// Sends a command through the 64-bit entry with a structure of `size` bytes that begins with `head`.
#[track_caller]
pub(super) fn by_64(to: &impl Descriptor, command: Command, size: usize, head: &[u8]) -> Answer {
    let mut bytes = Guarded::zeroed(size);
    bytes.bytes_mut().fill(STALE);
    bytes.bytes_mut()[..head.len()].copy_from_slice(head);
    let answer = to.send(command, Argument::Bytes(&mut bytes)).map_err(|refused| refused.errno);
    (answer, bytes.bytes().to_vec())
}

/// Sends a command through the 32-bit entry with a structure of `size` bytes that begins with `head`.
#[track_caller]
pub(super) fn by_32(
    to: &impl Descriptor,
    command: Command,
    size: usize,
    head: &[u8],
) -> Result<Answer, Stop> {
    let mut bytes = CompatBuffer::zeroed(size)?;
    for at in 0..size {
        bytes.put(at, head.get(at).copied().unwrap_or(STALE));
    }
    let answer = Compat.send(to, command, &mut bytes).map_err(|refused| refused.errno);
    Ok((answer, bytes.bytes()))
}

/// The command succeeds through both entries and leaves the same bytes in a structure that begins with `head`.
#[track_caller]
pub(super) fn fills_alike(of: &impl Descriptor, command: Command, head: &[u8]) -> Outcome {
    let by_64 = by_64(of, command, command.size(), head);
    equal(by_64.0, Ok(0))?;
    differs(&by_64.1, &vec![STALE; command.size()])?;
    equal(by_32(of, command, command.size(), head)?, by_64)
}

/// What one entry stores with `set`, both read back with `get`, in both directions.
#[track_caller]
pub(super) fn stores_alike<T: Plain + PartialEq + Debug>(
    of: &impl Descriptor,
    get: Command,
    set: Command,
    change: impl FnOnce(&mut T),
) -> Outcome {
    let before: T = of.read(get)?;
    let mut changed = before;
    change(&mut changed);
    equal(Compat.write(of, set, changed)?, 0)?;
    equal(of.read::<T>(get)?, changed)?;
    equal(Compat.read::<T>(of, get)?, changed)?;
    equal(of.write(set, &before)?, 0)?;
    equal(Compat.read::<T>(of, get)?, before)
}

/// The error of a refusal, for a comparison of the entries.
pub(super) fn errno<T>(answer: Result<T, Refused>) -> Result<T, Errno> {
    answer.map_err(|refused| refused.errno)
}
