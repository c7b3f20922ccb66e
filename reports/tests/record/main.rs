//! The record of a run as its readers see it: every format, the journal, queries, expectations and comparisons.

#![expect(clippy::unwrap_used, reason = "the functions that tests share are tests too")]

mod browser;
mod changes;
mod coverage;
mod fixture;
mod formats;
mod html;
mod journal;
mod junit;
mod kernel_range;
mod known;
mod ktap;
mod load;
mod part;
mod query;
mod schema;
mod settle;
