//! The host bridge: Intel 82441FX data sheet (290549), 3.1 "I/O mapped registers" and 3.2 "PCI configuration space mapped registers".
//! It is reached by configuration mechanism #1 (PCI 2.1, 3.7.4.1), and decides who answers between 640 KiB and 1 MiB.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::pci::{Configuration, Identity, Layout};
use crate::{Access, Device, OVER_RAM, Ram, Region, Shows, Window};

crate::device!(
    "i440fx",
    "the host bridge: configuration of PCI functions at port 0xcf8, and shadow RAM",
    [
        // Only four bytes at once are the address; a byte is somebody else's.
        Region::ports(0xcf8, 0xcf8).whole(4),
        Region::ports(0xcfc, 0xcff).by(4),
        Region::function(0, 0)
    ],
    |wires| {
        let configuration = Configuration::new(layout());
        Box::new(I440fx { configuration, address: 0, ram: wires.ram.clone() })
    }
);

/// The regions of the device, with the one that has no place of its own: what is written to RAM and read from elsewhere.
const ADDRESS: usize = 0;
const DATA: usize = 1;
const CONFIGURATION: usize = 2;
const WRITTEN_ALONE: usize = 3;

/// Of the address: configuration spaces are reached, and which bits there are.
const ENABLED: u32 = 1 << 31;
const KEPT: u32 = ENABLED | 0x00ff_fffc;

/// PAM0 to PAM6, two segments each, the first with none in its lower half; and SMRAM.
const PAM: usize = 0x59;
const PAMS: usize = 7;
const SMRAM: usize = 0x72;
/// Of each half of a PAM register: reads, and writes, are of RAM.
const READS: u8 = 1;
const WRITES: u8 = 2;
/// Of SMRAM: D_OPEN, D_CLS, D_LCK, G_SMRAME, and where it is, which cannot be changed.
const OPEN: u8 = 1 << 6;
const CLOSED: u8 = 1 << 5;
const LOCKED: u8 = 1 << 4;
const SMM: u8 = 1 << 3;
const AT_VIDEO: u8 = 0b010;

const VIDEO: u64 = 0xa_0000;
const SEGMENTS: u64 = 0xc_0000;
const MIB: u64 = 0x10_0000;
/// The end of the ROM is seen here as well.
const ROM: u64 = 0xe_0000;

struct I440fx {
    configuration: Configuration,
    /// CONFADD.
    address: u32,
    ram: Ram,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    configuration: Vec<u8>,
    address: u32,
}

fn layout() -> Layout {
    let identity = Identity {
        vendor: 0x8086,
        device: 0x1237,
        revision: 2,
        class: 0x06_00_00,
        // What firmware knows this kind of virtual machine by: the chip itself has none.
        subsystem: (0x1af4, 0x1100),
    };
    // It always answers to memory and is a master, and can report errors.
    Layout::new(identity, 1 << 6 | 1 << 8)
        .fixed(0x04, &[0x06, 0x00, 0x80, 0x02])
        .writable(0x0d, &[0xf8])
        .writable(PAM, &[0x30, 0x33, 0x33, 0x33, 0x33, 0x33, 0x33])
        .fixed(SMRAM, &[AT_VIDEO])
        .writable(SMRAM, &[OPEN | CLOSED | LOCKED | SMM])
}

/// The segments: where each is, and its bits, READS and WRITES.
fn segments(pam: impl Fn(usize) -> u8) -> impl Iterator<Item = (u64, u64, u8)> {
    let small = (1..PAMS).flat_map(|index| [(index, 0), (index, 4)]);
    let small = (SEGMENTS..).step_by(0x4000).zip(small).map(|(first, place)| (first, 0x4000, place));
    let all = small.chain([(0xf_0000, 0x1_0000, (0, 4))]);
    all.map(move |(first, length, (index, shift))| {
        (first, length, pam(PAM + index) >> shift & (READS | WRITES))
    })
}

