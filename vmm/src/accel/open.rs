//! Which accels there are, and opening the first that works.

use thiserror::Error;

use super::{ACCELS, AccelError, Hypervisor};

/// A way to run vCPUs.
#[derive(Debug)]
pub struct Accel {
    /// What asks for it.
    pub name: &'static str,
    /// What it is, in a few words.
    pub about: &'static str,
    /// Opens it: a virtual machine without RAM and vCPUs, or why it is not to be had here.
    pub open: fn() -> Result<Box<dyn Hypervisor>, AccelError>,
}

/// Why none of the accels that were asked for can be opened.
#[derive(Debug, Error)]
#[error("open an accel: {}; there is {}", tried(.0), known())]
pub struct OpenError(pub Vec<Tried>);

/// An accel that was asked for and cannot be opened.
#[derive(Debug)]
pub struct Tried {
    /// What it was asked for as.
    pub name: String,
    /// Why not; none if there is no such accel.
    pub why: Option<AccelError>,
}

/// Every accel that is linked in, sorted by name.
pub fn accels() -> Vec<&'static Accel> {
    let mut accels: Vec<_> = ACCELS.iter().collect();
    accels.sort_by_key(|accel| accel.name);
    accels
}

/// Opens the first accel of `names`, which commas separate, that can be opened here.
pub fn open(names: &str) -> Result<(&'static Accel, Box<dyn Hypervisor>), OpenError> {
    let mut tried = Vec::new();
    for name in names.split(',').map(str::trim) {
        let why = match ACCELS.iter().find(|accel| accel.name == name) {
            None => None,
            Some(accel) => match (accel.open)() {
                Ok(hypervisor) => return Ok((accel, hypervisor)),
                Err(why) => Some(why),
            },
        };
        tried.push(Tried { name: name.to_owned(), why });
    }
    Err(OpenError(tried))
}

fn tried(tried: &[Tried]) -> String {
    let line = |tried: &Tried| match &tried.why {
        Some(why) => format!("{}: cannot {why}", tried.name),
        None => format!("\"{}\" is not known", tried.name),
    };
    tried.iter().map(line).collect::<Vec<_>>().join("; ")
}

fn known() -> String {
    accels().iter().map(|accel| format!("{} ({})", accel.name, accel.about)).collect::<Vec<_>>().join(", ")
}

/// Adds an [`Accel`] to [`ACCELS`]: its name, what it is, and the function that opens it.
///
/// ```
/// use vmm::accel::{AccelError, Hypervisor};
///
/// fn none() -> Result<Box<dyn Hypervisor>, AccelError> {
///     Err(AccelError::Missing("a processor"))
/// }
/// vmm::accel!("none", "for what needs no vCPU", none);
///
/// let refused = vmm::accel::open("none,nothing").err().map(|error| error.to_string()).unwrap_or_default();
/// assert!(refused.starts_with("open an accel: none: cannot do without a processor; \"nothing\" is not known; there is kvm"));
/// ```
#[macro_export]
macro_rules! accel {
    ($name:literal, $about:literal, $open:path $(,)?) => {
        #[allow(unsafe_code, reason = "linkme places the entry in the slice's link section")]
        const _: () = {
            #[$crate::linkme::distributed_slice($crate::accel::ACCELS)]
            #[linkme(crate = $crate::linkme)]
            static ACCEL: $crate::accel::Accel =
                $crate::accel::Accel { name: $name, about: $about, open: $open };
        };
    };
}
