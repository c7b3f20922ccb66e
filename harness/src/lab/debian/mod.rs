//! Kernels and firmware as Debian packages them, through the system's own apt.
//!
//! apt is asked with sources, lists and state of our own in the cache: the system's configuration says which mirror there is, and
//! is not touched.

mod apt;
mod fetch;
mod index;
mod sources;
mod version;

pub(super) use fetch::{fetch, fetch_file};
pub(super) use version::compare as compare_versions;
