//! A lock on a part of the cache, held by one process and thread at a time.

use std::fs::{self, File};
use std::path::Path;

use super::LabError;

/// Waits for a lock, which lasts until the file is dropped (or its process ends, however it ends).
pub(super) fn exclusive(path: &Path) -> Result<File, LabError> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(LabError::file("write", directory))?;
    }
    let file = File::options().create(true).append(true).open(path).map_err(LabError::file("write", path))?;
    file.lock().map_err(LabError::file("lock", path))?;
    Ok(file)
}
