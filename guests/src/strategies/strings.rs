//! String instructions in both directions, repeated and not, within a page and across: Intel SDM volume 1, 7.3.9 "String Operations".

use iced_x86::{Code as Op, IcedError, Instruction, Register as Name};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::effect::Effect;
use super::emitter::{Emitter, any_width};
use super::program::Step;
use crate::{Mode, Width};

/// A string instruction.
#[expect(missing_docs, reason = "the variants are the processor's own names")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Stos,
    Lods,
    Movs,
    Scas,
    Cmps,
}

/// How it is repeated.
#[expect(missing_docs, reason = "the variants are the processor's own names")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Repeat {
    Once,
    Rep,
    Repne,
}

/// One string instruction, and what leads to it: direction, count, and where source and destination begin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StringStep {
    /// Which.
    pub kind: Kind,
    /// How it is repeated; REPNE is REP where the instruction does not compare.
    pub repeat: Repeat,
    /// The width of an element.
    pub width: Width,
    /// How often at most, from 1 on.
    pub count: u8,
    /// Whether addresses go down.
    pub down: bool,
    /// Where the source begins, from the middle of the window.
    pub source: i16,
    /// Where the destination begins, from the middle of the window.
    pub destination: i16,
}

/// Where source and destination begin if nothing leads elsewhere: at the end of the window's first page.
const MIDDLE: i64 = 0x1000;
/// How far from there they begin, at most: the longest string is 8 times as many bytes as it has elements.
const REACH: i16 = 0x300;
const KINDS: [Kind; 5] = [Kind::Stos, Kind::Lods, Kind::Movs, Kind::Scas, Kind::Cmps];
const REPEATS: [Repeat; 3] = [Repeat::Once, Repeat::Rep, Repeat::Repne];

impl Step for StringStep {
    fn effect(&self, _: Mode) -> Effect {
        match self.kind {
            Kind::Stos | Kind::Lods | Kind::Movs => Effect::NONE,
            Kind::Scas | Kind::Cmps => Effect::SUM,
        }
    }

    fn emit(&self, e: &mut Emitter) -> Result<(), IcedError> {
        let [count, source, destination] = match e.mode.bitness() {
            64 => [Name::RCX, Name::RSI, Name::RDI],
            32 => [Name::ECX, Name::ESI, Name::EDI],
            _ => [Name::CX, Name::SI, Name::DI],
        };
        let middle = e.place.offset(e.mode).cast_signed() + MIDDLE;
        e.set(count, u64::from(self.count.clamp(1, 0x40)))?;
        e.set(source, (middle + i64::from(self.source % REACH)).cast_unsigned())?;
        e.set(destination, (middle + i64::from(self.destination % REACH)).cast_unsigned())?;
        e.bare(if self.down { Op::Std } else { Op::Cld })?;
        let mut instruction = self.instruction(e)?;
        match (self.repeat, self.kind) {
            (Repeat::Once, _) => {}
            (Repeat::Repne, Kind::Scas | Kind::Cmps) => instruction.set_has_repne_prefix(true),
            _ => instruction.set_has_rep_prefix(true),
        }
        e.put(instruction)
    }
}

impl StringStep {
    fn instruction(&self, e: &Emitter) -> Result<Instruction, IcedError> {
        let (bits, none, once) = (e.mode.bitness(), Name::None, iced_x86::RepPrefixKind::None);
        let width = e.width(self.width);
        match (self.kind, width) {
            (Kind::Stos, Width::Byte) => Instruction::with_stosb(bits, once),
            (Kind::Stos, Width::Word) => Instruction::with_stosw(bits, once),
            (Kind::Stos, Width::Dword) => Instruction::with_stosd(bits, once),
            (Kind::Stos, Width::Qword) => Instruction::with_stosq(bits, once),
            (Kind::Lods, Width::Byte) => Instruction::with_lodsb(bits, none, once),
            (Kind::Lods, Width::Word) => Instruction::with_lodsw(bits, none, once),
            (Kind::Lods, Width::Dword) => Instruction::with_lodsd(bits, none, once),
            (Kind::Lods, Width::Qword) => Instruction::with_lodsq(bits, none, once),
            (Kind::Movs, Width::Byte) => Instruction::with_movsb(bits, none, once),
            (Kind::Movs, Width::Word) => Instruction::with_movsw(bits, none, once),
            (Kind::Movs, Width::Dword) => Instruction::with_movsd(bits, none, once),
            (Kind::Movs, Width::Qword) => Instruction::with_movsq(bits, none, once),
            (Kind::Scas, Width::Byte) => Instruction::with_scasb(bits, once),
            (Kind::Scas, Width::Word) => Instruction::with_scasw(bits, once),
            (Kind::Scas, Width::Dword) => Instruction::with_scasd(bits, once),
            (Kind::Scas, Width::Qword) => Instruction::with_scasq(bits, once),
            (Kind::Cmps, Width::Byte) => Instruction::with_cmpsb(bits, none, once),
            (Kind::Cmps, Width::Word) => Instruction::with_cmpsw(bits, none, once),
            (Kind::Cmps, Width::Dword) => Instruction::with_cmpsd(bits, none, once),
            (Kind::Cmps, Width::Qword) => Instruction::with_cmpsq(bits, none, once),
        }
    }
}

impl Arbitrary for StringStep {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> BoxedStrategy<Self> {
        let kind = proptest::sample::select(&KINDS[..]);
        let repeat = proptest::sample::select(&REPEATS[..]);
        // Near the end of a page, half of the time.
        let begin = || prop_oneof![-0x20..0x20i16, -REACH + 1..REACH];
        (kind, repeat, any_width(), 1..=0x40u8, any::<bool>(), begin(), begin())
            .prop_map(|(kind, repeat, width, count, down, source, destination)| Self {
                kind,
                repeat,
                width,
                count,
                down,
                source,
                destination,
            })
            .boxed()
    }
}
