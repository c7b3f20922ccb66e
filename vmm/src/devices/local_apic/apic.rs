//! What a local APIC has pending and in service, and what its processor takes next: SDM 3, 12.8 "Handling interrupts".

use serde::{Deserialize, Serialize};

use super::messages::Delivery;
use super::timer::Timer;
use crate::clock::Nanos;

/// One processor's local APIC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalApic {
    pub(super) id: u32,
    pub(super) is_bootstrap: bool,
    /// IA32_APIC_BASE.
    pub(super) base: u64,
    pub(super) tpr: u8,
    pub(super) ldr: u32,
    pub(super) dfr: u32,
    pub(super) svr: u32,
    pub(super) icr: u64,
    /// Errors that are shown, and those since.
    pub(super) errors: [u32; 2],
    /// The local vector table: timer, thermal sensor, performance counters, LINT0, LINT1, error.
    pub(super) lvt: [u32; 6],
    pub(super) irr: [u32; 8],
    pub(super) isr: [u32; 8],
    pub(super) tmr: [u32; 8],
    pub(super) timer: Timer,
    nmi: bool,
    init: bool,
    startup: Option<u8>,
    /// INIT has been taken and no start-up message since.
    pub(super) waits_for_startup: bool,
    /// An ExtINT message that the i8259 pair is to be asked for.
    ext_int: bool,
}

/// What a processor takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It is initialized and waits for a start-up message, unless it is the bootstrap processor.
    Init,
    /// It starts at page `.0`.
    Startup(u8),
    /// It takes a non-maskable interrupt.
    Nmi,
    /// It takes an interrupt of this vector.
    Vector(u8),
}

pub(super) const ENABLED: u64 = 1 << 11;
pub(super) const X2APIC: u64 = 1 << 10;
const BOOTSTRAP: u64 = 1 << 8;
const BASE: u64 = 0xfee0_0000;
pub(super) const MASKED: u32 = 1 << 16;
const RECEIVED_ILLEGAL_VECTOR: u32 = 1 << 6;

/// Indices into the local vector table.
pub(super) const LVT_TIMER: usize = 0;
pub(super) const LVT_LINT0: usize = 3;
pub(super) const LVT_LINT1: usize = 4;
pub(super) const LVT_ERROR: usize = 5;

impl LocalApic {
    /// That of the processor of this number, as it is after power-up.
    pub fn new(id: u32) -> Self {
        let is_bootstrap = id == 0;
        let base = BASE | ENABLED | if is_bootstrap { BOOTSTRAP } else { 0 };
        let mut apic = Self {
            id,
            is_bootstrap,
            base,
            tpr: 0,
            ldr: 0,
            dfr: u32::MAX,
            svr: 0xff,
            icr: 0,
            errors: [0; 2],
            lvt: [MASKED; 6],
            irr: [0; 8],
            isr: [0; 8],
            tmr: [0; 8],
            timer: Timer::default(),
            nmi: false,
            init: false,
            startup: None,
            waits_for_startup: !is_bootstrap,
            ext_int: false,
        };
        apic.wire_as_a_pc_does();
        apic
    }

    /// What an INIT leaves: SDM 3, 12.4.7.3.
    pub(super) fn initialize(&mut self) {
        let base = self.base;
        let fresh = Self::new(self.id);
        *self = Self { base, waits_for_startup: !self.is_bootstrap, ..fresh };
    }

    /// A PC without firmware is left in virtual-wire mode, as firmware leaves it: the i8259 pair at LINT0, NMI at LINT1.
    fn wire_as_a_pc_does(&mut self) {
        if self.is_bootstrap {
            self.lvt[LVT_LINT0] = 0x700;
            self.lvt[LVT_LINT1] = 0x400;
            self.svr = 0x1ff;
        }
    }

    pub(super) fn is_enabled(&self) -> bool {
        self.base & ENABLED != 0
    }

    pub(super) fn is_x2apic(&self) -> bool {
        self.base & (ENABLED | X2APIC) == ENABLED | X2APIC
    }

    pub(super) fn is_software_enabled(&self) -> bool {
        self.is_enabled() && self.svr & 0x100 != 0
    }

    /// Takes a message that is for this one. Whether it accepts it.
    pub fn accept(&mut self, delivery: Delivery, vector: u8, is_level: bool) -> bool {
        match delivery {
            Delivery::Fixed | Delivery::Lowest if !self.is_software_enabled() => return false,
            Delivery::Fixed | Delivery::Lowest if vector < 16 => {
                self.error(RECEIVED_ILLEGAL_VECTOR);
                return false;
            }
            Delivery::Fixed | Delivery::Lowest => {
                put(&mut self.irr, vector, true);
                put(&mut self.tmr, vector, is_level);
            }
            Delivery::Nmi => self.nmi = true,
            Delivery::Init => {
                self.init = true;
                self.startup = None;
            }
            Delivery::Startup => {
                // A processor that does not wait for it ignores it: SDM 3, 12.4.
                if self.init || self.waits_for_startup {
                    self.startup = Some(vector);
                }
            }
            Delivery::ExtInt => self.ext_int = true,
            Delivery::Smi | Delivery::Reserved => {}
        }
        true
    }

