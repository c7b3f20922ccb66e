//! What is told in the end: one machine's record, or the matrix of several.

use std::fs;
use std::path::{Path, PathBuf};

use reports::{Matrix, Run};

use super::Arguments;
use super::side_by_side::Tried;
use crate::cli::record::Written;
use crate::cli::screen::Output;
use crate::cli::status::{Complaint, say};

/// Prints what there is to say in the end: one machine's record, or the matrix of several, which is written beside the records.
/// A page is replaced only by a whole run's.
pub(super) fn tell(
    tried: &[Tried],
    arguments: &Arguments,
    output: &Output,
    is_whole: bool,
) -> Result<(), Complaint> {
    let runs: Vec<_> =
        tried.iter().filter_map(|tried| Some((tried.name.as_str(), tried.run.as_ref().ok()?))).collect();
    let matrix = Matrix::new(runs.iter().copied());
    let mut text = Vec::new();
    let shown = match runs.as_slice() {
        [] => Ok(()),
        [(_, run)] => reports::format("text").map_or(Ok(()), |format| (format.write)(run, &mut text)),
        _ => matrix.write_text(&mut text),
    };
    shown.map_err(|error| Complaint::Fault(format!("cannot render the record: {error}")))?;
    output.print(&String::from_utf8_lossy(&text));
    for tried in tried {
        if let (Ok(run), Some(Written::Nowhere(_))) = (&tried.run, &tried.written) {
            print_json(run, output);
        }
    }
    let pages = if is_whole { arguments.page.as_slice() } else { &[] };
    let unwritten = write(&matrix, runs.len(), arguments, pages).err();
    for tried in tried {
        if let Err(why) = &tried.run {
            say(format!("{}: cannot {why}", tried.name));
        }
    }
    match unwritten.or_else(|| tried.iter().find_map(|tried| tried.unwritten.clone())) {
        Some(why) => Err(Complaint::Fault(why)),
        None => {
            if !runs.is_empty() {
                output.print(&format!("\nThe record of each kernel is below {}.\n", arguments.out.display()));
            }
            output.end()
        }
    }
}

/// What was measured must reach somebody, where it can be written nowhere.
fn print_json(run: &Run, output: &Output) {
    let mut text = Vec::new();
    if reports::format("json").is_some_and(|json| (json.write)(run, &mut text).is_ok()) {
        output.print(&String::from_utf8_lossy(&text));
    }
}

/// Writes the matrix of several runs beside their records, and the pages that are wanted to where they are wanted.
fn write(matrix: &Matrix<'_>, runs: usize, arguments: &Arguments, pages: &[PathBuf]) -> Result<(), String> {
    let (mut markdown, mut html, mut json) = (Vec::new(), Vec::new(), Vec::new());
    let rendered = matrix
        .write_markdown(&mut markdown)
        .and_then(|()| matrix.write_html(&mut html))
        .and_then(|()| matrix.write_json(&mut json));
    rendered.map_err(|error| format!("cannot render the matrix: {error}"))?;
    if runs > 1 {
        for (name, bytes) in [("matrix.md", &markdown), ("matrix.html", &html), ("matrix.json", &json)] {
            put(&arguments.out.join(name), bytes, "--out DIR")?;
        }
    }
    pages.iter().try_for_each(|path| {
        let is_html = path.extension().is_some_and(|extension| extension == "html");
        put(path, if is_html { &html } else { &markdown }, "--page FILE")
    })
}

fn put(path: &Path, bytes: &[u8], option: &str) -> Result<(), String> {
    fs::write(path, bytes).map_err(|error| {
        let why = reports::reason(&error);
        format!("cannot write {}: {why}; make room, or name another place with {option}", path.display())
    })
}
