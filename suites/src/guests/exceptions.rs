//! What a puppet is told is done inside of the guest: Intel SDM volume 2, the instructions' own pages.
