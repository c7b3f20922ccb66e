//! Interfaces of the host whose frames a program takes and gives: Linux, `Documentation/networking/tuntap.rst`.
#![expect(unsafe_code, reason = "asks the kernel for an interface by an ioctl")]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use super::LinkError;

const DEVICE: &str = "/dev/net/tun";
/// How long the name of an interface may be: one byte less than there is room for.
const LONGEST: usize = libc::IFNAMSIZ - 1;

/// Attaches to the tap of this name, one frame at a time and nothing before it; the kernel makes it for who may have it made.
pub(super) fn open(name: &str) -> Result<OwnedFd, LinkError> {
    let is_name =
        (1..=LONGEST).contains(&name.len()) && !name.contains(|c: char| c == '/' || c.is_whitespace());
    if !is_name || name.contains('\0') {
        return Err(LinkError::TapName { name: name.to_owned() });
    }
    attach(name).map_err(|source| LinkError::Tap { name: name.to_owned(), source })
}

fn attach(name: &str) -> io::Result<OwnedFd> {
    let file = File::options().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(DEVICE)?;
    let mut request = libc::ifreq {
        ifr_name: [0; libc::IFNAMSIZ],
        ifr_ifru: libc::__c_anonymous_ifr_ifru {
            ifru_flags: libc::c_short::try_from(libc::IFF_TAP | libc::IFF_NO_PI).unwrap_or(0),
        },
    };
    for (place, byte) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *place = libc::c_char::from_ne_bytes([byte]);
    }
    // SAFETY: the descriptor is open, and the request is what this ioctl reads and writes, as long as the call lasts.
    let attached = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    if attached < 0 { Err(io::Error::last_os_error()) } else { Ok(file.into()) }
}

/// What helps.
pub(super) fn cure(name: &str, error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => {
            format!("the host has no {DEVICE}: load its module tun")
        }
        Some(libc::EBUSY) => "another program has it".to_owned(),
        Some(libc::EINVAL) => "it is there and is no tap: another name helps".to_owned(),
        _ => format!("ip tuntap add dev {name} mode tap user NAME, as root, makes it that user's"),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::open;

    #[rstest]
    #[case("")]
    #[case("sixteen-letters-")]
    #[case("a/b")]
    #[case("a b")]
    #[case("a\0b")]
    fn what_is_no_name_is_refused(#[case] name: &str) {
        let told = open(name).unwrap_err().to_string();
        assert!(told.contains("1 to 15 characters"), "{told}");
    }

    #[test]
    fn what_is_no_tap_is_told_with_its_cure() {
        let told = open("lo").unwrap_err().to_string();
        let cures = ["load its module tun", "another name helps", "ip tuntap add dev lo"];
        assert!(cures.iter().any(|cure| told.contains(cure)), "{told}");
    }
}
