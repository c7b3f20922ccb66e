//! What a claim's function may take: fixtures, which are made, and values, which are generated and shrunk. The argument types are
//! the whole set-up.

use std::fmt::Debug;

use proptest::arbitrary::Arbitrary;
use proptest::strategy::{BoxedStrategy, Just, Strategy};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::kvm::{Compat, Kvm, Vcpu, Vm};
use crate::{Outcome, Stop};

/// A type that a claim's function may take.
pub trait Input: Sized + 'static {
    /// What is generated, written down, and made into the argument.
    type Value: Clone + Debug + Serialize + DeserializeOwned + 'static;

    /// Whether there is more than one value to try.
    const GENERATED: bool;

    /// Where values come from.
    fn strategy() -> BoxedStrategy<Self::Value>;

    /// Makes the argument.
    fn make(value: Self::Value) -> Result<Self, Stop>;
}

/// Whatever proptest can generate is generated. It is also written down, so that a failing input can be kept and replayed.
impl<T> Input for T
where
    T: Arbitrary + Clone + Debug + Serialize + DeserializeOwned + 'static,
{
    type Value = T;

    const GENERATED: bool = true;

    fn strategy() -> BoxedStrategy<T> {
        proptest::arbitrary::any::<T>().boxed()
    }

    fn make(value: T) -> Result<T, Stop> {
        Ok(value)
    }
}

/// Makes a type a fixture: something of which each case gets a new one.
#[macro_export]
macro_rules! fixture {
    ($type:ty, $make:expr) => {
        impl $crate::Input for $type {
            type Value = ();

            const GENERATED: bool = false;

            fn strategy() -> $crate::proptest::strategy::BoxedStrategy<()> {
                $crate::input::nothing()
            }

            fn make((): ()) -> Result<Self, $crate::Stop> {
                ($make)()
            }
        }
    };
}

/// The strategy of a fixture.
#[doc(hidden)]
pub fn nothing() -> BoxedStrategy<()> {
    Just(()).boxed()
}

fixture!(Kvm, Kvm::open);
fixture!(Vm, || Ok(Kvm::open()?.create_vm(0)?));
fixture!(Vcpu, || Ok(Kvm::open()?.create_vm(0)?.create_vcpu(0)?));
fixture!(Compat, || Ok(Compat));

/// What a claim's function takes, all of it: a tuple of inputs.
pub trait Arguments: Sized + 'static {
    /// What the arguments are made from.
    type Values: Clone + Debug + 'static;

    /// Whether there is more than one case to try.
    const GENERATED: bool;

    /// Where the values come from.
    fn strategy() -> BoxedStrategy<Self::Values>;

    /// The values that were generated, written down.
    fn write(values: &Self::Values) -> serde_json::Result<Vec<serde_json::Value>>;

    /// The values that were written down.
    fn read(written: &[serde_json::Value]) -> serde_json::Result<Self::Values>;

    /// Makes the arguments.
    fn make(values: Self::Values) -> Result<Self, Stop>;
}

/// Functions that can be tried: those whose arguments are inputs. There is one type for each function, and so as little as can be
/// depends on it.
pub trait Tryable<A: Arguments>: 'static {
    /// Calls the function.
    fn call(&self, arguments: A) -> Outcome;
}

macro_rules! arguments {
    ($($argument:ident $value:ident),*) => {
        #[allow(unused_mut, unused_variables, reason = "there may be none")]
        impl<$($argument: Input),*> Arguments for ($($argument,)*) {
            type Values = ($($argument::Value,)*);

            const GENERATED: bool = false $(|| $argument::GENERATED)*;

            fn strategy() -> BoxedStrategy<Self::Values> {
                let all = Just(());
                $(let all = (all, $argument::strategy());)*
                all.prop_map(|arguments!(@nest () $($value)*)| ($($value,)*)).boxed()
            }

            fn write(($($value,)*): &Self::Values) -> serde_json::Result<Vec<serde_json::Value>> {
                let mut written = Vec::new();
                $(if $argument::GENERATED {
                    written.push(serde_json::to_value($value)?);
                })*
                Ok(written)
            }

            fn read(written: &[serde_json::Value]) -> serde_json::Result<Self::Values> {
                let wanted = 0 $(+ usize::from($argument::GENERATED))*;
                if written.len() != wanted {
                    let error = format!("its length is {}, and the claim takes {wanted}", written.len());
                    return Err(serde::de::Error::custom(error));
                }
                let mut written = written.iter();
                $(let $value = if $argument::GENERATED {
                    written.next().cloned().unwrap_or_default()
                } else {
                    serde_json::Value::Null
                };)*
                Ok(($(serde_json::from_value($value)?,)*))
            }

            fn make(($($value,)*): Self::Values) -> Result<Self, Stop> {
                Ok(($($argument::make($value)?,)*))
            }
        }

        impl<Function, $($argument: Input),*> Tryable<($($argument,)*)> for Function
        where
            Function: Fn($($argument),*) -> Outcome + 'static,
        {
            fn call(&self, ($($value,)*): ($($argument,)*)) -> Outcome {
                self($($value),*)
            }
        }
    };
    (@nest $nested:tt) => { $nested };
    (@nest $nested:tt $value:ident $($rest:ident)*) => { arguments!(@nest ($nested, $value) $($rest)*) };
}

arguments!();
arguments!(A a);
arguments!(A a, B b);
arguments!(A a, B b, C c);
arguments!(A a, B b, C c, D d);
arguments!(A a, B b, C c, D d, E e);
arguments!(A a, B b, C c, D d, E e, F f);
