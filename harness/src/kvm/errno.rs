//! Error numbers by the names that the kernel's documentation uses.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An error number as a system call returned it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Errno(pub i32);

impl Errno {
    /// Whether the host ran out of something, so that nothing is said of the kernel's answer.
    pub fn is_shortage(self) -> bool {
        matches!(self, ENOMEM | EMFILE | ENFILE | ENOSPC)
    }

    pub(crate) fn last() -> Self {
        Self(std::io::Error::last_os_error().raw_os_error().unwrap_or(0))
    }
}

macro_rules! errnos {
    ($($name:ident)*) => {
        $(
            #[doc = concat!("`", stringify!($name), "`.")]
            pub const $name: Errno = Errno(libc::$name);
        )*

        impl fmt::Display for Errno {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match *self {
                    $($name => f.pad(stringify!($name)),)*
                    Self(number) => write!(f, "errno {number}"),
                }
            }
        }
    };
}

errnos! {
    EPERM ENOENT EINTR EIO ENXIO E2BIG EBADF EAGAIN ENOMEM EACCES EFAULT EBUSY EEXIST ENODEV EINVAL ENFILE EMFILE ENOTTY
    EFBIG ENOSPC ESPIPE EPIPE ENOSYS EOVERFLOW EOPNOTSUPP EHWPOISON
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<rustix::io::Errno> for Errno {
    fn from(errno: rustix::io::Errno) -> Self {
        Self(errno.raw_os_error())
    }
}
