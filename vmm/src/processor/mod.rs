//! Processor models: which of the features that an accel supports a guest sees.

mod feature;
mod model;
mod property;

pub use feature::{Feature, feature_names};
pub use model::{CpuModel, CpuModelError};
