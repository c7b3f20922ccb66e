//! Which pins of which controllers a line leads to.

/// How many lines a PC has: the pins of its IOAPIC.
pub const GSIS: u32 = 24;

/// A pin that a line leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Of the i8259 pair, 0 to 15.
    Pic(u8),
    /// Of the IOAPIC, 0 to 23.
    IoApic(u8),
    /// None: a message is written instead.
    Message {
        /// Where.
        address: u64,
        /// What.
        data: u32,
    },
}

/// The lines of a PC, each with where it leads: to the i8259 pair as it is numbered there, and to the IOAPIC likewise, but for the
/// timer, which is at pin 2 (where the pair's cascade leaves room), as an override in the MADT says.
pub fn pc_routes() -> Vec<(u32, Route)> {
    let pin = |gsi: u32| u8::try_from(gsi).unwrap_or(0);
    let pic = (0..16).filter(|gsi| *gsi != 2).map(|gsi| (gsi, Route::Pic(pin(gsi))));
    let timer = [(0, Route::IoApic(2))];
    let others = (1..GSIS).filter(|gsi| *gsi != 2).map(|gsi| (gsi, Route::IoApic(pin(gsi))));
    pic.chain(timer).chain(others).collect()
}