impl I440fx {
    /// Where the byte of the ROM is that is seen at an address below 1 MiB, if there is one.
    fn rom_behind(&self, address: u64) -> Option<u64> {
        (address >= ROM).then(|| self.ram.rom_size().checked_sub(MIB - address)).flatten()
    }

    /// What a segment shows that is not plain RAM.
    fn shown(&self, first: u64, bits: u8) -> Option<Shows> {
        let behind = first - VIDEO;
        match bits {
            0 => Some(match self.rom_behind(first) {
                Some(offset) => Shows::Rom { offset },
                None => Shows::Decoded,
            }),
            READS => Some(Shows::Ram { address: first, writable: false }),
            WRITES => Some(Shows::Own { region: WRITTEN_ALONE, offset: behind }),
            _ => None,
        }
    }

    fn configure(&mut self, offset: u64, data: &[u8]) -> Access {
        let before = self.configuration.byte(SMRAM);
        let access = self.configuration.write(offset, data);
        let smram = self.configuration.byte(SMRAM);
        let smram = if before & LOCKED != 0 {
            // Only D_CLS can still be written.
            before & !CLOSED | smram & CLOSED
        } else if smram & LOCKED != 0 {
            smram & !OPEN
        } else {
            smram
        };
        self.configuration.set_byte(SMRAM, smram);
        access
    }
}

impl Device for I440fx {
    fn read(&mut self, region: usize, offset: u64, data: &mut [u8]) -> Access {
        match (region, data.len()) {
            (ADDRESS, 4) => data.copy_from_slice(&self.address.to_le_bytes()),
            (DATA, _) if self.address & ENABLED != 0 => {
                return Access::Configuration(u64::from(self.address & !ENABLED) + offset);
            }
            (CONFIGURATION, _) => return self.configuration.read(offset, data),
            (WRITTEN_ALONE, _) => {
                let rom = self.rom_behind(VIDEO + offset);
                return match rom {
                    Some(rom) if self.ram.read_rom(rom, data) => Access::Done,
                    _ => Access::NoRegister,
                };
            }
            _ => return Access::NoRegister,
        }
        Access::Done
    }

    fn write(&mut self, region: usize, offset: u64, data: &[u8]) -> Access {
        match (region, data) {
            (ADDRESS, &[a, b, c, d]) => self.address = u32::from_le_bytes([a, b, c, d]) & KEPT,
            (DATA, _) if self.address & ENABLED != 0 => {
                return Access::Configuration(u64::from(self.address & !ENABLED) + offset);
            }
            (CONFIGURATION, _) => return self.configure(offset, data),
            (WRITTEN_ALONE, _) if self.ram.write(VIDEO + offset, data).is_ok() => {}
            _ => return Access::NoRegister,
        }
        Access::Done
    }

    fn windows(&self) -> Vec<Window> {
        let over = |first: u64, length: u64, shows| {
            let region = Region::memory(first, first + length - 1);
            Window { region, shows, priority: OVER_RAM }
        };
        let is_open = self.configuration.byte(SMRAM) & OPEN != 0;
        let video = (!is_open).then(|| over(VIDEO, SEGMENTS - VIDEO, Shows::Decoded));
        let segments = segments(|at| self.configuration.byte(at));
        let segments =
            segments.filter_map(|(first, length, bits)| Some(over(first, length, self.shown(first, bits)?)));
        video.into_iter().chain(segments).collect()
    }

    fn reset(&mut self) {
        self.configuration.reset();
        self.address = 0;
    }

    fn state(&self) -> Result<Value, serde_json::Error> {
        serde_json::to_value(State { configuration: self.configuration.bytes(), address: self.address })
    }

    fn load(&mut self, state: Value) -> Result<(), serde_json::Error> {
        let State { configuration, address } = serde_json::from_value(state)?;
        if address & !KEPT != 0 {
            return Err(serde::de::Error::custom("its address has bits that there are not"));
        }
        (self.configuration, self.address) = (self.configuration.with(configuration)?, address);
        Ok(())
    }
}
