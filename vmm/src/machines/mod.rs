//! The kinds of machine, one file for each; [`MACHINES`](crate::MACHINES) holds them all.

mod bare;
mod pc;
