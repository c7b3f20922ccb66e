//! The kernel's entry for 32-bit programs, reached from 64-bit code by `int 0x80`: the same descriptors, the same commands, but
//! arguments of 32 bits, structures of the i386 layout, and the compat dispatch.
#![expect(unsafe_code, reason = "enters the kernel by int 0x80 and maps memory below 4 GiB")]

use std::os::fd::AsRawFd;

use super::{Command, Descriptor, EFAULT, Errno, Plain, Refused};

/// `ioctl`'s number for 32-bit programs.
const IOCTL: u32 = 54;

/// The 32-bit entry.
///
/// A kernel that has it switched off kills the process that tries it: [`Need::Compat32`](crate::Need::Compat32) comes first.
#[derive(Clone, Copy, Debug)]
pub struct Compat;

impl Compat {
    /// Sends a command with a number, which must lie in the first page where it could be taken for an address.
    #[track_caller]
    pub fn value(self, to: &impl Descriptor, command: Command, value: u32) -> Result<i32, Refused> {
        let may_be_address = command.takes_address() || command.kinds.is_empty();
        if may_be_address && value >= 0x1000 {
            return Err(Refused::new(command.name, EFAULT));
        }
        // SAFETY: the command takes no address, or the value is one that nothing can be mapped at.
        unsafe { enter(to, command, value) }.map_err(Refused::of(command.name))
    }

    /// Sends a command with a structure.
    #[track_caller]
    pub fn send(
        self,
        to: &impl Descriptor,
        command: Command,
        bytes: &mut CompatBuffer,
    ) -> Result<i32, Refused> {
        // SAFETY: the bytes are borrowed mutably and followed by an inaccessible page; any address inside them is 32 bits wide
        // and was laid there by `put`, which takes numbers, or is the address of another such buffer.
        unsafe { enter(to, command, bytes.address()) }.map_err(Refused::of(command.name))
    }
}

/// Enters the kernel as a 32-bit program would.
///
/// # Safety
/// If the command takes an address, nothing but memory handed over by the caller is reached from `argument`.
unsafe fn enter(to: &impl Descriptor, command: Command, argument: u32) -> Result<i32, Errno> {
    let answer: i32;
    // SAFETY: the caller's promise; the entry preserves every register but EAX and, on kernels before 4.17, R8 to R11. RBX is
    // restored, since the compiler keeps it for itself.
    unsafe {
        std::arch::asm!(
            "xchg rbx, {fd}",
            "int 0x80",
            "xchg rbx, {fd}",
            fd = inout(reg) i64::from(to.as_fd().as_raw_fd()) => _,
            inlateout("eax") IOCTL => answer,
            in("ecx") command.number,
            in("edx") argument,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    if answer < 0 { Err(Errno(-answer)) } else { Ok(answer) }
}

/// Bytes below 4 GiB that end where an inaccessible page begins.
#[derive(Debug)]
pub struct CompatBuffer {
    mapping: *mut u8,
    mapped: usize,
    length: usize,
}

impl CompatBuffer {
    /// `length` bytes of zero.
    pub fn zeroed(length: usize) -> Result<Self, Errno> {
        let mapped = length.next_multiple_of(4096) + 4096;
        // SAFETY: a new private mapping at an address of the kernel's choice, below 2 GiB.
        let mapping = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                mapped,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT,
                -1,
                0,
            )
        };
        if mapping == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        // SAFETY: the last page of the mapping just made.
        let guarded = unsafe { libc::mprotect(mapping.byte_add(mapped - 4096), 4096, libc::PROT_NONE) };
        let buffer = Self { mapping: mapping.cast(), mapped, length };
        if guarded == 0 { Ok(buffer) } else { Err(Errno::last()) }
    }

    /// The address of the first byte.
    pub fn address(&self) -> u32 {
        u32::try_from(self.start() as usize).expect("the mapping lies below 2 GiB")
    }

    /// The value that lies `offset` bytes in.
    ///
    /// # Panics
    /// Where the value does not lie within the bytes.
    pub fn get<T: Plain>(&self, offset: usize) -> T {
        assert!(offset + size_of::<T>() <= self.length, "offset {offset} lies past the buffer");
        // SAFETY: within the mapping, any bytes make a plain value, and no reference to them is ever made.
        unsafe { self.start().add(offset).cast::<T>().read_unaligned() }
    }

    /// Lays a value `offset` bytes in.
    ///
    /// # Panics
    /// Where the value does not lie within the bytes.
    pub fn put<T: Plain>(&mut self, offset: usize, value: T) {
        assert!(offset + size_of::<T>() <= self.length, "offset {offset} lies past the buffer");
        // SAFETY: within the mapping, borrowed mutably.
        unsafe { self.start().add(offset).cast::<T>().write_unaligned(value) }
    }

    fn start(&self) -> *mut u8 {
        // SAFETY: within the mapping, which holds the bytes, rounded up to pages, and one page more.
        unsafe { self.mapping.add(self.mapped - 4096 - self.length) }
    }
}

impl Drop for CompatBuffer {
    fn drop(&mut self) {
        // SAFETY: this value's own mapping, to which no reference is ever made.
        unsafe { libc::munmap(self.mapping.cast(), self.mapped) };
    }
}
