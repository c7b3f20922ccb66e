//! Small kernels in the form of a bzImage and with a PVH note on this host's KVM; without KVM each test says so and passes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use rstest::rstest;
use vmm::boot::{Boot, Entry, File, load};
use vmm::{Builder, End, IrqChip, Limit, Machine, accel, machine_class};

const LIMIT: Limit = Limit { time: Duration::from_secs(60), exits: u64::MAX };
const MEMORY: u64 = 8 << 20;
/// Where a kernel that can run anywhere is loaded.
const LOAD: u64 = 0x10_0000;

/// A bzImage of protocol 2.15 whose 32-bit entry has one piece of code, and whose 64-bit entry another.
fn image(protected: &[u8], long: &[u8]) -> Vec<u8> {
    let mut image = vec![0; 1024];
    let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
    put(0x1f1, &[1]);
    put(0x200, &[0xeb, 0x6a]); // the header ends at 0x26c
    put(0x202, b"HdrS");
    put(0x206, &0x020f_u16.to_le_bytes());
    put(0x211, &[1]);
    put(0x22c, &0x7fff_ffff_u32.to_le_bytes());
    put(0x234, &[1]);
    put(0x236, &1_u16.to_le_bytes());
    put(0x238, &64_u32.to_le_bytes());
    put(0x258, &0x20_0000_u64.to_le_bytes());
    put(0x260, &0x10_0000_u32.to_le_bytes());
    let mut code = protected.to_vec();
    code.resize(0x200, 0x90);
    code.extend(long);
    image.extend(code);
    image
}

fn file(name: &str, contents: Vec<u8>) -> File {
    File { name: name.to_owned(), contents }
}

fn boot(kernel: Vec<u8>, entry: Entry) -> Boot {
    let initrd = Some(file("initrd", b"initial".to_vec()));
    Boot { kernel: file("kernel", kernel), initrd, append: "quiet".to_owned(), entry }
}

fn furnished(accel: &str) -> Option<Machine> {
    match accel::open(accel) {
        Err(error) => {
            println!("skipped: cannot {error}");
            None
        }
        Ok((_, hypervisor)) => {
            let irqchip = if accel == "qtest" { IrqChip::User } else { IrqChip::Kernel };
            let builder = Builder::with_cpus(hypervisor, MEMORY, 2, irqchip).unwrap();
            let builder = (machine_class("pc").unwrap().furnish)(builder).unwrap();
            Some(
                builder
                    .model("isa-debugcon")
                    .and_then(|builder| builder.model("virtio-rng"))
                    .unwrap()
                    .build()
                    .unwrap(),
            )
        }
    }
}

/// Writes the magic of the zero page, the first letters of command line and initial RAM disk, and the ACPI tables' own to the debug
/// port, and switches the power off. The code is the same in 32 and in 64 bits.
#[rustfmt::skip]
const TELLS: &[u8] = &[
    0x8b, 0x86, 0x02, 0x02, 0x00, 0x00, // mov eax, [rsi + 0x202]
    0xe6, 0xe9,                         // out 0xe9, al
    0x8b, 0x9e, 0x28, 0x02, 0x00, 0x00, // mov ebx, [rsi + 0x228]
    0x8a, 0x03,                         // mov al, [rbx]
    0xe6, 0xe9,                         // out 0xe9, al
    0x8b, 0x9e, 0x18, 0x02, 0x00, 0x00, // mov ebx, [rsi + 0x218]
    0x8a, 0x03,                         // mov al, [rbx]
    0xe6, 0xe9,                         // out 0xe9, al
    0x8b, 0x5e, 0x70,                   // mov ebx, [rsi + 0x70]
    0x8a, 0x03,                         // mov al, [rbx]
    0xe6, 0xe9,                         // out 0xe9, al
    0x8c, 0xc8,                         // mov eax, cs
    0x04, 0x30,                         // add al, '0'
    0xe6, 0xe9,                         // out 0xe9, al
    0x66, 0xba, 0x04, 0x06,             // mov dx, 0x604
    0x66, 0xb8, 0x00, 0x20,             // mov ax, 0x2000
    0x66, 0xef,                         // out dx, ax
    0xeb, 0xfe,                         // jmp $
];

#[rstest]
#[case::long(Entry::Best, "L")]
#[case::long_as_asked(Entry::Long, "L")]
#[case::protected(Entry::Protected, "P")]
fn a_kernel_finds_what_it_is_told_and_switches_the_power_off(#[case] entry: Entry, #[case] mode: &str) {
    let Some(mut machine) = furnished("kvm") else { return };
    // mov al, letter; out 0xe9, al
    let begins = |letter: u8| [&[0xb0, letter, 0xe6, 0xe9][..], TELLS].concat();
    load(&mut machine, &boot(image(&begins(b'P'), &begins(b'L')), entry)).unwrap();
    assert_eq!(machine.run(LIMIT).unwrap(), End::PoweredOff);
    assert_eq!(String::from_utf8(machine.console().take()).unwrap(), format!("{mode}HqiR@"));
}

