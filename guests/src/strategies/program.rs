//! A program: what generated code starts with, and its steps.

use std::fmt::Debug;

use iced_x86::code_asm::CodeAssembler;
use iced_x86::{Code as Op, Decoder, DecoderOptions, IcedError, Instruction, Register as Name};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::address::BASE;
use super::effect::{ALL, Effect};
use super::emitter::Emitter;
use super::place::Place;
use crate::map::CODE;
use crate::state::code_base;
use crate::{Code, EntryState, Feature, Image, ImageError, Mode, Paging, Registers};

/// How many steps a program has, at most.
const STEPS: usize = 24;

/// One step of a program.
pub trait Step: Clone + Debug {
    /// Whether steps call the function that then stands at the beginning.
    const CALLS: bool = false;

    /// What the step does to the flags.
    fn effect(&self, mode: Mode) -> Effect;

    /// Writes the instructions.
    fn emit(&self, e: &mut Emitter) -> Result<(), IcedError>;

    /// What a processor must have for it, in code of `mode`.
    fn feature(&self, _: Mode) -> Option<Feature> {
        None
    }
}

/// What the registers hold in the beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// The registers that are free: AX, CX, DX, DI, and in long mode R8 to R11, R14 and R15.
    pub free: [u64; 10],
    /// The index of addresses.
    pub index: u8,
    /// The flags of arithmetic; other bits do not count.
    pub flags: u16,
}

/// Generated code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program<S> {
    /// What the registers hold in the beginning.
    pub start: Start,
    /// The steps.
    pub steps: Vec<S>,
}

