//! What a descriptor is, by the name that the kernel has for it: without an allocation, a lock, or a change of `errno`, since this runs below
//! every ioctl, in whatever process and thread that is made.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;

use rustix::fs::{CWD, readlinkat_raw};

use crate::kvm::Kind;

/// How many bytes of a name are looked at; those that matter are at its beginning.
const NAME: usize = 64;
/// Where the kernel keeps the names.
const DIRECTORY: &[u8] = b"/proc/self/fd/";

/// The kind of a descriptor; none of what is not KVM's.
pub(super) fn kind_of(fd: RawFd) -> Option<Kind> {
    let mut path = [0; 32];
    let path = path_of(fd, &mut path)?;
    let mut name = [MaybeUninit::uninit(); NAME];
    let (name, _) = readlinkat_raw(CWD, path, &mut name).ok()?;
    kind_named(name)
}

fn path_of(fd: RawFd, path: &mut [u8; 32]) -> Option<&CStr> {
    let mut number = u32::try_from(fd).ok()?;
    let mut digits = [0; 10];
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + u8::try_from(number % 10).ok()?;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    let digits = &digits[first..];
    path[..DIRECTORY.len()].copy_from_slice(DIRECTORY);
    path[DIRECTORY.len()..DIRECTORY.len() + digits.len()].copy_from_slice(digits);
    CStr::from_bytes_until_nul(path).ok()
}

fn kind_named(name: &[u8]) -> Option<Kind> {
    let is_memory = name.windows(b"[kvm-gmem]".len()).any(|part| part == b"[kvm-gmem]");
    match name.strip_prefix(b"anon_inode:") {
        _ if is_memory => Some(Kind::GuestMemfd),
        None => (name == b"/dev/kvm").then_some(Kind::System),
        Some(b"kvm-vm") => Some(Kind::Vm),
        Some(name) if name == b"kvm-vm-stats" || name.starts_with(b"kvm-vcpu-stats") => Some(Kind::Stats),
        Some(name) if name.starts_with(b"kvm-vcpu") => Some(Kind::Vcpu),
        Some(name) if name.starts_with(b"kvm-") => Some(Kind::Device),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn the_kernels_names_tell_the_kind() {
        for (name, kind) in [
            ("/dev/kvm", Some(Kind::System)),
            ("anon_inode:kvm-vm", Some(Kind::Vm)),
            ("anon_inode:kvm-vcpu:17", Some(Kind::Vcpu)),
            ("anon_inode:kvm-vfio", Some(Kind::Device)),
            ("anon_inode:kvm-vm-stats", Some(Kind::Stats)),
            ("anon_inode:kvm-vcpu-stats:3", Some(Kind::Stats)),
            ("anon_inode:[kvm-gmem]", Some(Kind::GuestMemfd)),
            ("/[kvm-gmem] (deleted)", Some(Kind::GuestMemfd)),
            ("anon_inode:[eventfd]", None),
            ("/tmp/kvm", None),
        ] {
            assert_eq!(kind_named(name.as_bytes()), kind, "{name}");
        }
    }

    #[test]
    fn a_descriptor_is_looked_up_by_its_number() {
        let null = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(kind_of(null.as_raw_fd()), None);
        assert_eq!(kind_of(-1), None);
        let mut path = [0; 32];
        assert_eq!(path_of(i32::MAX, &mut path), Some(c"/proc/self/fd/2147483647"));
        let mut path = [0; 32];
        assert_eq!(path_of(0, &mut path), Some(c"/proc/self/fd/0"));
    }
}