#[rstest]
#[case::reset_control(&[0x66, 0xba, 0xf9, 0x0c, 0xb0, 0x06, 0xee, 0xeb, 0xfe])] // mov dx, 0xcf9; mov al, 6; out dx, al; jmp $
#[case::triple_fault(&[0x0f, 0x0b])] // ud2
fn a_kernel_that_resets_begins_again(#[case] code: &[u8]) {
    let Some(mut machine) = furnished("kvm") else { return };
    load(&mut machine, &boot(image(&[], code), Entry::Best)).unwrap();
    assert_eq!(machine.run(LIMIT).unwrap(), End::Reset);
    machine.reset().unwrap();
    load(&mut machine, &boot(image(&[], TELLS), Entry::Best)).unwrap();
    assert_eq!(machine.run(LIMIT).unwrap(), End::PoweredOff);
}

/// A 64-bit ELF file of one segment at 2 MiB, with a PVH note that enters it behind its first 16 bytes.
fn pvh(code: &[u8]) -> Vec<u8> {
    let note = [
        &4_u32.to_le_bytes()[..],
        &4_u32.to_le_bytes(),
        &18_u32.to_le_bytes(),
        b"Xen\0",
        &0x20_0010_u32.to_le_bytes(),
    ];
    let note = note.concat();
    let mut segment = vec![0xf4; 16];
    segment.extend(code);
    let (note_at, segment_at) = (64 + 2 * 56_u64, 64 + 2 * 56 + 32_u64);
    let half = |value: u16| value.to_le_bytes().to_vec();
    let word = |value: u32| value.to_le_bytes().to_vec();
    let long = |value: u64| value.to_le_bytes().to_vec();
    let header = |kind: u32, offset: u64, address: u64, size: usize, memory: u64| {
        [
            word(kind),
            word(7),
            long(offset),
            long(address),
            long(address),
            long(size as u64),
            long(memory),
            long(1),
        ]
        .concat()
    };
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    elf.extend(
        [half(2), half(62), word(1), long(0xffff_ffff_8000_0000), long(64), long(0), word(0)].concat(),
    );
    elf.extend([half(64), half(56), half(2), half(0), half(0), half(0)].concat());
    elf.extend(header(1, segment_at, 0x20_0000, segment.len(), segment.len() as u64 + 0x1000));
    elf.extend(header(4, note_at, 0, note.len(), 0));
    elf.extend(note);
    elf.resize(usize::try_from(segment_at).unwrap(), 0);
    elf.extend(segment);
    elf
}

#[test]
fn a_kernel_with_a_pvh_note_finds_what_it_is_told() {
    let Some(mut machine) = furnished("kvm") else { return };
    #[rustfmt::skip]
    let code = &[
        0x8a, 0x03,                         // mov al, [ebx]: the lowest byte of the magic
        0xe6, 0xe9,                         // out 0xe9, al
        0x8b, 0x73, 0x18,                   // mov esi, [ebx + 24]: the command line
        0x8a, 0x06,                         // mov al, [esi]
        0xe6, 0xe9,                         // out 0xe9, al
        0x8b, 0x73, 0x10,                   // mov esi, [ebx + 16]: the list of modules
        0x8b, 0x36,                         // mov esi, [esi]
        0x8a, 0x06,                         // mov al, [esi]
        0xe6, 0xe9,                         // out 0xe9, al
        0x8b, 0x73, 0x20,                   // mov esi, [ebx + 32]: the ACPI tables
        0x8a, 0x06,                         // mov al, [esi]
        0xe6, 0xe9,                         // out 0xe9, al
        0x66, 0xba, 0x04, 0x06,             // mov dx, 0x604
        0x66, 0xb8, 0x00, 0x20,             // mov ax, 0x2000
        0x66, 0xef,                         // out dx, ax
        0xeb, 0xfe,                         // jmp $
    ];
    load(&mut machine, &boot(pvh(code), Entry::Best)).unwrap();
    assert_eq!(machine.run(LIMIT).unwrap(), End::PoweredOff);
    assert_eq!(machine.console().take(), b"\x78qiR");
}

