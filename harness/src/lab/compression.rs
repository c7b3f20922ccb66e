//! Files that may be compressed, told by how they begin: xz (`xz-file-format.txt` 2.1.1.1), Zstandard (RFC 8878 3.1.1), gzip
//! (RFC 1952 2.3.1), lz4 in its legacy form (`lz4_Frame_format.md`), or not at all.

use std::io::{self, BufRead, Read};

use flate2::bufread::MultiGzDecoder;
use liblzma::bufread::XzDecoder;
use lz4_flex::frame::FrameDecoder;
use ruzstd::decoding::StreamingDecoder;

/// Reads what a file holds, whatever it is compressed with.
pub(super) fn plain<'a>(mut file: impl BufRead + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let start = file.fill_buf()?;
    Ok(if start.starts_with(b"\xfd7zXZ\0") {
        Box::new(XzDecoder::new_multi_decoder(file))
    } else if start.starts_with(b"\x28\xb5\x2f\xfd") {
        Box::new(Frames::Between(file))
    } else if start.starts_with(b"\x1f\x8b") {
        Box::new(MultiGzDecoder::new(file))
    } else if start.starts_with(b"\x02\x21\x4c\x18") {
        Box::new(FrameDecoder::new(file))
    } else {
        Box::new(file)
    })
}

/// A decoder of Zstandard stops after one frame; a file may have several.
enum Frames<R: BufRead> {
    Between(R),
    Inside(Box<StreamingDecoder<R, ruzstd::decoding::FrameDecoder>>),
    Over,
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match std::mem::replace(self, Self::Over) {
                Self::Over => return Ok(0),
                Self::Between(mut file) => {
                    if !file.fill_buf()?.is_empty() {
                        let decoder = StreamingDecoder::new(file).map_err(io::Error::other)?;
                        *self = Self::Inside(Box::new(decoder));
                    }
                }
                Self::Inside(mut decoder) => {
                    let length = decoder.read(buffer)?;
                    if length > 0 || buffer.is_empty() {
                        *self = Self::Inside(decoder);
                        return Ok(length);
                    }
                    *self = Self::Between(decoder.into_inner());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn read(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        plain(bytes)?.read_to_end(&mut all)?;
        Ok(all)
    }

    fn zstd(text: &str) -> Vec<u8> {
        ruzstd::encoding::compress_to_vec(text.as_bytes(), ruzstd::encoding::CompressionLevel::Fastest)
    }

    #[test]
    fn what_is_not_compressed_is_read_as_it_is() {
        assert_eq!(read(b"plain").unwrap(), b"plain");
        assert_eq!(read(b"").unwrap(), b"");
    }

    #[test]
    fn xz_and_gzip_are_read() {
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        xz.write_all(b"text").unwrap();
        assert_eq!(read(&xz.finish().unwrap()).unwrap(), b"text");
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(b"text").unwrap();
        assert_eq!(read(&gz.finish().unwrap()).unwrap(), b"text");
    }

    #[test]
    fn every_frame_of_zstandard_is_read() {
        assert_eq!(read(&[zstd("one "), zstd("two")].concat()).unwrap(), b"one two");
    }

    #[test]
    fn what_is_cut_off_is_not_read_as_if_it_were_whole() {
        let whole = zstd(&"text ".repeat(1000));
        assert!(read(&whole[..whole.len() - 4]).is_err());
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        xz.write_all(b"text").unwrap();
        let whole = xz.finish().unwrap();
        assert!(read(&whole[..whole.len() - 4]).is_err());
    }
}
