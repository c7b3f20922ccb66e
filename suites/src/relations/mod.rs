//! Relations between two ways of running the same generated program, between which nothing may differ: no oracle is needed.

mod controllers;
mod emulation;
mod interruptions;
mod nested;
mod paging;
mod programs;
mod single_step;
mod slots;
mod travel;