#[test]
fn the_zero_page_has_the_header_and_the_memory_map() {
    let mut machine = furnished("qtest").unwrap();
    let kernel = image(&[0xf4], &[0xf4]);
    load(&mut machine, &boot(kernel.clone(), Entry::Best)).unwrap();
    let mut page = [0; 4096];
    machine.ram().read(0x7000, &mut page).unwrap();
    assert_eq!(page[0x1fe..0x210], kernel[0x1fe..0x210]);
    assert_eq!(page[0x1fa..0x1fc], [0xff, 0xff], "no video mode in particular");
    assert_eq!(page[0x210], 0xff, "a loader without a number");
    let entry = |index: usize| {
        let at = 0x2d0 + 20 * index;
        let number = |at: usize| u64::from_le_bytes(page[at..at + 8].try_into().unwrap());
        (number(at), number(at + 8), page[at + 16])
    };
    assert!(page[0x1e8] >= 4);
    assert_eq!(entry(0), (0, 0x9_fc00, 1));
    assert_eq!(entry(3), (LOAD, MEMORY - LOAD, 1));
    let initrd = u64::from(u32::from_le_bytes(page[0x218..0x21c].try_into().unwrap()));
    assert_eq!((initrd % 4096, page[0x21c]), (0, 7));
    let mut bytes = [0; 7];
    machine.ram().read(initrd, &mut bytes).unwrap();
    assert_eq!(&bytes, b"initial");
}

/// Changes the image at one place.
fn with(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut image = image(&[0xf4], &[0xf4]);
    image[at..at + bytes.len()].copy_from_slice(bytes);
    image
}

#[rstest]
#[case::old(with(0x206, &[9, 2]), Entry::Best, "boot kernel: its boot protocol, 2.09, is older than 2.10")]
#[case::low(with(0x211, &[0]), Entry::Best, "boot kernel: it is a zImage, which is loaded below 1 MiB")]
#[case::cut(with(0x1f4, &[0xff, 0xff]), Entry::Best, "boot kernel: it is cut off")]
#[case::all_setup(with(0x1f1, &[40]), Entry::Best, "boot kernel: it is cut off")]
#[case::no_long_entry(with(0x236, &[0]), Entry::Long, "boot kernel: it has no 64-bit entry")]
#[case::large(with(0x260, &[0, 0, 0x80, 0]), Entry::Best, "boot kernel: it needs 10 MiB of memory, and there are 8")]
#[case::huge(with(0x258, &[0xff; 12]), Entry::Best, "boot kernel: it needs 17592186044416 MiB of memory, and there are 8")]
#[case::no_room(with(0x22c, &[0, 0, 0, 0]), Entry::Best, "boot initrd: it has 7 bytes, and the kernel leaves 0 of memory")]
#[case::long_line(with(0x238, &[4]), Entry::Best, "boot kernel: its command line may have 4 bytes, and the one given has 5")]
fn what_cannot_be_booted_is_refused(#[case] kernel: Vec<u8>, #[case] entry: Entry, #[case] why: &str) {
    let mut machine = furnished("qtest").unwrap();
    assert_eq!(load(&mut machine, &boot(kernel, entry)).unwrap_err().to_string(), why);
}

#[test]
fn an_initial_ram_disk_that_is_empty_or_too_large_is_refused() {
    let mut machine = furnished("qtest").unwrap();
    let mut told = |contents: Vec<u8>| {
        let initrd = Some(file("initrd", contents));
        load(&mut machine, &Boot { initrd, ..boot(image(&[0xf4], &[0xf4]), Entry::Best) })
            .unwrap_err()
            .to_string()
    };
    assert_eq!(told(Vec::new()), "boot initrd: it is empty");
    assert_eq!(
        told(vec![0; 6 << 20]),
        "boot initrd: it has 6291456 bytes, and the kernel leaves 5242880 of memory"
    );
}

proptest::proptest! {
    #[test]
    fn what_is_wrong_with_a_kernel_is_told_by_its_name(
        changes in proptest::collection::vec((0..0x280_usize, proptest::num::u8::ANY), 0..8),
        length in 1..2000_usize,
        is_elf in proptest::bool::ANY,
    ) {
        let mut machine = furnished("qtest").unwrap();
        let mut kernel = if is_elf { pvh(&[0xf4]) } else { image(&[0xf4], &[0xf4]) };
        let end = kernel.len();
        changes.iter().for_each(|(at, byte)| kernel[at % end] = *byte);
        kernel.truncate(length);
        if let Err(error) = load(&mut machine, &boot(kernel, Entry::Best)) {
            let told = error.to_string();
            let names = ["boot kernel: ", "load kernel: ", "boot initrd: "];
            proptest::prop_assert!(names.iter().any(|name| told.starts_with(name)), "{}", told);
        }
    }
}
