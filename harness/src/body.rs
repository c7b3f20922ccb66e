//! The function of a claim with its argument types forgotten: cases are generated from seeds, shrunk, written down and tried.

use std::fmt;
use std::marker::PhantomData;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::Value;

use crate::input::{Arguments, Tryable};
use crate::{HostFault, Outcome, Stop};

/// A claim's function, whatever it takes.
pub trait Body {
    /// Whether there is more than one case to try.
    fn is_generated(&self) -> bool;

    /// The case that a seed stands for, before any shrinking.
    fn case(&self, seed: u64) -> Result<Box<dyn Case>, Stop>;

    /// Whether the function takes the input as it was written down, and why not.
    fn fits(&self, input: &[Value]) -> serde_json::Result<()>;

    /// Tries the function with the input as it was written down.
    fn attempt(&self, input: &[Value]) -> Outcome;
}

/// One generated input, and the smaller ones that can be made of it.
pub trait Case {
    /// The input, written down.
    fn input(&self) -> Result<Vec<Value>, Stop>;

    /// Makes the input smaller; false where it cannot be.
    fn simplify(&mut self) -> bool;

    /// Takes back a part of the last simplification; false where there is nothing between.
    fn complicate(&mut self) -> bool;
}

/// Forgets what a claim's function takes.
pub fn body<A: Arguments>(function: impl Tryable<A>) -> Box<dyn Body> {
    let call: Call<A> = Box::new(move |arguments| function.call(arguments));
    Box::new(Typed { call })
}

/// A claim's function, of which only what it takes is still known.
type Call<A> = Box<dyn Fn(A) -> Outcome>;

struct Typed<A> {
    call: Call<A>,
}

impl<A: Arguments> Body for Typed<A> {
    fn is_generated(&self) -> bool {
        A::GENERATED
    }

    fn case(&self, seed: u64) -> Result<Box<dyn Case>, Stop> {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let mut runner =
            TestRunner::new_with_rng(Config { failure_persistence: None, ..Config::default() }, rng);
        match A::strategy().new_tree(&mut runner) {
            Ok(tree) => Ok(Box::new(Generated::<A, _> { tree, arguments: PhantomData })),
            Err(reason) => {
                Err(Stop::HostFault(HostFault(format!("cannot generate an input: {}", reason.message()))))
            }
        }
    }

    fn fits(&self, input: &[Value]) -> serde_json::Result<()> {
        A::read(input).map(drop)
    }

    fn attempt(&self, input: &[Value]) -> Outcome {
        let values = A::read(input).map_err(|error| {
            Stop::HostFault(HostFault(format!("the input does not fit the claim's arguments: {error}")))
        })?;
        (self.call)(A::make(values)?)
    }
}

struct Generated<A, Tree> {
    tree: Tree,
    arguments: PhantomData<A>,
}

impl<A, Tree> Case for Generated<A, Tree>
where
    A: Arguments,
    Tree: ValueTree<Value = A::Values>,
{
    fn input(&self) -> Result<Vec<Value>, Stop> {
        A::write(&self.tree.current())
            .map_err(|error| Stop::HostFault(HostFault(format!("cannot write the input down: {error}"))))
    }

    fn simplify(&mut self) -> bool {
        self.tree.simplify()
    }

    fn complicate(&mut self) -> bool {
        self.tree.complicate()
    }
}

impl fmt::Debug for dyn Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Body")
    }
}