/// Why a program cannot be laid out.
#[derive(Debug, Error)]
pub enum ProgramError {
    /// Its code: a bug of the generator's.
    #[error("assemble a generated program: {0}")]
    Code(#[from] IcedError),
    /// Its image.
    #[error(transparent)]
    Image(#[from] ImageError),
}

impl<S: Step> Program<S> {
    /// The code in `mode`, with its data at `place`.
    pub fn code(&self, mode: Mode, place: Place) -> Result<Code, ProgramError> {
        let mut e = self.emitter(mode, place)?;
        self.prologue(&mut e)?;
        let mut undefined = 0;
        for step in &self.steps {
            let effect = step.effect(mode);
            if effect.reads & undefined == 0 {
                undefined = effect.after(undefined);
                step.emit(&mut e)?;
            } else {
                e.bare(Op::Nopd)?;
            }
        }
        e.a.hlt()?;
        let origin = CODE - code_base(mode);
        Ok(Code { mode, origin, bytes: e.a.assemble(origin)? })
    }

    /// How many instructions its code has, the HLT included.
    pub fn count(&self, mode: Mode, place: Place) -> Result<usize, ProgramError> {
        let code = self.code(mode, place)?;
        Ok(Decoder::new(mode.bitness(), &code.bytes, DecoderOptions::NONE).iter().count())
    }

    /// The flags of arithmetic that are undefined in the end.
    pub fn undefined_flags(&self, mode: Mode) -> u64 {
        self.steps.iter().fold(0, |undefined, step| {
            let effect = step.effect(mode);
            if effect.reads & undefined == 0 { effect.after(undefined) } else { undefined }
        })
    }

    /// What a processor must have to run it in `mode`, each once.
    pub fn features(&self, mode: Mode) -> Vec<Feature> {
        let own = self.steps.iter().filter_map(|step| step.feature(mode));
        let mut all: Vec<_> = own.chain(mode.features()).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The program without the steps that need one of these features in `mode`.
    #[must_use]
    pub fn without(&self, lacking: &[Feature], mode: Mode) -> Self {
        let can = |step: &&S| step.feature(mode).is_none_or(|feature| !lacking.contains(&feature));
        Self { start: self.start.clone(), steps: self.steps.iter().filter(can).cloned().collect() }
    }

    /// The code laid out, entered with the registers that it starts with.
    pub fn image(&self, mode: Mode, place: Place) -> Result<Image, ProgramError> {
        self.image_under(mode, place, None)
    }

    /// The same under this layout of page tables, and not the mode's own.
    pub fn image_under(
        &self,
        mode: Mode,
        place: Place,
        paging: Option<Paging>,
    ) -> Result<Image, ProgramError> {
        let code = self.code(mode, place)?;
        let avx = self.needs_avx(mode);
        let enter = |state: EntryState| {
            let state = place.enter(mode, state.with_vectors());
            let state = if avx { state.with_xsave() } else { state };
            EntryState { registers: self.registers(mode, place, state.registers), ..state }
        };
        let builder = Image::builder(&code).entered(enter);
        Ok(paging.map_or(builder.clone(), |paging| builder.under(paging)).build()?)
    }

    /// The registers that it starts with.
    fn registers(&self, mode: Mode, place: Place, entry: Registers) -> Registers {
        let mask = mode.register_mask();
        let [rax, rcx, rdx, rdi, r8, r9, r10, r11, r14, r15] = self.start.free.map(|value| value & mask);
        let base = place.offset(mode) + BASE;
        let plain = Registers {
            rax,
            rcx,
            rdx,
            rdi,
            rbx: base,
            rsi: self.start.index.into(),
            rbp: entry.rsp,
            rflags: entry.rflags | u64::from(self.start.flags) & ALL,
            ..entry
        };
        if mode == Mode::Long {
            Registers { r8, r9, r10, r11, r14, r15, r12: base, r13: base, ..plain }
        } else {
            plain
        }
    }

    fn needs_avx(&self, mode: Mode) -> bool {
        self.steps.iter().any(|step| step.feature(mode) == Some(Feature::AVX))
    }

    fn emitter(&self, mode: Mode, place: Place) -> Result<Emitter, ProgramError> {
        let a = CodeAssembler::new(mode.bitness())?;
        Ok(Emitter { a, mode, place, depth: 0, frames: Vec::new(), function: 0 })
    }

    /// The function that is called, which a jump leads over; and what turns AVX on, if a step needs it.
    fn prologue(&self, e: &mut Emitter) -> Result<(), IcedError> {
        if S::CALLS {
            let mut over = e.a.create_label();
            e.a.jmp(over)?;
            // Behind the jump, which is a short one.
            e.function = CODE - code_base(e.mode) + 2;
            e.put(Instruction::with1(Op::Not_rm16, Name::AX)?)?;
            e.a.ret()?;
            e.a.set_label(&mut over)?;
        }
        if self.needs_avx(e.mode) {
            for (register, value) in [(Name::EAX, 7), (Name::ECX, 0), (Name::EDX, 0)] {
                e.set(register, value)?;
            }
            e.bare(Op::Xsetbv)?;
            let wide = if e.mode == Mode::Long {
                [Name::RAX, Name::RCX, Name::RDX]
            } else {
                [Name::EAX, Name::ECX, Name::EDX]
            };
            for (register, value) in wide.into_iter().zip(self.start.free) {
                e.set(register, value)?;
            }
        }
        Ok(())
    }
}

impl Arbitrary for Start {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> BoxedStrategy<Self> {
        let edge = prop_oneof![
            Just(0),
            Just(1),
            Just(0x7f),
            Just(0x80),
            Just(0x7fff_ffff),
            Just(0x8000_0000),
            Just(i64::MAX as u64),
            Just(1 << 63),
            Just(u64::MAX),
        ];
        let value = prop_oneof![edge, any::<u64>()];
        (proptest::array::uniform10(value), any::<u8>(), any::<u16>())
            .prop_map(|(free, index, flags)| Self { free, index, flags })
            .boxed()
    }
}

impl<S: Step + Arbitrary + 'static> Arbitrary for Program<S> {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> BoxedStrategy<Self> {
        (any::<Start>(), proptest::collection::vec(any::<S>(), 1..=STEPS))
            .prop_map(|(start, steps)| Self { start, steps })
            .boxed()
    }
}
