//! The accesses that generated code makes to its window, in order: what an emulator of it has to ask for.
//!
//! Code without jumps but the first is walked instruction by instruction: Intel SDM volume 2, "Instruction Set Reference". The registers
//! that addresses are made of are never changed but by what is followed here: MOV of a constant, and string instructions.

use std::ops::Range;

use iced_x86::{
    Code as Op, Decoder, DecoderOptions, Instruction, InstructionInfoFactory, OpAccess, OpKind,
    Register as Name,
};

use crate::image::range;
use crate::map::TRAP;
use crate::{EntryState, Image};

/// The size of a page, in bytes.
const PAGE: u64 = 0x1000;
/// The widest piece that KVM hands out at once: the data of KVM_EXIT_MMIO.
const WIDEST: u64 = 8;
/// After so many instructions and repetitions, code is none that was generated.
const MOST: usize = 100_000;

/// One access to memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Access {
    /// The offset of the instruction in the code segment.
    pub rip: u64,
    /// The linear address, which is the guest-physical one too.
    pub address: u64,
    /// How many bytes.
    pub length: u64,
    /// Whether it writes.
    pub write: bool,
}

impl Access {
    /// The pieces in which an emulator reaches it: none crosses a page, and none is longer than eight bytes.
    pub fn pieces(self) -> Vec<Self> {
        let mut pieces = Vec::new();
        let end = self.address.saturating_add(self.length);
        let mut address = self.address;
        while address < end {
            // Each page is a piece of its own, of which eight bytes go at a time.
            let page = (address / PAGE + 1) * PAGE;
            let next = end.min(page).min(address + WIDEST);
            pieces.push(Self { address, length: next - address, ..self });
            address = next;
        }
        pieces
    }

    /// The pages that it reaches, by number.
    pub fn pages(self) -> Range<u64> {
        self.address / PAGE..(self.address + self.length).div_ceil(PAGE)
    }
}

/// The accesses that the code of a generated image makes to `window`, where that holds trapping bytes at first.
pub fn accesses(image: &Image, window: Range<u64>) -> Vec<Access> {
    let length = usize::try_from(window.end - window.start).unwrap_or(0);
    let mut walk = Walk {
        entry: &image.entry,
        values: Values::of(image),
        held: vec![TRAP; length],
        window,
        down: false,
        made: Vec::new(),
    };
    let code = &image.code;
    let decoder = Decoder::with_ip(code.mode.bitness(), &code.bytes, code.origin, DecoderOptions::NONE);
    let mut factory = InstructionInfoFactory::new();
    for instruction in decoder {
        walk.take(&instruction, &mut factory);
        if walk.made.len() > MOST {
            break;
        }
    }
    walk.made
}

/// The general registers, by their numbers.
struct Values([u64; 16]);

impl Values {
    fn of(image: &Image) -> Self {
        let r = &image.entry.registers;
        Self([
            r.rax, r.rcx, r.rdx, r.rbx, r.rsp, r.rbp, r.rsi, r.rdi, r.r8, r.r9, r.r10, r.r11, r.r12, r.r13,
            r.r14, r.r15,
        ])
    }

    fn get(&self, name: Name) -> u64 {
        let value = self.0.get(name.full_register().number()).copied().unwrap_or(0);
        mask(value, name.size())
    }

    fn set(&mut self, name: Name, value: u64) {
        let Some(held) = self.0.get_mut(name.full_register().number()) else { return };
        let value = mask(value, name.size());
        // What is written to 32 bits fills 64; what is narrower leaves the rest.
        *held = if name.size() >= 4 { value } else { *held & !mask(u64::MAX, name.size()) | value };
    }
}

fn mask(value: u64, bytes: usize) -> u64 {
    if bytes >= 8 { value } else { value & ((1 << (8 * bytes)) - 1) }
}

struct Walk<'a> {
    entry: &'a EntryState,
    values: Values,
    held: Vec<u8>,
    window: Range<u64>,
    down: bool,
    made: Vec<Access>,
}

