//! The kernel proper inside a bzImage: `Documentation/arch/x86/boot.rst`, `payload_offset` and `payload_length`; and where it is entered
//! by PVH, the ELF note `XEN_ELFNOTE_PHYS32_ENTRY` of `xen/include/public/elfnote.h`.

use std::io::{self, BufReader, Read};

use object::LittleEndian as Little;
use object::elf::{FileHeader64, NoteType};
use object::read::elf::{FileHeader, ProgramHeader};

use crate::lab::compression::plain;

/// `setup_sects`: the size of the real-mode part without its first sector, in sectors; 0 stands for 4.
const SETUP_SECTORS: usize = 0x1f1;
/// `payload_offset`, from the start of the protected-mode part.
const PAYLOAD_OFFSET: usize = 0x248;
/// `payload_length`.
const PAYLOAD_LENGTH: usize = 0x24c;

/// `XEN_ELFNOTE_PHYS32_ENTRY`.
const PHYS32_ENTRY: NoteType = NoteType(18);

/// The ELF file that a bzImage unpacks itself to.
pub(super) fn unpack(image: &[u8]) -> Result<Vec<u8>, String> {
    let cut = || "it is cut off: fetch or build it again".to_owned();
    let payload = payload(image).ok_or_else(cut)?;
    let gzip = payload.starts_with(b"\x1f\x8b");
    // The build puts the size before compression behind what it is compressed to, where the format does not do that itself.
    let end = if gzip { payload.len() } else { payload.len().saturating_sub(4) };
    let mut elf = Vec::new();
    let read = plain(BufReader::new(&payload[..end])).and_then(|mut from| from.read_to_end(&mut elf));
    read.map_err(|error: io::Error| format!("what it holds cannot be unpacked ({error})"))?;
    if !elf.starts_with(b"\x7fELF") {
        return Err(
            "what it holds is packed in a form that is not known here (known: gzip, xz, lz4, zstd)".into()
        );
    }
    Ok(elf)
}

/// Where an ELF file is entered in 32-bit protected mode without paging, if it was built with CONFIG_PVH.
pub(super) fn pvh_entry(elf: &[u8]) -> Result<Option<u32>, object::Error> {
    let header = FileHeader64::<Little>::parse(elf)?;
    for segment in header.program_headers(Little, elf)? {
        let Some(mut notes) = segment.notes(Little, elf)? else { continue };
        while let Some(note) = notes.next()? {
            if note.name() == b"Xen" && note.n_type(Little) == PHYS32_ENTRY {
                return Ok(note.desc().first_chunk().copied().map(u32::from_le_bytes));
            }
        }
    }
    Ok(None)
}

fn payload(image: &[u8]) -> Option<&[u8]> {
    let word = |at: usize| usize::try_from(u32::from_le_bytes(image.get(at..at + 4)?.try_into().ok()?)).ok();
    let sectors = match *image.get(SETUP_SECTORS)? {
        0 => 4,
        some => usize::from(some),
    };
    let start = (sectors + 1) * 512 + word(PAYLOAD_OFFSET)?;
    image.get(start..start.checked_add(word(PAYLOAD_LENGTH)?)?).filter(|payload| payload.len() > 4)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn image(payload: &[u8]) -> Vec<u8> {
        let mut image = vec![0; 0x400 + 0x10];
        image[SETUP_SECTORS] = 1;
        image[PAYLOAD_OFFSET] = 0x10;
        let length = u32::try_from(payload.len()).unwrap();
        image[PAYLOAD_LENGTH..PAYLOAD_LENGTH + 4].copy_from_slice(&length.to_le_bytes());
        image.extend_from_slice(payload);
        image
    }

    #[test]
    fn the_kernel_is_unpacked_and_the_size_behind_it_passed_over() {
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        xz.write_all(b"\x7fELF and so on").unwrap();
        let mut payload = xz.finish().unwrap();
        payload.extend_from_slice(&14_u32.to_le_bytes());
        assert_eq!(unpack(&image(&payload)).unwrap(), b"\x7fELF and so on");
    }

    #[test]
    fn damage_is_said() {
        assert!(unpack(&image(b"BZh9 something")).unwrap_err().contains("known"));
        let whole = image(b"BZh9 something");
        assert!(unpack(&whole[..whole.len() - 1]).unwrap_err().contains("cut off"));
    }
}
