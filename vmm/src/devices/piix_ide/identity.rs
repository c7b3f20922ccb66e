//! What drives say of themselves: ATA/ATAPI-4 (T13/1153D), 8.12 "IDENTIFY DEVICE" and 8.13 "IDENTIFY PACKET DEVICE", and of 48-bit
//! addresses ATA/ATAPI-6, 8.15. There is no DMA.

use super::disk::{Geometry, MOST_SEVERAL};

/// 256 words.
struct Words([u16; 256]);

const MODEL: &str = "Assay disk";
const PACKET_MODEL: &str = "Assay CD-ROM";
const FIRMWARE: &str = "1";
/// How long a transfer of one word takes, in ns: that of PIO mode 4.
const CYCLE: u16 = 120;

impl Words {
    /// What both kinds of drives say.
    fn new(number: usize, model: &str) -> Self {
        let mut words = Self([0; 256]);
        words.text(10, 10, &format!("{number}"));
        words.text(23, 4, FIRMWARE);
        words.text(27, 20, model);
        // Linear addresses, and IORDY, which modes 3 and 4 are not without; words 54 to 58 and 64 to 70 mean something; PIO modes 3 and 4.
        words.0[49] = 1 << 11 | 1 << 9;
        words.0[53] = 0b011;
        words.0[64] = 0b011;
        (words.0[67], words.0[68]) = (CYCLE, CYCLE);
        words
    }

    /// Text is padded with spaces, and its letters are in the upper half of a word first.
    fn text(&mut self, first: usize, words: usize, text: &str) {
        let padded = text.bytes().chain(std::iter::repeat(b' '));
        let letters: Vec<u8> = padded.take(2 * words).collect();
        for (word, pair) in self.0[first..].iter_mut().zip(letters.chunks_exact(2)) {
            *word = u16::from(pair[0]) << 8 | u16::from(pair[1]);
        }
    }

    fn number(&mut self, first: usize, words: usize, number: u64) {
        for (behind, word) in self.0[first..first + words].iter_mut().enumerate() {
            *word = u16::try_from(number >> (16 * behind) & 0xffff).unwrap_or(0);
        }
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|word| word.to_le_bytes()).collect()
    }
}

/// What a disk of so many sectors says, with the geometry that it was told, and how many sectors move at once.
pub(super) fn of_disk(number: usize, sectors: u64, told: Geometry, several: u8) -> Vec<u8> {
    const MOST: u64 = 0x0fff_ffff;
    let own = Geometry::OWN;
    let mut words = Words::new(number, MODEL);
    words.0[0] = 1 << 6;
    (words.0[1], words.0[3], words.0[6]) = (own.cylinders(sectors), own.heads.into(), own.sectors.into());
    let cylinders = told.cylinders(sectors);
    (words.0[54], words.0[55], words.0[56]) = (cylinders, told.heads.into(), told.sectors.into());
    words.number(57, 2, u64::from(cylinders) * u64::from(told.heads) * u64::from(told.sectors));
    words.0[47] = 0x8000 | u16::from(MOST_SEVERAL);
    words.0[59] = if several > 0 { 1 << 8 | u16::from(several) } else { 0 };
    words.number(60, 2, sectors.min(MOST));
    // ATA-1 to ATA-6; 48-bit addresses, and FLUSH CACHE in both forms.
    words.0[80] = 0b0111_1110;
    (words.0[83], words.0[84]) = (1 << 14 | 1 << 13 | 1 << 12 | 1 << 10, 1 << 14);
    (words.0[86], words.0[87]) = (1 << 13 | 1 << 12 | 1 << 10, 1 << 14);
    words.number(100, 4, sectors);
    words.bytes()
}

/// What a drive with packets of 12 bytes says: a removable CD-ROM.
pub(super) fn of_packet_drive(number: usize) -> Vec<u8> {
    let mut words = Words::new(number, PACKET_MODEL);
    words.0[0] = 0b10 << 14 | 5 << 8 | 1 << 7 | 0b10 << 5;
    // ATA-4; packets and DEVICE RESET.
    words.0[80] = 0b0001_1110;
    (words.0[82], words.0[83], words.0[84]) = (1 << 9 | 1 << 4, 1 << 14, 1 << 14);
    (words.0[85], words.0[87]) = (1 << 9 | 1 << 4, 1 << 14);
    words.bytes()
}