impl Walk<'_> {
    fn take(&mut self, instruction: &Instruction, factory: &mut InstructionInfoFactory) {
        match instruction.code() {
            Op::Cld => self.down = false,
            Op::Std => self.down = true,
            Op::Mov_r64_imm64 | Op::Mov_r32_imm32 | Op::Mov_r16_imm16 => {
                self.values.set(instruction.op0_register(), instruction.immediate(1));
            }
            _ if instruction.is_string_instruction() => self.string(instruction),
            _ => self.operands(instruction, factory),
        }
    }

    fn base(&self, segment: Name) -> u64 {
        match segment {
            Name::DS => self.entry.ds.base,
            Name::ES => self.entry.es.base,
            Name::SS => self.entry.ss.base,
            Name::CS => self.entry.cs.base,
            Name::FS => self.entry.fs.base,
            Name::GS => self.entry.gs.base,
            _ => 0,
        }
    }

    /// An operand in memory is read before it is written.
    fn operands(&mut self, instruction: &Instruction, factory: &mut InstructionInfoFactory) {
        let length = instruction.memory_size().size() as u64;
        for operand in (0..instruction.op_count()).filter(|&op| instruction.op_kind(op) == OpKind::Memory) {
            let address = instruction.virtual_address(operand, 0, |name, _, _| {
                Some(if name.is_segment_register() { self.base(name) } else { self.values.get(name) })
            });
            let Some(address) = address else { continue };
            let access = factory.info(instruction).op_access(operand);
            let is_read = matches!(
                access,
                OpAccess::Read | OpAccess::CondRead | OpAccess::ReadWrite | OpAccess::ReadCondWrite
            );
            let is_written = matches!(
                access,
                OpAccess::Write | OpAccess::CondWrite | OpAccess::ReadWrite | OpAccess::ReadCondWrite
            );
            for write in [is_read.then_some(false), is_written.then_some(true)].into_iter().flatten() {
                self.access(Access { rip: instruction.ip(), address, length, write });
            }
        }
    }

    fn access(&mut self, access: Access) {
        if self.window.contains(&access.address) {
            self.made.push(access);
        }
    }

    fn string(&mut self, instruction: &Instruction) {
        let bytes = instruction.memory_size().size();
        let (mut reads_source, mut destination) = (false, None);
        match instruction.code() {
            Op::Stosb_m8_AL | Op::Stosw_m16_AX | Op::Stosd_m32_EAX | Op::Stosq_m64_RAX => {
                destination = Some(true);
            }
            Op::Lodsb_AL_m8 | Op::Lodsw_AX_m16 | Op::Lodsd_EAX_m32 | Op::Lodsq_RAX_m64 => reads_source = true,
            Op::Scasb_AL_m8 | Op::Scasw_AX_m16 | Op::Scasd_EAX_m32 | Op::Scasq_RAX_m64 => {
                destination = Some(false);
            }
            Op::Movsb_m8_m8 | Op::Movsw_m16_m16 | Op::Movsd_m32_m32 | Op::Movsq_m64_m64 => {
                (reads_source, destination) = (true, Some(true));
            }
            Op::Cmpsb_m8_m8 | Op::Cmpsw_m16_m16 | Op::Cmpsd_m32_m32 | Op::Cmpsq_m64_m64 => {
                (reads_source, destination) = (true, Some(false));
            }
            _ => return,
        }
        let [ax, cx, si, di] = self.names();
        let repeated = instruction.has_rep_prefix() || instruction.has_repne_prefix();
        let compares = destination == Some(false);
        while !repeated || self.values.get(cx) != 0 {
            let mut value = self.values.get(ax);
            if reads_source {
                value = self.read(instruction.ip(), self.entry.ds.base + self.values.get(si), bytes);
                self.advance(si, bytes);
            }
            let mut other = mask(value, bytes);
            if let Some(write) = destination {
                let at = self.entry.es.base + self.values.get(di);
                if write {
                    self.write(instruction.ip(), at, bytes, value);
                } else {
                    other = self.read(instruction.ip(), at, bytes);
                }
                self.advance(di, bytes);
            } else {
                let narrow = [Name::AL, Name::AX, Name::EAX, Name::RAX][bytes.trailing_zeros() as usize];
                self.values.set(narrow, value);
            }
            if !repeated {
                return;
            }
            self.values.set(cx, self.values.get(cx).wrapping_sub(1));
            let is_equal = mask(value, bytes) == other;
            if compares && is_equal == instruction.has_repne_prefix() || self.made.len() > MOST {
                return;
            }
        }
    }

    /// The accumulator, the count and the indexes in the width of the mode's addresses.
    fn names(&self) -> [Name; 4] {
        if self.entry.cs.l {
            [Name::RAX, Name::RCX, Name::RSI, Name::RDI]
        } else if self.entry.cs.db {
            [Name::EAX, Name::ECX, Name::ESI, Name::EDI]
        } else {
            [Name::EAX, Name::CX, Name::SI, Name::DI]
        }
    }

    fn advance(&mut self, name: Name, bytes: usize) {
        let value = self.values.get(name);
        let bytes = bytes as u64;
        self.values.set(name, if self.down { value.wrapping_sub(bytes) } else { value.wrapping_add(bytes) });
    }

    fn place(&self, address: u64, bytes: usize) -> Option<Range<usize>> {
        range(address.checked_sub(self.window.start)?, bytes).filter(|place| place.end <= self.held.len())
    }

    fn read(&mut self, rip: u64, address: u64, bytes: usize) -> u64 {
        self.access(Access { rip, address, length: bytes as u64, write: false });
        let held = self.place(address, bytes).and_then(|place| self.held.get(place)).unwrap_or_default();
        held.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
    }

    fn write(&mut self, rip: u64, address: u64, bytes: usize, value: u64) {
        self.access(Access { rip, address, length: bytes as u64, write: true });
        if let Some(place) = self.place(address, bytes) {
            self.held[place].copy_from_slice(&value.to_le_bytes()[..bytes]);
        }
    }
}
