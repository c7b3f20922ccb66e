//! Task state segments: Intel SDM volume 3, 8.2.1 "Task-State Segment (TSS)" and 8.7 "Task Management in 64-bit Mode"; volume 1,
//! 19.5.2 "I/O Permission Bit Map".

/// A task state segment, as far as ours hold anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tss {
    /// Where the stack of ring 0 begins.
    pub stack: u64,
    /// The stack segment of ring 0; long mode has none here.
    pub stack_segment: u16,
    /// Where the stacks begin that interrupt gates of long mode name, from 1 to 7.
    pub interrupt_stacks: [u64; 7],
    /// Whether there is an I/O permission map, which permits every port.
    pub io_map: bool,
}

/// The offset of a task state segment's last byte, in 32-bit and in 64-bit form, if it has no I/O permission map.
const LIMIT: u32 = 0x67;
/// Where a task state segment says where its I/O permission map lies, in both forms.
const IO_MAP: usize = 0x66;
/// One bit for each port, and the byte of ones that must follow.
const IO_MAP_LENGTH: usize = 0x2001;

impl Tss {
    /// The offset of its last byte.
    pub fn limit(&self) -> u32 {
        LIMIT + if self.io_map { 0x2001 } else { 0 }
    }

    /// The segment in 32-bit form.
    pub fn narrow(&self) -> Vec<u8> {
        let mut bytes = self.empty();
        bytes[4..8].copy_from_slice(&((self.stack & 0xffff_ffff) as u32).to_le_bytes());
        bytes[8..10].copy_from_slice(&self.stack_segment.to_le_bytes());
        bytes
    }

    /// The segment in 64-bit form.
    pub fn wide(&self) -> Vec<u8> {
        let mut bytes = self.empty();
        bytes[4..12].copy_from_slice(&self.stack.to_le_bytes());
        for (place, stack) in bytes[0x24..0x5c].chunks_exact_mut(8).zip(self.interrupt_stacks) {
            place.copy_from_slice(&stack.to_le_bytes());
        }
        bytes
    }

    /// Where there is no I/O permission map, one would begin behind the last byte.
    fn empty(&self) -> Vec<u8> {
        let mut bytes = vec![0; LIMIT as usize + 1];
        bytes[IO_MAP] = 0x68;
        if self.io_map {
            bytes.resize(bytes.len() + IO_MAP_LENGTH - 1, 0);
            bytes.push(0xff);
        }
        bytes
    }
}
