//! Claims about the descriptor of a vCPU, and the pages that it shares with user space.

mod coalesced_mmio_ring;
mod coalesced_pio;
mod coalesced_ring;
mod create_vcpu;
pub(crate) mod dirty_gfns;
mod dirty_ring;
mod dirty_ring_mmap;
mod enable_cap;
mod fresh;
mod get_lapic;
mod get_mp_state;
mod get_tsc_khz;
mod hyperv_synic;
mod immediate_exit;
mod max_vcpus;
mod mmap;
mod mmap_protection;
mod mmap_sharing;
pub(crate) mod pages;
mod pio_page;
pub(crate) mod real_mode;
mod reset_msrs;
mod reset_registers;
mod reset_segments;
mod run_page;
mod sync_regs;
mod x2apic_ids;
