//! Where things lie in guest RAM.
//!
//! | address | what |
//! |---|---|
//! | 0 | the interrupt vectors of real mode, where something handles them |
//! | [`CODE`] | the code; the stack grows down towards it from [`STACK`] |
//! | [`SCRATCH`] | nothing: room for a guest to write to, up to [`PROTOCOL`] |
//! | [`PROTOCOL`] | the page that host and guest share; nothing where they do not |
//! | 0x10000 | descriptor tables, task state segments, page tables, interrupt gates and handlers, as far as they are needed |
//! | [`RAM`] | the end of RAM; the stacks of ring 0 grow down from here |
//! | [`MMIO_HOLE`] | no RAM: an access leaves the guest |
//!
//! All RAM that holds none of this is filled with [`TRAP`]: guest code that goes astray halts at once, at a telling address.

/// Where code lies.
pub const CODE: u64 = 0x1000;
/// Where the stack begins: it grows down from here towards the code.
pub const STACK: u64 = 0x8000;
/// Room for a guest to write to, reached from every flat mode with the same address.
pub const SCRATCH: u64 = 0x8000;
/// The page that host and guest share.
pub const PROTOCOL: u64 = 0xf000;
/// How much RAM there is, in bytes, from address zero.
pub const RAM: u64 = 0x2_0000;
/// A guest-physical address without RAM, with 64 KiB of the like behind it. Real mode reaches it through ES.
pub const MMIO_HOLE: u64 = (HOLE_SELECTOR as u64) << 4;
/// What fills RAM: HLT.
pub const TRAP: u8 = 0xf4;
/// How many vCPUs an image has room for.
pub const VCPUS: usize = 4;

/// What real mode loads into ES to reach [`MMIO_HOLE`].
pub(crate) const HOLE_SELECTOR: u16 = 0xb000;

/// The descriptor tables, one for each vCPU, this far from each other: their addresses tell the vCPUs apart.
pub(crate) const GDT: u64 = 0x1_0000;
pub(crate) const GDT_STEP: u64 = 0x100;
/// The task state segments, one for each vCPU, this far from each other.
pub(crate) const TASK: u64 = 0x1_1000;
pub(crate) const TASK_STEP: u64 = 0x100;
/// The page tables: at most eight pages.
pub(crate) const PAGES: u64 = 0x1_2000;
/// The interrupt gates of all vectors.
pub(crate) const IDT: u64 = 0x1_a000;
/// The code that handles interrupts: one entry for each vector, and what they have in common behind.
pub(crate) const HANDLERS: u64 = 0x1_b000;
/// The task state segment of virtual-8086 mode, which has an I/O permission map.
pub(crate) const TASK_WITH_MAP: u64 = 0x1_c000;
/// From one vCPU's stack in ring 0 to the next, downwards from the end of RAM.
pub(crate) const RING_0_STACK_STEP: u64 = 0x400;
/// From one vCPU's stack to the next, downwards from [`STACK`].
pub(crate) const STACK_STEP: u64 = 0x400;
/// What tells a vCPU's number from where its tables and its block lie.
pub(crate) const VCPU_MASK: u8 = 3;
const _: () = assert!(VCPU_MASK as usize == VCPUS - 1, "as many bits as there are vCPUs");
