//! Guests that raise an exception, and what their handler reports of it.

use guests::iced_x86::IcedError;
use guests::iced_x86::code_asm::CodeAssembler;
use guests::protocol::{self, REPORT_PORT};
use guests::{After, Code, EntryState, Event, Handlers, Image, Mode, PROTOCOL, Report, SCRATCH, code};
use harness::{Guest, HostFault, Outcome, Stop, equal};

/// Writes instructions for a mode.
pub(super) type Write = fn(&mut CodeAssembler, Mode) -> Result<(), IcedError>;

/// The flag that says where a fault is resumed; whether a frame holds it is the processor's own matter.
const RFLAGS_RF: u64 = 1 << 16;

/// An exception, and how it comes about.
#[derive(Clone, Copy)]
pub(super) struct Raised {
    pub(super) mode: Mode,
    /// Whether it is raised in ring 3.
    pub(super) user: bool,
    /// What the entry state has more.
    pub(super) entered: fn(EntryState) -> EntryState,
    /// What leads to it.
    pub(super) before: Write,
    /// The one instruction that raises it.
    pub(super) raise: Write,
    pub(super) vector: u8,
    pub(super) error: Option<u32>,
    /// CR2, where it is set.
    pub(super) cr2: u64,
    pub(super) rip: Rip,
    /// Whether the guest changes its own gates or task.
    pub(super) tables: bool,
}

/// What the frame says of the instruction.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Rip {
    /// A fault: the instruction itself.
    At,
    /// A trap: the next one.
    Behind,
    /// An abort: nothing that can be relied on.
    Nowhere,
}

impl Raised {
    /// The exception of this vector in code of `mode`, a fault without an error code and with nothing that leads to it.
    pub(super) fn of(mode: Mode, vector: u8, raise: Write) -> Self {
        Self {
            mode,
            user: false,
            entered: |state| state,
            before: |_, _| Ok(()),
            raise,
            vector,
            error: None,
            cr2: 0,
            rip: Rip::At,
            tables: false,
        }
    }

    /// Raises it, and looks at what was reported.
    #[track_caller]
    pub(super) fn check(self) -> Outcome {
        let (code, rip) = self.code()?;
        let handlers = Handlers { after: After::Halts, own_stack: false };
        let mut builder = Image::builder(&code).handled(handlers).entered(self.entered);
        if self.user {
            builder = builder.in_user_mode();
        }
        let image = builder.build().map_err(fault)?;
        let guest = Guest::of(&image)?;
        let story = guest.tell(&mut std::iter::empty())?;
        let listing = code.disassemble().join("; ");
        self.reported(&image, &guest, rip, &story.events).map_err(|stop| stop.during(listing))?;
        let strange =
            story.ending.memory.changes().iter().find(|change| !self.may_change(&image, change.address));
        equal(strange, None)
    }

    /// Whether the guest or its handler may have written there.
    fn may_change(&self, image: &Image, address: u64) -> bool {
        let top = image.entry.ss.base + image.entry.registers.rsp;
        [
            PROTOCOL..PROTOCOL + protocol::BLOCK,
            SCRATCH..SCRATCH + 0x10,
            top - 0x80..top,
            // The stack of ring 0.
            image.size - 0x80..image.size,
            image.entry.gdt.base..if self.tables { image.size } else { 0 },
        ]
        .iter()
        .any(|room| room.contains(&address))
    }

    #[track_caller]
    fn reported(self, image: &Image, guest: &Guest, rip: u64, events: &[Event]) -> Outcome {
        equal(events, &[Event::out(REPORT_PORT, [self.vector]), Event::Halt])?;
        let at = usize::try_from(protocol::block(0)).map_err(fault)?;
        let length = usize::try_from(protocol::BLOCK).map_err(fault)?;
        let block = guest.memory().read(at, length)?;
        let report = Report::read(&block).ok_or_else(|| fault("the block is short"))?;
        let rip = if self.rip == Rip::Nowhere { report.registers.rip } else { rip };
        let EntryState { registers, cs, ss, .. } = &image.entry;
        equal(
            (protocol::count(&block), report.vector, report.error, report.cs, report.cr2),
            (Some(1), self.vector, self.error, cs.selector, self.cr2),
        )?;
        equal((report.registers.rip, report.registers.rsp, report.ss), (rip, registers.rsp, ss.selector))?;
        // What led to it may have set flags of arithmetic, and TF, NT and AC on purpose.
        let own = 0x8d5 | 1 << 8 | 1 << 14 | 1 << 18 | RFLAGS_RF;
        equal(report.registers.rflags & !own, registers.rflags & !own)
    }

    /// The code, and where RIP will be.
    fn code(self) -> Result<(Code, u64), Stop> {
        let upto = |last: u8| {
            code(self.mode, |a| {
                (self.before)(a, self.mode)?;
                if last > 0 {
                    (self.raise)(a, self.mode)?;
                }
                if last > 1 {
                    a.nop()?;
                    a.hlt()?;
                }
                Ok(())
            })
        };
        let end = if self.rip == Rip::Behind { 1 } else { 0 };
        // Of nothing at all the assembler makes no code.
        let before = upto(end).map_err(fault)?.end();
        Ok((upto(2).map_err(fault)?, before))
    }
}

pub(super) fn fault(error: impl std::fmt::Debug) -> Stop {
    Stop::HostFault(HostFault(format!("cannot make the guest: {error:?}")))
}
