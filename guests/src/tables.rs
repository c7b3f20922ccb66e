//! The tables that an entry state points to: descriptors (Intel SDM volume 3, 3.5), the task state segment (8.2.1 and 8.7)
//! and four levels of page tables (4.5 "4-Level Paging").
//!
//! Every bit that the processor would set by itself (accessed, dirty, busy) is set beforehand, so that guest RAM changes by
//! what the guest writes and by nothing else.

use crate::segment::{Segment, Table};

/// Where the global descriptor table lies.
pub(crate) const GDT: u64 = 0x1_0000;
/// Where the task state segment lies.
pub(crate) const TASK: u64 = 0x1_1000;
/// Where the page tables lie: one page of the fourth level, one of the third, four of the second.
pub(crate) const PAGES: u64 = 0x1_2000;

/// The selectors of the descriptors, in the order in which they lie.
pub(crate) const CODE_SELECTOR: u16 = 0x08;
pub(crate) const DATA_SELECTOR: u16 = 0x10;
pub(crate) const TASK_SELECTOR: u16 = 0x18;

/// The offset of a task state segment's last byte, in 32-bit and in 64-bit form.
pub(crate) const TASK_LIMIT: u32 = 0x67;
/// Where a task state segment says where its I/O permission map lies, in both forms.
const IO_MAP: usize = 0x66;

const PAGE: u64 = 0x1000;
const PRESENT: u64 = 1 << 0;
const WRITABLE: u64 = 1 << 1;
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;
const LARGE: u64 = 1 << 7;
/// Pages of the second level: each maps 1 GiB.
const DIRECTORIES: u64 = 4;
const ENTRIES: u64 = 512;

/// Where [`descriptors`] are said to lie.
pub(crate) const GDTR: Table = Table { base: GDT, limit: 5 * 8 - 1 };

/// The null descriptor, code, data, and the task's, for which long mode takes two places.
pub(crate) fn descriptors(code: &Segment, data: &Segment, task: &Segment) -> Vec<u8> {
    let all = [0, code.descriptor(), data.descriptor(), task.descriptor(), task.base >> 32];
    all.into_iter().flat_map(u64::to_le_bytes).collect()
}

/// A task state segment without stacks, and without an I/O permission map: it would begin behind the last byte.
pub(crate) fn task() -> Vec<u8> {
    let mut bytes = vec![0; TASK_LIMIT as usize + 1];
    bytes[IO_MAP] = 0x68;
    bytes
}

/// Page tables that map the low 4 GiB to themselves in pages of 2 MiB.
pub(crate) fn identity() -> Vec<u8> {
    let upper = PRESENT | WRITABLE | ACCESSED;
    let leaf = upper | DIRTY | LARGE;
    let page = |entries: u64, entry: &dyn Fn(u64) -> u64| -> Vec<u64> {
        (0..ENTRIES).map(|i| if i < entries { entry(i) } else { 0 }).collect()
    };
    let fourth = page(1, &|_| (PAGES + PAGE) | upper);
    let third = page(DIRECTORIES, &|i| (PAGES + (2 + i) * PAGE) | upper);
    let second = (0..DIRECTORIES * ENTRIES).map(|i| i << 21 | leaf);
    fourth.into_iter().chain(third).chain(second).flat_map(u64::to_le_bytes).collect()
}
