//! What runs saw of the KVM interface, counted against the data: never by what a claim says of itself, only by what was answered.
//!
//! A pair of descriptor and command counts where a claim that passed saw it succeed; an error where a claim that passed got it from that
//! pair; a capability where a claim that passed saw what shows its behaviour ([`SeenBy`](crate::SeenBy)); an exit where a claim that
//! passed saw KVM_RUN come back for that reason. A claim that sends more different commands than any claim about one thing does is a
//! sweep ([`Answers::is_sweep`](crate::Answers::is_sweep)), and what sweeps alone saw is counted apart. Every row of the data is in its
//! denominator, also where no claim can reach it: then it says why.

mod count;
mod rows;
mod text;
mod untried;

pub use count::{Coverage, State};
pub use rows::{Count, Kind};
pub use untried::{Untried, untried};
