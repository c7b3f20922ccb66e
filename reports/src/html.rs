//! One run as a page of HTML: the matrix of a single column.

use std::io;

use crate::{Matrix, Run, report_format};

report_format!(
    "html",
    "run.html",
    "people who want to look: one page that needs nothing but itself",
    write,
    |matrix, out| matrix.write_html(out)
);

fn write(run: &Run, out: &mut dyn io::Write) -> io::Result<()> {
    Matrix::new([(run.host.release.as_str(), run)]).write_html(out)
}
