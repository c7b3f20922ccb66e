//! Checksums of files: SHA-256 (FIPS 180-4), as apt's lists give them.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::LabError;

/// The checksum of a file, in hexadecimal.
pub(super) fn sha256(path: &Path) -> Result<String, LabError> {
    let mut file = File::open(path).map_err(LabError::file("read", path))?;
    let mut digest = Sha256::new();
    let mut piece = vec![0; 1 << 16];
    loop {
        let length = file.read(&mut piece).map_err(LabError::file("read", path))?;
        if length == 0 {
            break;
        }
        digest.update(&piece[..length]);
    }
    Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
