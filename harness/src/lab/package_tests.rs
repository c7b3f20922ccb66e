//! Small packages, made here.

use std::path::{Path, PathBuf};

use super::*;

fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, bytes) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, path, *bytes).unwrap();
    }
    archive.into_inner().unwrap()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    std::io::Write::write_all(&mut encoder, bytes).unwrap();
    encoder.finish().unwrap()
}

fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = b"!<arch>\n".to_vec();
    for (name, bytes) in members {
        archive.extend(
            format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100_644, bytes.len()).bytes(),
        );
        archive.extend_from_slice(bytes);
        if bytes.len() % 2 == 1 {
            archive.push(b'\n');
        }
    }
    archive
}

fn deb(architecture: &str, data: &[(&str, &[u8])]) -> Vec<u8> {
    let control = format!("Package: linux-image-x\nVersion: 1:6.1-1\nArchitecture: {architecture}\n");
    ar(&[
        ("debian-binary", b"2.0\n"),
        ("control.tar.xz/", &xz(&tar(&[("./control", control.as_bytes())]))),
        ("data.tar", &tar(data)),
    ])
}

struct Cache(tempfile::TempDir);

impl Cache {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn unpack(&self, bytes: &[u8]) -> Result<PathBuf, LabError> {
        let path = self.0.path().join("some.deb");
        std::fs::write(&path, bytes).unwrap();
        unpack(&path, self.0.path(), &|_| {})
    }

    fn unpacked(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.0.path().join("unpacked")).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
    }
}

const KERNEL: [(&str, &[u8]); 5] = [
    ("./boot/vmlinuz-6.1", b"image"),
    ("./boot/System.map-6.1", b"map"),
    ("./usr/lib/modules/6.1/kernel/kvm.ko.xz", b"module"),
    ("./lib/modules/6.1/modules.builtin", b"list"),
    ("./usr/share/doc/kvm.ko", b"no module"),
];

#[test]
fn only_what_a_kernel_needs_is_unpacked() {
    let cache = Cache::new();
    let root = cache.unpack(&deb("amd64", &KERNEL)).unwrap();
    assert!(root.file_name().unwrap().to_str().unwrap().starts_with("linux-image-x_1-6.1-1_"));
    assert_eq!(std::fs::read(root.join("boot/vmlinuz-6.1")).unwrap(), b"image");
    assert_eq!(std::fs::read(root.join("lib/modules/6.1/kernel/kvm.ko.xz")).unwrap(), b"module");
    assert_eq!(std::fs::read(root.join("lib/modules/6.1/modules.builtin")).unwrap(), b"list");
    assert!(!root.join("boot/System.map-6.1").exists());
    assert!(!root.join("share").exists());
}

#[test]
fn a_package_is_unpacked_once() {
    let cache = Cache::new();
    let first = cache.unpack(&deb("amd64", &KERNEL)).unwrap();
    std::fs::write(first.join("mark"), "").unwrap();
    assert_eq!(cache.unpack(&deb("amd64", &KERNEL)).unwrap(), first);
    assert!(first.join("mark").exists());
}

#[test]
fn one_at_a_time_unpacks_a_package() {
    let cache = Cache::new();
    let target = cache.0.path().join("unpacked/a");
    let lock = claim(&target).unwrap().unwrap();
    let other = std::thread::spawn({
        let target = target.clone();
        move || claim(&target).unwrap().is_none()
    });
    std::fs::create_dir(&target).unwrap();
    drop(lock);
    assert!(other.join().unwrap(), "the second finds it unpacked");
}

#[test]
fn what_a_killed_run_left_is_replaced() {
    let cache = Cache::new();
    let target = cache.0.path().join("unpacked/a");
    let draft = cache.0.path().join("unpacked/a.draft");
    std::fs::create_dir_all(draft.join("boot")).unwrap();
    std::fs::write(draft.join("boot/vmlinuz-old"), "half").unwrap();
    let path = cache.0.path().join("some.deb");
    std::fs::write(&path, deb("amd64", &KERNEL)).unwrap();
    fill(&path, &target, &|_| {}).unwrap();
    assert!(!target.join("boot/vmlinuz-old").exists());
    assert!(!draft.exists());
}

#[test]
fn another_architecture_is_refused() {
    let error = Cache::new().unpack(&deb("arm64", &KERNEL)).unwrap_err().to_string();
    assert!(error.contains("arm64"), "{error}");
}

#[test]
fn a_package_without_a_kernel_is_refused() {
    let error = Cache::new().unpack(&deb("amd64", &[("./usr/bin/x", b"")])).unwrap_err().to_string();
    assert!(error.contains("neither a kernel nor a module"), "{error}");
}

#[test]
fn wherever_a_package_is_cut_off_it_is_refused_and_nothing_is_left() {
    let whole = deb("amd64", &KERNEL);
    for length in (0..whole.len() - 1).step_by(97) {
        let cache = Cache::new();
        let error = cache.unpack(&whole[..length]).unwrap_err();
        assert!(matches!(error, LabError::Package { .. }), "{length}: {error}");
        assert_eq!(cache.unpacked(), Vec::<PathBuf>::new(), "{length}");
    }
}

#[test]
fn an_unsigned_kernel_is_a_kernel() {
    let path = Path::new("./usr/lib/modules/7.3/vmlinuz.unsigned");
    assert_eq!(wanted(path), Some("lib/modules/7.3/vmlinuz".into()));
}

#[test]
fn members_that_lead_out_are_not_wanted() {
    for path in
        ["/boot/vmlinuz-6.1", "./../boot/vmlinuz-6.1", "boot/../../vmlinuz-6.1", "lib/modules/../x.ko"]
    {
        assert_eq!(wanted(Path::new(path)), None, "{path}");
    }
}
