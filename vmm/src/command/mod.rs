//! The machine as a program: `assay boot`, in QEMU's spelling of the options.

mod build;
mod drives;
mod networks;
mod options;
mod run;
mod saving;
mod terminal;

pub use run::boot;
