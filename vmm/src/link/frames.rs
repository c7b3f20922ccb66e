//! Frames in a stream, each behind its length: four bytes, the highest first, as QEMU's stream network and passt have them.

use super::Link;

/// What has come and was not taken yet: not more than one frame and what was read with it.
#[derive(Debug, Default)]
pub(super) struct Frames {
    bytes: Vec<u8>,
    /// Where in them the first frame begins.
    from: usize,
}

/// A frame of a length that there is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lie {
    pub(super) length: usize,
}

const LENGTH: usize = 4;

impl Frames {
    /// What comes in the stream.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.from);
        self.from = 0;
        self.bytes.extend(bytes);
    }

    /// A frame that comes alone; what is no frame is lost.
    pub(super) fn push_frame(&mut self, frame: &[u8]) {
        if let Ok(length) = u32::try_from(frame.len())
            && Link::LENGTHS.contains(&frame.len())
        {
            self.push(&length.to_be_bytes());
            self.bytes.extend(frame);
        }
    }

    /// The first frame, if all of it is here.
    pub(super) fn first(&self) -> Result<Option<&[u8]>, Lie> {
        let Some((length, rest)) = self.bytes[self.from..].split_first_chunk::<LENGTH>() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        if Link::LENGTHS.contains(&length) { Ok(rest.get(..length)) } else { Err(Lie { length }) }
    }

    /// Does away with it.
    pub(super) fn drop_first(&mut self) {
        if let Ok(Some(frame)) = self.first() {
            self.from += LENGTH + frame.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Frames, Lie};

    proptest! {
        #[test]
        fn a_stream_in_any_pieces_is_the_frames_that_were_put_into_it(
            lengths in prop::collection::vec(14..200_usize, 1..20),
            pieces in prop::collection::vec(1..70_usize, 1..40),
        ) {
            let put: Vec<Vec<u8>> = lengths.iter().map(|length| vec![u8::try_from(*length).unwrap(); *length]).collect();
            let stream: Vec<u8> = put
                .iter()
                .flat_map(|frame| [&u32::try_from(frame.len()).unwrap().to_be_bytes()[..], frame].concat())
                .collect();
            let (mut frames, mut got, mut rest) = (Frames::default(), Vec::new(), &stream[..]);
            for piece in pieces.iter().cycle() {
                let (now, later) = rest.split_at((*piece).min(rest.len()));
                frames.push(now);
                rest = later;
                while let Some(frame) = frames.first().unwrap().map(<[u8]>::to_vec) {
                    got.push(frame);
                    frames.drop_first();
                }
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(got, put);
        }
    }

    #[test]
    fn a_length_that_there_is_not_is_known_before_the_frame_is_there() {
        for length in [0, 13, 0x1_1001, u32::MAX] {
            let mut frames = Frames::default();
            frames.push(&length.to_be_bytes());
            assert_eq!(frames.first(), Err(Lie { length: usize::try_from(length).unwrap() }));
        }
    }
}
