//! Runs as records: read, written, compared and asked about, on any machine, with or without KVM.
//!
//! A [`Run`] is what the runner found out. It is written line by line to a [`Journal`] while claims are tried, rendered
//! by every [`Format`] in [`FORMATS`], read again by [`Run::load`], selected from by a [`Query`], held against [`Known`]
//! deviations by [`settle`], and compared with another run by [`changes`]. How much of the KVM interface runs really tried is a
//! [`Coverage`] of the [`Interface`].

mod account;
mod answers;
mod badge;
mod change;
mod coverage;
mod edition;
mod format;
mod github;
mod host;
mod html;
mod interface;
mod journal;
mod json;
mod junit;
mod kernel_range;
mod known;
mod ktap;
mod load;
mod markdown;
mod matrix;
mod near;
mod outline;
mod part;
mod plain;
mod query;
mod regression;
mod run;
mod settle;
mod text;
mod verdict;

pub use account::account;
pub use answers::{Answers, Commands, Exits, OK};
pub use change::{Change, ChangeKind, changes, host_changes, write_html, write_markdown, write_text};
pub use coverage::{Count, Coverage, Kind, State, Untried, untried};
pub use format::{FORMATS, Format, SideBySide, format, formats};
pub use interface::{Capability, Command, Exit, ExitRow, Interface, InterfaceError, Row, SeenBy, Since};
pub use journal::{JOURNAL, Journal, JournalError, is_of_an_unfinished_journal};
pub use kernel_range::{KernelRange, KernelRangeError};
pub use known::{HostMatch, Known, KnownError, unknown_claims};
pub use load::LoadError;
pub use matrix::Matrix;
pub use near::near;
pub use part::{Part, PartError, merged};
pub use plain::{one_line, reason};
pub use query::{Facts, Query, QueryError};
pub use regression::{Regression, RegressionError};
pub use run::{Cpu, Entry, FORMAT, Host, Run, SCHEMA, Witness};
pub use settle::{is_expected, is_still_known, settle};
pub use verdict::Verdict;

#[doc(hidden)]
pub use linkme;

/// How every page of HTML looks.
const STYLE: &str = include_str!("../templates/report.css");
