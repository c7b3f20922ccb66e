//! A guest that handles every vector: each handler tells the host that it was entered, and goes back to where it came from. What the
//! processor laid on the stack is read while it tells: Intel SDM volume 3, 7.12 "Exception and Interrupt Handling" and 7.14 "Exception
//! and Interrupt Handling in 64-bit Mode".

use std::ops::Range;

use guests::iced_x86::IcedError;
use guests::iced_x86::code_asm::{CodeAssembler, al};
use guests::{Mode, Registers, STACK};
use harness::kvm::{Descriptor, Exit, KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS, Kvm, Vm, abi};
use harness::{Broken, Outcome, Stop, equal};

use crate::exits::stage::{END, HANDLERS, Interruption, Stage};

/// RFLAGS.IF, and the flag that keeps breakpoints away from the instruction that a fault goes back to.
pub(super) const IF: u64 = 1 << 9;
pub(super) const RF: u64 = 1 << 16;
/// The exceptions that push an error code, outside of real mode.
pub(super) const WITH_ERROR_CODE: [u8; 7] = [8, 10, 11, 12, 13, 14, 17];

/// So many bytes are from one handler to the next.
const SLOT: u64 = 16;
/// The port by which a handler tells that it was entered.
const ENTERED: u16 = 0x81;
/// What handlers may write to.
const STACK_ROOM: Range<u64> = STACK - 0x400..STACK;
/// After so many steps a guest will not come to its end by itself any more.
const STEPS: usize = 40;
/// How many instructions are told apart.
const INSTRUCTIONS: usize = 40;

/// A guest that handles every vector.
#[derive(Debug)]
pub(super) struct Handled {
    pub(super) stage: Stage,
    /// What the guest may write to.
    rooms: Vec<Range<u64>>,
}

/// What a handler was entered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) vector: u8,
    /// The error code, of an exception that has one.
    pub(super) error: Option<u64>,
    /// Where it goes back to.
    pub(super) rip: u64,
    /// The flags that it goes back to.
    pub(super) flags: u64,
}

/// Where an event was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    /// Before the instruction with this index.
    Code(usize),
    /// In the handler of this vector.
    Handler(u8),
    /// Somewhere else.
    Address(u64),
}

/// What a guest did next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It entered the handler of a vector.
    Takes(u8, Before),
    /// It came to its end.
    Ends,
    /// It left otherwise.
    Leaves(Exit),
}

/// So many instructions that do nothing, and the end.
pub(super) fn idle(count: usize) -> impl FnOnce(&mut CodeAssembler) -> Result<(), IcedError> {
    move |a| {
        (0..count).try_for_each(|_| a.nop())?;
        a.out(u32::from(END), al)
    }
}

impl Handled {
    /// Code in a VM without interrupt controllers.
    pub(super) fn of(
        mode: Mode,
        write: impl FnOnce(&mut CodeAssembler) -> Result<(), IcedError>,
    ) -> Result<Self, Stop> {
        Self::within(Kvm::open()?.create_vm(0)?, mode, write)
    }

    /// Code in this VM, as its first vCPU.
    pub(super) fn within(
        vm: Vm,
        mode: Mode,
        write: impl FnOnce(&mut CodeAssembler) -> Result<(), IcedError>,
    ) -> Result<Self, Stop> {
        let mut stage = Stage::within(vm, mode, write)?;
        stage.lead_vectors(HANDLERS, SLOT)?;
        let handlers: Vec<u8> = (0..=255).flat_map(|vector| handler(mode, vector)).collect();
        stage.lay(HANDLERS, &handlers)?;
        Ok(Self { stage, rooms: vec![STACK_ROOM] })
    }

    /// Starts the guest with other general registers.
    pub(super) fn entered_with(mut self, change: impl FnOnce(&mut Registers)) -> Result<Self, Stop> {
        self.stage.enter_with(change)?;
        Ok(self)
    }

    /// Lets the guest, or KVM for it, write to these addresses too.
    pub(super) fn writing_to(mut self, room: Range<u64>) -> Self {
        self.rooms.push(room);
        self
    }

    /// Starts the guest again.
    #[track_caller]
    pub(super) fn again(&self) -> Outcome {
        Ok(self.stage.vcpu.set_regs(&harness::entry::regs(&self.stage.image.entry.registers))?)
    }

    /// The vCPU's events.
    #[track_caller]
    pub(super) fn events(&self) -> Result<abi::kvm_vcpu_events, Stop> {
        Ok(self.stage.vcpu.read(KVM_GET_VCPU_EVENTS)?)
    }

    /// Changes the vCPU's events.
    #[track_caller]
    pub(super) fn change(&self, change: impl FnOnce(&mut abi::kvm_vcpu_events)) -> Outcome {
        let mut events = self.events()?;
        change(&mut events);
        self.stage.vcpu.write(KVM_SET_VCPU_EVENTS, &events)?;
        Ok(())
    }

