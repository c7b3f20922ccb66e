//! The entries of all vectors, the gates that lead to them, and what the handler does in the end.

use iced_x86::IcedError;
use iced_x86::code_asm::CodeAssembler;
use serde::{Deserialize, Serialize};

use super::{code16, code32, code64};
use crate::map::{HANDLERS, IDT, PROTOCOL, VCPUS};
use crate::segment::Table;
use crate::tables::{Gate, Idt, selector};
use crate::{Mode, protocol};

/// What a handler does once it has reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum After {
    /// It halts.
    Halts,
    /// It returns to the registers that the report holds by then: those that were interrupted, unless the host wrote others.
    Returns,
    /// It goes on at the address that the block names, in ring 0 and with interrupts off.
    Resumes,
}

/// How interrupts and exceptions are handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handlers {
    /// What the handlers do once they have reported.
    pub after: After,
    /// Whether long mode switches to the stack of ring 0 at every vector, so that none depends on the stack of what it interrupts.
    pub own_stack: bool,
}

/// How many vectors there are.
const VECTORS: u16 = 256;
/// From one vector's entry to the next, in bytes.
const ENTRY: u16 = 10;
/// Where in the handlers' code lies what all have in common.
const BODY: u16 = VECTORS * ENTRY;
/// The vectors whose exceptions have an error code: Intel SDM volume 3, table 7-1.
const WITH_ERROR: [u8; 9] = [8, 10, 11, 12, 13, 14, 17, 21, 30];

const NOP: u8 = 0x90;
const PUSH_IMM8: u8 = 0x6a;
const JMP_NEAR: u8 = 0xe9;

impl Handlers {
    /// The guest-physical address of a vector's gate, where code of `mode` is handled.
    pub fn gate(mode: Mode, vector: u8) -> u64 {
        let length = u64::from((Self::table(mode).limit + 1) / VECTORS);
        Self::table(mode).base + length * u64::from(vector)
    }

    /// IDTR, where these handle what code of `mode` raises.
    pub(crate) fn table(mode: Mode) -> Table {
        match mode.handler_bitness() {
            16 => Table { base: 0, limit: 4 * VECTORS - 1 },
            32 => Table { base: IDT, limit: 8 * VECTORS - 1 },
            _ => Table { base: IDT, limit: 16 * VECTORS - 1 },
        }
    }

    /// What lies in guest RAM for them: gates, code and the protocol page.
    pub(crate) fn pieces(self, mode: Mode) -> Result<Vec<(u64, Vec<u8>)>, IcedError> {
        let bitness = mode.handler_bitness();
        let page = usize::try_from(protocol::BLOCK).unwrap_or(0) * VCPUS;
        Ok(vec![
            (Self::table(mode).base, self.gates(bitness).bytes(bitness)),
            (HANDLERS, self.code(bitness)?),
            (PROTOCOL, vec![0; page]),
        ])
    }

    fn gates(self, bitness: u32) -> Idt {
        let (base, selector) = match bitness {
            16 => (0, (HANDLERS >> 4 & 0xffff) as u16),
            _ => (HANDLERS, selector::HANDLER_CODE),
        };
        let ist = (bitness == 64 && self.own_stack).into();
        let gate = |vector: u16| Gate {
            offset: base + u64::from(vector * ENTRY),
            selector,
            dpl: 3,
            present: true,
            ist,
        };
        Idt((0..VECTORS).map(gate).collect())
    }

    /// The entries, each of which pushes what stands for an error code if the processor pushes none, and its vector; and the body.
    fn code(self, bitness: u32) -> Result<Vec<u8>, IcedError> {
        let mut bytes = Vec::new();
        for vector in 0..=u8::MAX {
            let entry = bytes.len();
            // Real mode has no error codes.
            let without = bitness == 16 || !WITH_ERROR.contains(&vector);
            bytes.extend(if without { [PUSH_IMM8, 0xff] } else { [NOP, NOP] });
            bytes.extend([PUSH_IMM8, vector, JMP_NEAR]);
            let behind = usize::from(BODY) - bytes.len();
            match bitness {
                16 => bytes.extend(u16::try_from(behind - 2).unwrap_or(0).to_le_bytes()),
                _ => bytes.extend(u32::try_from(behind - 4).unwrap_or(0).to_le_bytes()),
            }
            bytes.resize(entry + usize::from(ENTRY), NOP);
        }
        let mut a = CodeAssembler::new(bitness)?;
        let origin = match bitness {
            16 => {
                code16::body(&mut a, self.after)?;
                0
            }
            32 => {
                code32::body(&mut a, self.after)?;
                HANDLERS
            }
            _ => {
                code64::body(&mut a, self.after)?;
                HANDLERS
            }
        };
        bytes.extend(a.assemble(origin + u64::from(BODY))?);
        Ok(bytes)
    }
}
