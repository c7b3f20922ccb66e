//! The symbol `ioctl`, which every crate calls that does not make the system call itself: kvm-ioctls, vmm-sys-util, the standard library.
//!
//! The linker takes a symbol of the program before one of an archive or a shared library, so that libc's own is never linked, in a
//! static file as little as in a dynamic one. What libc does inside of itself, such as `isatty`, goes by a name of libc's own.
#![expect(unsafe_code, reason = "defines a function of libc's")]

use super::ioctl;

/// `ioctl` of libc, which its header declares with three dots: whatever comes in their place comes in the third register.
///
/// # Safety
/// As for the system call: the request decides what is reached from the argument.
#[unsafe(no_mangle)]
unsafe extern "C" fn ioctl(fd: libc::c_int, request: libc::c_ulong, argument: libc::c_ulong) -> libc::c_int {
    // SAFETY: the caller's promise.
    match unsafe { ioctl::call(fd, request, argument) } {
        Ok(answer) => answer,
        Err(errno) => {
            // SAFETY: the place is this thread's own. Nothing that was done since the system call may decide what stands there.
            unsafe { *libc::__errno_location() = errno.0 };
            -1
        }
    }
}
