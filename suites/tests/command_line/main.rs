//! `assay` as its users meet it: what it prints, what it leaves behind, what it says when something is wrong, and its status.

#![expect(clippy::unwrap_used, reason = "the functions that tests share are tests too")]

mod assay;
mod boot;
mod device;
mod diff;
mod expectations;
mod help;
mod host;
mod interrupts;
mod lab;
mod list;
mod output;
mod partition;
mod place;
mod record;
mod replay;
mod report;
