//! The lab where it cannot be: no emulator, one that does not do, kernels that are none, places that are full. One sentence each.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::assay::{ASSAY, Said, assay, is_able, sentence};

const RELEASE: &str = "6.12.1-none";

/// A directory that looks like a kernel with modules until one would boot it.
fn kernel(modules: &[&str]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let mut head = vec![0; 0x400];
    head[0x1fe..0x200].copy_from_slice(&[0x55, 0xaa]);
    head[0x202..0x206].copy_from_slice(b"HdrS");
    head[0x20e..0x210].copy_from_slice(&0x100_u16.to_le_bytes());
    head[0x236] = 1;
    head[0x300..0x300 + RELEASE.len()].copy_from_slice(RELEASE.as_bytes());
    fs::write(directory.path().join("vmlinuz"), head).unwrap();
    let place = directory.path().join("lib/modules").join(RELEASE);
    fs::create_dir_all(&place).unwrap();
    for module in modules {
        fs::write(place.join(module), "no module").unwrap();
    }
    directory
}

/// Runs the lab on a directory, with these programs alone in its PATH: name, and the lines of shell that it is.
fn with_programs(programs: &[(&str, &str)], kernel: &Path, more: &[&str]) -> Said {
    let (tools, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (name, lines) in programs {
        let path = tools.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{lines}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut command = Command::new(ASSAY);
    command.arg("lab").arg("--kernel").arg(kernel).args(more).arg("--out").arg(out.path());
    Said::of(&command.env("PATH", tools.path()).output().unwrap())
}

#[track_caller]
fn refuses(programs: &[(&str, &str)], more: &[&str], status: i32, expected: &str) {
    let kernel = kernel(&["kvm-amd.ko", "kvm-intel.ko"]);
    let said = with_programs(programs, kernel.path(), more);
    let sentence = said.sentence(status);
    assert!(sentence.contains(expected), "{sentence}");
}

#[test]
fn an_emulator_that_is_missing_is_named_with_its_package() {
    refuses(
        &[],
        &[],
        3,
        "cannot boot a kernel: there is no qemu-system-x86_64; install it (Debian and Ubuntu: ",
    );
    let intel = "there is no bochs; install it (Debian and Ubuntu: bochs bochsbios bochs-term vgabios)";
    refuses(&[], &["--cpu", "intel"], 3, intel);
}

#[test]
fn an_emulator_that_does_not_do_is_told_by_what_it_lacks() {
    let qemu = |lines| [("qemu-system-x86_64", lines)];
    let cases = [
        (
            "echo QEMU emulator version 2.11.1",
            "QEMU 2.11.1 is too old, since it emulates no nested paging: install",
        ),
        ("echo hello", "qemu-system-x86_64 does not say its version: is it QEMU?"),
        (
            "[ \"$1\" = -accel ] && echo kvm || echo QEMU emulator version 9.1.0",
            "is built without TCG, its software",
        ),
    ];
    for (lines, expected) in cases {
        refuses(&qemu(lines), &[], 3, expected);
    }
    let bochs = "[ \"$1\" = --help ] && echo pentium || echo Bochs x86 Emulator 2.4";
    refuses(
        &[("bochs", bochs)],
        &["--cpu", "intel"],
        3,
        "this bochs 2.4 has no model corei7_haswell_4770; install version 2.7",
    );
}

#[test]
fn a_kernel_that_is_none_is_told_by_what_is_wrong() {
    let empty = tempfile::tempdir().unwrap();
    let without = kernel(&[]);
    let other = kernel(&["loop.ko"]);
    let cases = [
        (Path::new("/nowhere"), 2, "there is no such file or directory; write debian:6.12"),
        (empty.path(), 2, "there is no kernel in it; it needs vmlinuz or boot/vmlinuz-RELEASE"),
        (
            without.path(),
            2,
            "its modules, lib/modules/6.12.1-none, are missing: there are no modules at all; add them",
        ),
        (other.path(), 3, "cannot load kvm_amd into 6.12.1-none: "),
    ];
    let qemu =
        [("qemu-system-x86_64", "[ \"$1\" = -accel ] && echo tcg || echo QEMU emulator version 9.1.0")];
    for (kernel, status, expected) in cases {
        let said = with_programs(&qemu, kernel, &[]);
        assert!(said.sentence(status).contains(expected), "{}", said.err);
    }
}

#[test]
fn a_processor_that_is_none_is_told_with_those_that_there_are() {
    for arguments in
        [["lab", "--kernel", "host", "--cpu", "8086"], ["lab", "--kernel", "host@8086", "--cpu", "amd"]]
    {
        let said = assay(arguments);
        assert!(
            said.sentence(2).contains("write amd (QEMU), intel (Bochs' corei7_haswell_4770), or a model"),
            "{}",
            said.err
        );
    }
}

#[test]
fn arguments_come_from_a_file_too() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("arguments");
    fs::write(&file, "# what is tried\n--kernel=/nowhere\n\nvcpu/\n").unwrap();
    let said = assay(["lab".to_owned(), format!("@{}", file.display())]);
    assert!(said.sentence(2).contains("cannot find the kernel `/nowhere`"), "{}", said.err);
    let said = assay(["lab", "@/nowhere"]);
    assert!(
        said.sentence(2).starts_with("cannot read the file of arguments that an @ names: "),
        "{}",
        said.err
    );
}

#[test]
fn a_full_disk_is_said_and_nothing_half_written_is_left() {
    let namespace = ["unshare", "--mount"];
    if !is_able(&namespace) {
        return;
    }
    let (disk, kernel) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // The parts of the smallest package that holds a kernel of a megabyte.
    let script = "set -e; mkdir -p d/boot d/lib/modules/6.1; head -c 1000000 /dev/urandom > d/boot/vmlinuz-6.1
        tar -C d -cf data.tar ./boot ./lib
        printf 'Package: linux-image-6.1\\nVersion: 1\\nArchitecture: amd64\\n' > control; tar -cf control.tar ./control
        printf '2.0\\n' > debian-binary; ar rc k.deb debian-binary control.tar data.tar";
    let made = Command::new("sh").args(["-c", script]).current_dir(kernel.path()).status();
    if !made.is_ok_and(|status| status.success()) {
        return eprintln!("not tested: there is no ar here to make a package with");
    }
    let lines = "mount -t tmpfs -o size=256k none \"$1\" && \"$0\" lab --kernel \"$2/k.deb\"; status=$?; ls \"$1/assay/unpacked\"; exit $status";
    let mut command = Command::new(namespace[0]);
    command.args([namespace[1], "sh", "-c", lines, ASSAY]).arg(disk.path()).arg(kernel.path());
    let said =
        Said::of(&command.env("XDG_CACHE_HOME", disk.path()).current_dir(kernel.path()).output().unwrap());
    assert_eq!(said.status, Some(2), "{}", said.err);
    let last = said.err.lines().last().unwrap();
    assert!(sentence(&format!("{last}\n")).contains("No space left on device"), "{}", said.err);
    assert!(last.ends_with("; make room there"), "{last}");
    assert!(said.out.lines().all(|left| left.ends_with(".lock")), "half of it was left: {}", said.out);
}
