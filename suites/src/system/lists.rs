//! The commands of `/dev/kvm` that fill a list, and what every one of them is tried with: counts too small, just right and too
//! large, and room that ends too early.

use std::fmt::Debug;

use harness::kvm::{Command, CpuidEntry, E2BIG, EFAULT, Kvm, List, Plain, list_over};
use harness::{Outcome, Stop, each, equal, fails, holds, succeeds, within};

/// More entries than any of the lists has. None of them is empty.
const AMPLE: u32 = 512;

/// A command that fills a list.
pub(super) struct ListCommand<T: 'static> {
    /// The command.
    pub(super) command: Command,
    /// How many bytes stand before the first entry.
    header: usize,
    /// What the room holds beforehand, so that it shows where nothing was written.
    blank: T,
    /// Whether a count that is too small comes back as the count that is needed.
    tells_need: bool,
    /// How many entries it wants room for beyond those that it fills.
    pub(super) spare: u32,
}

impl ListCommand<u32> {
    /// A command that fills `struct kvm_msr_list`.
    pub(super) const fn of_msrs(command: Command) -> Self {
        Self { command, header: 4, blank: u32::MAX, tells_need: true, spare: 0 }
    }
}

impl ListCommand<CpuidEntry> {
    /// A command that fills `struct kvm_cpuid2`.
    pub(super) const fn of_cpuid(command: Command, spare: u32) -> Self {
        let blank = CpuidEntry {
            function: u32::MAX,
            index: u32::MAX,
            flags: u32::MAX,
            eax: u32::MAX,
            ebx: u32::MAX,
            ecx: u32::MAX,
            edx: u32::MAX,
            padding: [0; 3],
        };
        Self { command, header: 8, blank, tells_need: false, spare }
    }
}

impl<T: Plain + PartialEq + Debug> ListCommand<T> {
    /// The list.
    #[track_caller]
    pub(super) fn read(&self, kvm: &Kvm) -> Result<Vec<T>, Stop> {
        let list = self.ask(kvm, AMPLE, AMPLE);
        list.answer?;
        within(list.count, 1, AMPLE)?;
        Ok(list.entries.into_iter().take(size(list.count)).collect())
    }

    /// Sends the command with this count and room for so many entries.
    #[track_caller]
    pub(super) fn ask(&self, kvm: &Kvm, count: u32, room: u32) -> List<T> {
        list_over(kvm, self.command, self.header, count, &vec![self.blank; size(room)])
    }

    /// How many entries the list has.
    #[track_caller]
    pub(super) fn length(&self, kvm: &Kvm) -> Result<u32, Stop> {
        let list = self.ask(kvm, AMPLE, AMPLE);
        list.answer?;
        within(list.count, 1, AMPLE)?;
        Ok(list.count)
    }

    /// A count that is too small is refused with E2BIG, and no entry is written.
    #[track_caller]
    pub(super) fn refuses_fewer(&self, kvm: &Kvm, fewer: u32) -> Outcome {
        let filled = self.length(kvm)?;
        let least = filled + self.spare;
        let count = fewer % least;
        let list = self.ask(kvm, count, least);
        fails(E2BIG, list.answer)?;
        equal(list.count, if self.tells_need { filled } else { count })?;
        self.is_filled(&list.entries, 0)
    }

    /// The least count suffices.
    #[track_caller]
    pub(super) fn fits_exactly(&self, kvm: &Kvm) -> Outcome {
        self.takes(kvm, self.length(kvm)? + self.spare)
    }

    /// A larger count comes back as the number of entries, and what is behind them stays as it was.
    #[track_caller]
    pub(super) fn takes_more(&self, kvm: &Kvm, more: u32) -> Outcome {
        let least = self.length(kvm)? + self.spare;
        each([0, 1, more, u32::MAX], |more| self.takes(kvm, least.saturating_add(*more)))
    }

    /// This count is enough.
    #[track_caller]
    pub(super) fn takes(&self, kvm: &Kvm, count: u32) -> Outcome {
        let filled = self.length(kvm)?;
        let list = self.ask(kvm, count, count.min(AMPLE));
        succeeds(list.answer)?;
        equal(list.count, filled)?;
        self.is_filled(&list.entries, filled)
    }

    /// The largest count is taken although the room ends with the list.
    #[track_caller]
    pub(super) fn stops_at_its_end(&self, kvm: &Kvm) -> Outcome {
        let filled = self.length(kvm)?;
        let list = self.ask(kvm, u32::MAX, filled);
        succeeds(list.answer)?;
        equal(list.count, filled)
    }

    /// Room for one entry less than the count says is EFAULT.
    #[track_caller]
    pub(super) fn needs_its_room(&self, kvm: &Kvm) -> Outcome {
        let filled = self.length(kvm)?;
        fails(EFAULT, self.ask(kvm, filled, filled - 1).answer)
    }

    /// The list has no entry twice.
    #[track_caller]
    pub(super) fn has_nothing_twice<K: Ord + Debug>(&self, kvm: &Kvm, key: impl Fn(&T) -> K) -> Outcome {
        let mut keys: Vec<_> = self.read(kvm)?.iter().map(key).collect();
        keys.sort();
        each(keys.windows(2), |pair| holds(pair[0] != pair[1], "the list has each entry once"))
    }

    /// The list says the same when it is read again.
    #[track_caller]
    pub(super) fn reads_alike<K: PartialEq + Debug>(&self, kvm: &Kvm, key: impl Fn(&T) -> K) -> Outcome {
        let keys = |list: Vec<T>| list.iter().map(&key).collect::<Vec<_>>();
        equal(keys(self.read(kvm)?), keys(self.read(kvm)?))
    }

    /// The first `filled` entries were written, and no other.
    #[track_caller]
    fn is_filled(&self, entries: &[T], filled: u32) -> Outcome {
        let (written, rest) = entries.split_at(entries.len().min(size(filled)));
        holds(written.iter().all(|entry| *entry != self.blank), "the entries of the list were written")?;
        holds(
            rest.iter().all(|entry| *entry == self.blank),
            "the entries behind the list stayed as they were",
        )
    }
}

fn size(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