    /// Runs to the next handler, which must be of this vector, and says what it was entered with.
    #[track_caller]
    pub(super) fn enters(&self, vector: u8) -> Result<Entry, Stop> {
        self.enters_past(&[], vector)
    }

    /// Runs to the handler of this vector, past any of these, and says what it was entered with.
    #[track_caller]
    pub(super) fn enters_past(&self, others: &[u8], vector: u8) -> Result<Entry, Stop> {
        match self.run()? {
            (_, Some(entry)) if entry.vector == vector => Ok(entry),
            (_, Some(entry)) if others.contains(&entry.vector) => self.enters(vector),
            (step, _) => Err(Broken::new(format!("expected the handler of {vector}, saw {step:x?}"))
                .comparing(format!("the handler of {vector}"), format!("{step:?}"))
                .into()),
        }
    }

    /// Runs to the next step.
    #[track_caller]
    pub(super) fn step(&self) -> Result<Step, Stop> {
        self.run().map(|(step, _)| step)
    }

    /// The guest takes these events and comes to its end, with all as it was entered, but on the stack.
    #[track_caller]
    pub(super) fn takes(&self, expected: &[(u8, Before)]) -> Outcome {
        let mut seen = Vec::new();
        while seen.len() < STEPS && matches!(seen.last(), None | Some(Step::Takes(..))) {
            seen.push(self.step()?);
        }
        let expected = expected.iter().map(|&(vector, before)| Step::Takes(vector, before));
        equal(seen, expected.chain([Step::Ends]).collect())?;
        self.ended(|_| ())
    }

    /// The guest came to its end, with all as it was entered, but for these registers and the stack.
    #[track_caller]
    pub(super) fn ended(&self, changes: impl FnOnce(&mut Registers)) -> Outcome {
        self.stage.interrupt(Interruption::ImmediateExit)?;
        let mut expected = self.stage.before(usize::MAX);
        changes(&mut expected);
        // A fault may have come back with RF, which emulators clear later than processors.
        expected.rflags |= self.stage.registers()?.rflags & RF;
        self.stage.holds_registers(expected)?;
        self.stage.keeps_ram_but(&self.rooms)
    }

    #[track_caller]
    fn run(&self) -> Result<(Step, Option<Entry>), Stop> {
        Ok(match self.stage.run()? {
            Exit::Io { out: true, port: ENTERED, size: 1, .. } => {
                let entry = self.entry()?;
                (Step::Takes(entry.vector, self.before(entry.rip)), Some(entry))
            }
            Exit::Io { out: true, port: END, .. } => (Step::Ends, None),
            exit => (Step::Leaves(exit), None),
        })
    }

    /// What the handler that tells of itself was entered with.
    fn entry(&self) -> Result<Entry, Stop> {
        let (mode, registers) = (self.stage.image.code.mode, self.stage.registers()?);
        let vector = u8::try_from((registers.rip - HANDLERS) / SLOT).unwrap_or(u8::MAX);
        let width = width(mode);
        let frame = self.stage.ram(registers.rsp, 4 * width)?;
        let value = |word: &[u8]| word.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte));
        let words: Vec<u64> = frame.chunks(width).map(value).collect();
        let has_error = has_error_code(mode, vector);
        let pushed = &words[usize::from(has_error)..];
        Ok(Entry { vector, error: has_error.then_some(words[0]), rip: pushed[0], flags: pushed[2] })
    }

    fn before(&self, rip: u64) -> Before {
        if (HANDLERS..HANDLERS + 256 * SLOT).contains(&rip) {
            return Before::Handler(u8::try_from((rip - HANDLERS) / SLOT).unwrap_or(u8::MAX));
        }
        let index = (0..INSTRUCTIONS).find(|&index| self.stage.at(index) == rip);
        index.map_or(Before::Address(rip), Before::Code)
    }
}

/// How wide the words are that an event pushes.
fn width(mode: Mode) -> usize {
    match mode {
        Mode::Real => 2,
        Mode::Protected => 4,
        _ => 8,
    }
}

/// Whether the exception of this vector pushes an error code.
pub(super) fn has_error_code(mode: Mode, vector: u8) -> bool {
    mode != Mode::Real && WITH_ERROR_CODE.contains(&vector)
}

/// The code of a handler, as long as a slot.
fn handler(mode: Mode, vector: u8) -> Vec<u8> {
    // out ENTERED, al
    let mut code = vec![0xe6, ENTERED.to_le_bytes()[0]];
    if has_error_code(mode, vector) {
        // add esp, 4 or add rsp, 8: over the error code.
        code.extend(if mode == Mode::Protected { &[0x83, 0xc4, 4][..] } else { &[0x48, 0x83, 0xc4, 8] });
    }
    // iret or iretq
    code.extend(if width(mode) == 8 { &[0x48, 0xcf][..] } else { &[0xcf] });
    code.resize(16, 0xf4);
    code
}
