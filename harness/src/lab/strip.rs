//! Leaves out of a module what the kernel does not load: debugging data, BTF, and the signature after its end, which would not
//! fit what is left. Such a module loads faster, above all under emulation.
//!
//! Every section keeps its number, so that symbols and relocations stay as they are; a section that is left out becomes
//! `SHT_NULL`, which the kernel's loader passes over (`kernel/module/main.c`, `elf_validity_check`).

use object::LittleEndian as Little;
use object::elf::{
    FileHeader64, SHF_ALLOC, SHT_NOBITS, SHT_NULL, SHT_REL, SHT_RELA, SHT_SYMTAB, SectionHeader64,
};
use object::pod::{bytes_of, bytes_of_slice};
use object::read::elf::FileHeader;

/// The module without what loading does not need; `None` where it is no ELF file of the usual form.
pub(super) fn strip(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut header = *FileHeader64::<Little>::parse(bytes).ok()?;
    let mut sections = header.section_headers(Little, bytes).ok()?.to_vec();
    let kept: Vec<bool> = (0..sections.len()).map(|at| is_loaded(&header, &sections, at)).collect();
    let mut out = bytes_of(&header).to_vec();
    for (section, kept) in sections.iter_mut().zip(kept) {
        if !kept {
            *section = nothing();
        } else if section.sh_type.get(Little) != SHT_NOBITS {
            let start = usize::try_from(section.sh_offset.get(Little)).ok()?;
            let size = usize::try_from(section.sh_size.get(Little)).ok()?;
            let data = bytes.get(start..start.checked_add(size)?)?;
            let align = usize::try_from(section.sh_addralign.get(Little)).ok()?.clamp(1, 4096);
            out.resize(out.len().checked_next_multiple_of(align)?, 0);
            section.sh_offset.set(Little, out.len() as u64);
            out.extend_from_slice(data);
        }
    }
    out.resize(out.len().next_multiple_of(8), 0);
    header.e_shoff.set(Little, out.len() as u64);
    out.extend_from_slice(bytes_of_slice(&sections));
    out[..size_of_val(&header)].copy_from_slice(bytes_of(&header));
    Some(out)
}

/// Whether the loader reads a section: what is allocated, what relocates that, the symbols and the two tables of names.
fn is_loaded(header: &FileHeader64<Little>, sections: &[SectionHeader64<Little>], at: usize) -> bool {
    let section = &sections[at];
    let of = |number: u32| sections.get(usize::try_from(number).ok()?);
    let allocated = |section: &SectionHeader64<Little>| section.sh_flags.get(Little).contains(SHF_ALLOC);
    let names = |table: &SectionHeader64<Little>| {
        table.sh_type.get(Little) == SHT_SYMTAB && table.sh_link.get(Little) as usize == at
    };
    match section.sh_type.get(Little) {
        SHT_NULL => false,
        SHT_SYMTAB => true,
        SHT_REL | SHT_RELA => of(section.sh_info.get(Little)).is_some_and(allocated),
        _ => {
            allocated(section)
                || usize::from(header.e_shstrndx.get(Little).0) == at
                || sections.iter().any(names)
        }
    }
}

fn nothing() -> SectionHeader64<Little> {
    SectionHeader64 {
        sh_name: Default::default(),
        sh_type: Default::default(),
        sh_flags: Default::default(),
        sh_addr: Default::default(),
        sh_offset: Default::default(),
        sh_size: Default::default(),
        sh_link: Default::default(),
        sh_info: Default::default(),
        sh_addralign: Default::default(),
        sh_entsize: Default::default(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use object::elf::{EM_X86_64, ET_REL, SHT_PROGBITS, SHT_STRTAB, SectionFlags, SectionType};
    use object::read::elf::SectionHeader;

    use super::*;

    /// A relocatable file for x86-64 with these sections: a name, whether it is allocated, and bytes.
    pub(in crate::lab) fn elf(sections: &[(&str, bool, &[u8])]) -> Vec<u8> {
        let mut names = vec![0];
        let mut data = Vec::new();
        let mut headers = vec![nothing()];
        let start = size_of::<FileHeader64<Little>>();
        let mut add = |name: &str, kind: SectionType, allocated: bool, bytes: &[u8], names: &mut Vec<u8>| {
            let mut header = nothing();
            header.sh_name.set(Little, u32::try_from(names.len()).unwrap());
            names.extend(name.bytes().chain([0]));
            header.sh_type.set(Little, kind);
            header.sh_flags.set(Little, if allocated { SHF_ALLOC } else { SectionFlags(0) });
            header.sh_addralign.set(Little, 4);
            header.sh_offset.set(Little, (start + data.len()) as u64);
            let table = if kind == SHT_STRTAB { names.clone() } else { bytes.to_vec() };
            header.sh_size.set(Little, table.len() as u64);
            data.extend(table);
            data.resize(data.len().next_multiple_of(8), 0);
            headers.push(header);
        };
        for (name, allocated, bytes) in sections {
            add(name, SHT_PROGBITS, *allocated, bytes, &mut names);
        }
        add(".shstrtab", SHT_STRTAB, false, b"", &mut names);
        let mut bytes = vec![0; start];
        bytes[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        let mut put = |at: usize, value: u16| bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
        put(0x10, ET_REL.0);
        put(0x12, EM_X86_64.0);
        put(0x14, 1);
        put(0x34, 64);
        put(0x3a, 64);
        put(0x3c, u16::try_from(headers.len()).unwrap());
        put(0x3e, u16::try_from(headers.len() - 1).unwrap());
        bytes[0x28..0x30].copy_from_slice(&((start + data.len()) as u64).to_le_bytes());
        bytes.extend(data);
        bytes.extend_from_slice(bytes_of_slice(&headers));
        bytes
    }

    #[test]
    fn what_is_loaded_stays_where_its_number_says() {
        let mut whole =
            elf(&[(".debug_info", false, &[7; 1000]), (".text", true, b"code"), (".BTF", false, b"types")]);
        whole.extend_from_slice(b"signature~Module signature appended~\n");
        let stripped = strip(&whole).unwrap();
        assert!(stripped.len() < whole.len() - 1000);
        assert!(!stripped.ends_with(b"appended~\n"));
        let header = FileHeader64::<Little>::parse(stripped.as_slice()).unwrap();
        let sections = header.sections(Little, stripped.as_slice()).unwrap();
        let (index, text) = sections.section_by_name(Little, b".text").unwrap();
        assert_eq!(index.0, 2);
        assert_eq!(text.data(Little, stripped.as_slice()).unwrap(), b"code");
        assert!(sections.section_by_name(Little, b".debug_info").is_none());
        assert!(sections.section_by_name(Little, b".BTF").is_none());
        assert_eq!(sections.len(), 5);
    }

    #[test]
    fn what_is_no_elf_file_is_left_alone() {
        assert_eq!(strip(b"text"), None);
        let whole = elf(&[(".text", true, b"code")]);
        assert_eq!(strip(&whole[..whole.len() - 10]), None);
    }
}
