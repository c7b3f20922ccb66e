//! The KVM interface of x86 as data: every command of every kind of descriptor with its errors, every capability, every exit reason.
//!
//! It is `data/kvm-api/*.tsv`, built in; `data/kvm-api/README.md` says what the columns mean. What runs saw of it is a
//! [`Coverage`](crate::Coverage).

mod capability;
mod command;
mod exit;
mod shipped;
mod since;
mod table;

pub use capability::{Capability, SeenBy};
pub use command::{Command, Row};
pub use exit::{Exit, ExitRow};
pub use shipped::Interface;
pub use since::Since;
pub use table::InterfaceError;
