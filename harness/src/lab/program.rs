//! This program's own file, made ready to be a kernel's init: it must be static, and what the kernel does not load of it stays out.

use std::path::Path;
use std::{fs, io};

/// The type of the program header that names a dynamic loader.
const PT_INTERP: u32 = 3;
/// The size of the header of a 64-bit ELF file.
const HEADER: usize = 64;

/// Why this program cannot be a kernel's init; each completes "cannot …".
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProgramError {
    /// It cannot be read.
    #[error("read this program's own file to boot a kernel with it: {0}")]
    Unreadable(#[from] io::Error),
    /// It wants a dynamic loader, which the machine does not have.
    #[error(
        "boot a kernel with this program, because it is not static: build it in its own repository without RUSTFLAGS in the \
         environment (cargo build --release), or with RUSTFLAGS=\"-C target-feature=+crt-static\" and --target x86_64-unknown-linux-gnu"
    )]
    Dynamic,
    /// It is no ELF file that could be understood.
    #[error("boot a kernel with this program: its own file is no 64-bit ELF program")]
    Strange,
}

/// This program's file without what is not loaded: debug data, symbols, sections.
pub(super) fn own() -> Result<Vec<u8>, ProgramError> {
    loadable(fs::read(Path::new("/proc/self/exe"))?)
}

/// Cuts an ELF file down to what its program headers name.
fn loadable(mut file: Vec<u8>) -> Result<Vec<u8>, ProgramError> {
    let (offset, size, count) = headers(&file).ok_or(ProgramError::Strange)?;
    let mut end = offset + size * count;
    for index in 0..count {
        let header = offset + size * index;
        let kind = u32_at(&file, header).ok_or(ProgramError::Strange)?;
        if kind == PT_INTERP {
            return Err(ProgramError::Dynamic);
        }
        let field = |at| u64_at(&file, header + at).ok_or(ProgramError::Strange);
        end = end.max(field(8)?.saturating_add(field(32)?));
    }
    if end > file.len() {
        return Err(ProgramError::Strange);
    }
    file.truncate(end);
    // There are no sections any more: where they were, how many, and which held their names.
    file.get_mut(40..48).ok_or(ProgramError::Strange)?.fill(0);
    file.get_mut(60..HEADER).ok_or(ProgramError::Strange)?.fill(0);
    Ok(file)
}

/// Where the program headers are, the size of one, and how many there are.
fn headers(file: &[u8]) -> Option<(usize, usize, usize)> {
    // 0x7f "ELF", 64 bits, little-endian.
    file.starts_with(&[0x7f, b'E', b'L', b'F', 2, 1]).then_some(())?;
    let half = |at: usize| Some(usize::from(u16::from_le_bytes(file.get(at..at + 2)?.try_into().ok()?)));
    let (offset, size, count) = (u64_at(file, 32)?, half(54)?, half(56)?);
    (size >= 56 && offset.checked_add(size * count)? <= file.len()).then_some((offset, size, count))
}

fn u32_at(file: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(file.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(file: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u64::from_le_bytes(file.get(at..at + 8)?.try_into().ok()?)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF file with one program header of `kind` for bytes 0 to 200, and `tail` bytes behind.
    fn elf(kind: u32, tail: usize) -> Vec<u8> {
        let mut file = vec![0; 200 + tail];
        file[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1]);
        file[32] = 64;
        file[40] = 201;
        file[54] = 56;
        file[56] = 1;
        file[60] = 7;
        file[64..68].copy_from_slice(&kind.to_le_bytes());
        file[64 + 32] = 200;
        file
    }

    #[test]
    fn what_is_not_loaded_is_cut_off() {
        let cut = loadable(elf(1, 1000)).unwrap();
        assert_eq!(cut.len(), 200);
        assert!(cut[40..48].iter().chain(&cut[60..64]).all(|byte| *byte == 0));
    }

    #[test]
    fn a_dynamic_program_is_refused_with_the_cure() {
        let error = loadable(elf(PT_INTERP, 0)).unwrap_err();
        assert!(matches!(error, ProgramError::Dynamic));
        assert!(error.to_string().contains("+crt-static"));
    }

    #[test]
    fn damage_is_no_panic() {
        let whole = elf(1, 0);
        for length in 0..whole.len() {
            assert!(loadable(whole[..length].to_vec()).is_err(), "{length}");
        }
        assert!(matches!(loadable(b"#!/bin/sh".to_vec()), Err(ProgramError::Strange)));
    }
}
