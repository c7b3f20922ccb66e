//! The ways to write a [`Run`]: one file for each, found here by name.

use std::io;

use crate::{Matrix, Run};

/// A way to write a [`Run`].
#[derive(Clone, Copy, Debug)]
pub struct Format {
    /// The word that asks for it on a command line.
    pub name: &'static str,
    /// The file that it is written to, in the directory of the run; none where it is only made when it is asked for.
    pub file: Option<&'static str>,
    /// Whom it is for, in a few words.
    pub about: &'static str,
    /// Writes the run. It fails only where the writer does.
    pub write: fn(&Run, &mut dyn io::Write) -> io::Result<()>,
    /// Writes several runs side by side; a format without this has them one after the other.
    pub side_by_side: Option<SideBySide>,
}

/// Writes several runs side by side.
pub type SideBySide = fn(&Matrix<'_>, &mut dyn io::Write) -> io::Result<()>;

/// Every format of this program, in no order; [`formats`] sorts them.
#[linkme::distributed_slice]
pub static FORMATS: [Format];

/// Every format, sorted by name.
pub fn formats() -> Vec<&'static Format> {
    let mut formats: Vec<_> = FORMATS.iter().collect();
    formats.sort_by_key(|format| format.name);
    formats
}

/// The format that `name` asks for.
pub fn format(name: &str) -> Option<&'static Format> {
    FORMATS.iter().find(|format| format.name == name)
}

/// Adds a [`Format`] to [`FORMATS`]: its name, its file or `None`, whom it is for, the function that writes it, and where it can, the one that
/// writes several runs side by side.
///
/// ```
/// fn write(run: &reports::Run, out: &mut dyn std::io::Write) -> std::io::Result<()> {
///     writeln!(out, "{}", run.claims.len())
/// }
/// reports::report_format!("count", "run.count", "one number, for a badge", write);
/// # assert!(reports::format("count").is_some());
/// ```
#[macro_export]
macro_rules! report_format {
    ($name:literal, None, $about:literal, $write:path) => {
        $crate::report_format!(@ $name, None, $about, $write, None);
    };
    ($name:literal, $file:literal, $about:literal, $write:path) => {
        $crate::report_format!(@ $name, Some($file), $about, $write, None);
    };
    ($name:literal, $file:literal, $about:literal, $write:path, $side_by_side:expr) => {
        $crate::report_format!(@ $name, Some($file), $about, $write, Some($side_by_side));
    };
    (@ $name:literal, $file:expr, $about:literal, $write:path, $side_by_side:expr) => {
        // Not `expect`: in other crates the lint does not look into this macro.
        #[allow(unsafe_code, reason = "linkme registers by naming a link section")]
        const _: () = {
            #[$crate::linkme::distributed_slice($crate::FORMATS)]
            #[linkme(crate = $crate::linkme)]
            static FORMAT: $crate::Format = $crate::Format {
                name: $name,
                file: $file,
                about: $about,
                write: $write,
                side_by_side: $side_by_side,
            };
        };
    };
}
