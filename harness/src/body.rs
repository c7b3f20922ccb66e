//! The function of a claim with its argument types forgotten: cases are generated from seeds, shrunk, written down and tried.

use std::fmt;
use std::marker::PhantomData;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::Value;

use crate::input::Tryable;
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
pub fn body<Function, Arguments>(function: Function) -> Box<dyn Body>
where
    Function: Tryable<Arguments>,
    Arguments: 'static,
{
    Box::new(Typed { function, arguments: PhantomData })
}

struct Typed<Function, Arguments> {
    function: Function,
    arguments: PhantomData<Arguments>,
}

impl<Function: Tryable<Arguments>, Arguments: 'static> Body for Typed<Function, Arguments> {
    fn is_generated(&self) -> bool {
        Function::GENERATED
    }

    fn case(&self, seed: u64) -> Result<Box<dyn Case>, Stop> {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let mut runner =
            TestRunner::new_with_rng(Config { failure_persistence: None, ..Config::default() }, rng);
        match Function::strategy().new_tree(&mut runner) {
            Ok(tree) => Ok(Box::new(Generated::<Function, Arguments, _> { tree, function: PhantomData })),
            Err(reason) => {
                Err(Stop::HostFault(HostFault(format!("cannot generate an input: {}", reason.message()))))
            }
        }
    }

    fn fits(&self, input: &[Value]) -> serde_json::Result<()> {
        Function::read(input).map(drop)
    }

    fn attempt(&self, input: &[Value]) -> Outcome {
        let values = Function::read(input).map_err(|error| {
            Stop::HostFault(HostFault(format!("the input does not fit the claim's arguments: {error}")))
        })?;
        self.function.call(values)
    }
}

struct Generated<Function, Arguments, Tree> {
    tree: Tree,
    function: PhantomData<(Function, Arguments)>,
}

impl<Function, Arguments, Tree> Case for Generated<Function, Arguments, Tree>
where
    Function: Tryable<Arguments>,
    Tree: ValueTree<Value = Function::Values>,
{
    fn input(&self) -> Result<Vec<Value>, Stop> {
        Function::write(&self.tree.current())
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
