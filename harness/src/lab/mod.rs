//! The lab: a kernel of one's choice, booted under emulation, with this same program as its init.
//!
//! Outside, [`Lab`] starts a machine with the kernel, gives it [`Orders`], and listens to what comes up its two serial lines: the
//! kernel's console and the channel, on which the init tells what it finds out as it finds it out. Inside, [`init`] is PID 1.

mod boot;
mod channel;
mod death;
pub(crate) mod init;
mod orders;
mod program;
mod qemu;
mod session;
mod standin;

pub(crate) use boot::Lab;
pub(crate) use orders::Orders;
pub(crate) use session::{LostError, Plan, Session, Watcher};
pub(crate) use standin::{Kernel, Sources};