    /// Whether the processor takes what the i8259 pair asks for.
    pub fn takes_pic(&self) -> bool {
        let lint0 = self.lvt[LVT_LINT0];
        let wired = lint0 & (MASKED | 0x700) == 0x700;
        self.is_bootstrap && (!self.is_enabled() || wired) || self.ext_int
    }

    /// What the processor takes now, if it takes interrupts at all (`open`); `pic` is asked for the vector of the i8259 pair, if
    /// that asks for one.
    pub fn next(&mut self, open: bool, pic: Option<impl FnOnce() -> u8>) -> Option<Event> {
        if std::mem::take(&mut self.init) {
            self.initialize_and_keep_startup();
            return Some(Event::Init);
        }
        if self.waits_for_startup {
            let page = self.startup.take()?;
            self.waits_for_startup = false;
            return Some(Event::Startup(page));
        }
        if std::mem::take(&mut self.nmi) {
            return Some(Event::Nmi);
        }
        if !open {
            return None;
        }
        if let Some(pic) = pic.filter(|_| self.takes_pic()) {
            self.ext_int = false;
            return Some(Event::Vector(pic()));
        }
        let vector = self.pending()?;
        put(&mut self.irr, vector, false);
        put(&mut self.isr, vector, true);
        Some(Event::Vector(vector))
    }

    /// Whether there is anything for the processor to take: now, or once it takes interrupts.
    pub fn asks(&self, pic: bool) -> bool {
        let starts = self.waits_for_startup && self.startup.is_some();
        let running = !self.waits_for_startup;
        self.init || starts || running && (self.nmi || pic && self.takes_pic() || self.pending().is_some())
    }

    /// Whether the processor waits for a start-up message.
    pub fn waits_for_startup(&self) -> bool {
        self.waits_for_startup
    }

    /// Ends the interrupt of the highest priority that is in service: its vector, if it was level-triggered.
    pub fn end(&mut self) -> Option<u8> {
        let vector = highest(&self.isr)?;
        put(&mut self.isr, vector, false);
        is(&self.tmr, vector).then_some(vector)
    }

    /// Takes over the task priority that the processor has in CR8.
    pub fn set_cr8(&mut self, cr8: u8) {
        if self.tpr >> 4 != cr8 & 0xf {
            self.tpr = cr8 << 4;
        }
    }

    /// The task priority for CR8.
    pub fn cr8(&self) -> u8 {
        self.tpr >> 4
    }

    /// Takes over the base address that the processor has in IA32_APIC_BASE.
    pub fn set_base(&mut self, base: u64) {
        if base == self.base {
            return;
        }
        let was_x2apic = self.is_x2apic();
        self.base = base;
        if self.is_x2apic() && !was_x2apic {
            // SDM 3, 12.12.10.2: the cluster, and the place in it.
            self.ldr = (self.id >> 4) << 16 | 1 << (self.id & 0xf);
        }
        if !self.is_enabled() {
            let (nmi, init, startup, waits) = (self.nmi, self.init, self.startup, self.waits_for_startup);
            *self =
                Self { base, nmi, init, startup, waits_for_startup: waits, svr: 0xff, ..Self::new(self.id) };
        }
    }

    /// IA32_APIC_BASE.
    pub fn base(&self) -> u64 {
        self.base
    }

    /// The processor priority: SDM 3, 12.8.3.1.
    pub fn ppr(&self) -> u8 {
        let serviced = highest(&self.isr).unwrap_or(0);
        if self.tpr >> 4 >= serviced >> 4 { self.tpr } else { serviced & 0xf0 }
    }

    /// Lets the timer act on the time that it is.
    pub fn poll(&mut self, now: Nanos) {
        let lvt = self.lvt[LVT_TIMER];
        if self.timer.poll(now, lvt) && lvt & MASKED == 0 {
            self.accept(Delivery::Fixed, (lvt & 0xff) as u8, false);
        }
    }

    /// When it wants to be polled next.
    pub fn deadline(&self) -> Option<Nanos> {
        self.timer.deadline(self.lvt[LVT_TIMER])
    }

    pub(super) fn error(&mut self, bit: u32) {
        let lvt = self.lvt[LVT_ERROR];
        let is_new = self.errors[1] & bit == 0;
        self.errors[1] |= bit;
        if is_new && lvt & MASKED == 0 {
            self.accept(Delivery::of(lvt >> 8), (lvt & 0xff) as u8, false);
        }
    }

    fn pending(&self) -> Option<u8> {
        let vector = highest(&self.irr)?;
        (self.is_software_enabled() && vector >> 4 > self.ppr() >> 4).then_some(vector)
    }

    fn initialize_and_keep_startup(&mut self) {
        let startup = self.startup;
        self.initialize();
        self.startup = startup;
    }
}

/// Whether a vector is in a register of 256 bits.
fn is(register: &[u32; 8], vector: u8) -> bool {
    register[usize::from(vector / 32)] & 1 << (vector % 32) != 0
}

fn put(register: &mut [u32; 8], vector: u8, is_set: bool) {
    let word = &mut register[usize::from(vector / 32)];
    let bit = 1 << (vector % 32);
    *word = if is_set { *word | bit } else { *word & !bit };
}

fn highest(register: &[u32; 8]) -> Option<u8> {
    (0..8_u8).rev().find_map(|index| {
        let word = register[usize::from(index)];
        u8::try_from(word.checked_ilog2()?).ok().map(|bit| index * 32 + bit)
    })
}
