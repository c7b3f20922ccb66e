//! `run.json`: the [`Run`] itself, as [`SCHEMA`](crate::SCHEMA) describes it, for programs and for Assay.

use std::io;

use crate::{Run, report_format};

report_format!("json", "run.json", "the whole record, for programs, `assay diff` and `assay report`", write);

fn write(run: &Run, out: &mut dyn io::Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, run).map_err(io::Error::from)?;
    writeln!(out)
}
