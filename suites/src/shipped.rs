//! The expectations and regressions of this suite, built in: what `expectations/*.toml` and `regressions/*.json` say.

include!(concat!(env!("OUT_DIR"), "/shipped.rs"));
