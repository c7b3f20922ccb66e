//! RAM and vCPUs, a port that takes text, and a port that ends the machine: what guest code needs to be tried, and nothing more.

use crate::{BuildError, Builder};

crate::machine!("bare", "RAM, a debug port and an exit port", furnish);

fn furnish(builder: Builder) -> Result<Builder, BuildError> {
    builder.model("isa-debugcon")?.model("isa-debug-exit")
}
