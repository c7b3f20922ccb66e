//! Generators of guest code: programs as plain data, which shrink to short ones, and can be written down and read back.
//!
//! A [`Program`] is a list of steps of one kind and the registers that it starts with. It becomes code for any [`Mode`](crate::Mode):
//! whatever was generated assembles, reaches no memory but a window, whose place is a parameter, and the stack, and comes to the HLT
//! at its end. What a mode does not have (a width, a register, an instruction) becomes the nearest that it has, or a NOP.

mod accesses;
mod address;
mod atomics;
mod effect;
mod emitter;
mod moves;
mod msrs;
mod operands;
mod place;
mod ports;
mod program;
mod register;
mod stack;
mod straight;
mod strings;

pub use accesses::{Access, accesses};
pub use address::{Address, Form};
pub use atomics::Atomic;
pub use effect::{Condition, Effect};
pub use emitter::Emitter;
pub use moves::{Move, Vector};
pub use msrs::MsrStep;
pub use operands::{Arithmetic, Operand};
pub use place::{Place, WINDOW};
pub use ports::PortStep;
pub use program::{Program, ProgramError, Start, Step};
pub use register::Register;
pub use stack::StackStep;
pub use straight::Plain;
pub use strings::{Kind, Repeat, StringStep};

/// Straight-line integer code on registers.
pub type Straight = Program<Plain>;
/// Integer code with operands in memory, in every addressing form.
pub type Operands = Program<Operand>;
/// String instructions, repeated and in both directions.
pub type Strings = Program<StringStep>;
/// Instructions that read, modify and write memory, with LOCK and without.
pub type Atomics = Program<Atomic>;
/// PUSH, POP, CALL, ENTER and LEAVE.
pub type Stack = Program<StackStep>;
/// MOVBE, BMI, CMPXCHG8B and CMPXCHG16B, SSE and AVX.
pub type Moves = Program<Move>;
/// A script of IN and OUT.
pub type Ports = Program<PortStep>;
/// A script of RDMSR and WRMSR.
pub type Msrs = Program<MsrStep>;
