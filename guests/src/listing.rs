//! Machine code as text: address, bytes and the instruction in Intel's notation.

use std::fmt::{self, Write};

use iced_x86::{Decoder, DecoderOptions, Formatter, Instruction, IntelFormatter};

use crate::Mode;

/// One instruction of a listing.
pub(crate) struct Line {
    pub(crate) address: u64,
    bytes: Vec<u8>,
    text: String,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut hex = String::new();
        for byte in &self.bytes {
            write!(hex, "{byte:02x}")?;
        }
        write!(f, "{:08x} {hex:<20} {}", self.address, self.text)
    }
}

/// The listing of machine code of `mode` whose first byte lies at `address`. Bytes that are no instruction show as `(bad)`.
pub fn disassemble(bytes: &[u8], address: u64, mode: Mode) -> Vec<String> {
    lines(bytes, address, mode).map(|line| line.to_string()).collect()
}

/// The instructions, one after the other, until no byte is left.
pub(crate) fn lines(bytes: &[u8], address: u64, mode: Mode) -> impl Iterator<Item = Line> {
    let mut decoder = Decoder::with_ip(mode.bitness(), bytes, address, DecoderOptions::NONE);
    let mut formatter = IntelFormatter::new();
    let options = formatter.options_mut();
    options.set_hex_prefix("0x");
    options.set_hex_suffix("");
    options.set_uppercase_hex(false);
    options.set_space_after_operand_separator(true);
    std::iter::from_fn(move || {
        if !decoder.can_decode() {
            return None;
        }
        let (start, from) = (decoder.position(), decoder.ip());
        let mut instruction = Instruction::default();
        decoder.decode_out(&mut instruction);
        let mut text = String::new();
        formatter.format(&instruction, &mut text);
        let bytes = bytes.get(start..decoder.position()).unwrap_or_default().to_vec();
        Some(Line { address: from, bytes, text })
    })
}
