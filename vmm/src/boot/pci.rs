//! What firmware leaves of the PCI bus and its chips for an operating system: PCI 3.0, 6.2.5.1 "Address maps", and the data sheets of
//! the chips. Without firmware, this is done before a kernel begins.

use crate::devices::{piix3, piix4_pm};
use crate::pci::command;
use crate::{Access, Bus, Machine, MachineError, Ram, Space};

/// Where what functions decode is put: ports that no ISA device decodes, and memory behind RAM.
const PORTS: u64 = 0xc000;
const MEMORY: u64 = Ram::HOLE;
/// The interrupts that PIRQA# to PIRQD# lead to.
pub(crate) const INTERRUPTS: [u8; 4] = [10, 10, 11, 11];
/// Where an interrupt of the second controller is said to be level-triggered, and which are.
const LEVELS: (u64, u8) = (0x4d1, 0b0000_1100);

/// Registers of every function.
const COMMAND: u64 = 0x04;
const HEADER: u64 = 0x0e;
const HAS_MORE: u8 = 1 << 7;
const BARS: u64 = 0x10;
const LINE: u64 = 0x3c;
const PIN: u64 = 0x3d;

/// The bus, with what is still free of its address spaces.
struct Settler<'b> {
    bus: &'b Bus,
    ports: u64,
    memory: u64,
}

/// Gives every function addresses and an interrupt, and makes all RAM below 1 MiB RAM.
pub(super) fn settle(machine: &mut Machine) -> Result<(), MachineError> {
    let mut settler = Settler { bus: machine.bus(), ports: PORTS, memory: MEMORY };
    if settler.read(0, 4) == u64::from(u32::MAX) {
        return Ok(());
    }
    for device in 0..32 {
        let first = device << 11;
        let has_more = settler.is_there(first) && settler.read_byte(first + HEADER) & HAS_MORE != 0;
        for function in 0..if has_more { 8 } else { 1 } {
            settler.settle_function(device, first | function << 8);
        }
    }
    settler.settle_chips();
    // Where the accel has the controllers, nothing on the bus has taken this.
    if machine.bus().write(Space::Ports, LEVELS.0, &[LEVELS.1]) != Access::Done {
        machine.hypervisor.set_levels(LEVELS.1)?;
    }
    Ok(())
}

impl Settler<'_> {
    fn settle_function(&mut self, device: u64, at: u64) {
        if !self.is_there(at) {
            return;
        }
        let mut number = 0;
        while number < 6 {
            number += self.settle_bar(at + BARS + 4 * number);
        }
        if let Some(pin) = self.read_byte(at + PIN).checked_sub(1) {
            let pin = usize::from(pin) + usize::try_from(device).unwrap_or(0) + 3;
            self.write(at + LINE, &[INTERRUPTS[pin % 4]]);
        }
        let commands = self.read(at + COMMAND, 2) | u64::from(command::PORTS | command::MEMORY);
        self.write(at + COMMAND, &commands.to_le_bytes()[..2]);
    }

    /// Gives a base address register an address. How many registers it takes up.
    fn settle_bar(&mut self, at: u64) -> u64 {
        self.write(at, &[0xff; 4]);
        let low = self.read(at, 4);
        let (mask, is_wide) = if low & 1 != 0 { (0b11, false) } else { (0b1111, low & 0b110 == 0b100) };
        // What cannot be written says how much is decoded: of ports in the lower 16 bits.
        let all = if low & 1 != 0 { 0xffff } else { 0xffff_ffff };
        let size = (!(low & !mask) & all).wrapping_add(1) & all;
        if low & !mask == 0 || size == 0 {
            return 1;
        }
        let free = if low & 1 != 0 { &mut self.ports } else { &mut self.memory };
        let address = free.next_multiple_of(size);
        *free = address + size;
        self.write(at, &address.to_le_bytes()[..4]);
        if is_wide {
            self.write(at + 4, &[0; 4]);
        }
        if is_wide { 2 } else { 1 }
    }

    fn settle_chips(&self) {
        // All RAM is RAM, also where firmware would lie.
        self.write_if(0, 0x1237, 0x59, &[0x30, 0x33, 0x33, 0x33, 0x33, 0x33, 0x33]);
        let bridge = 1 << 11;
        self.write_if(bridge, 0x7000, piix3::ROUTES as u64, &INTERRUPTS);
        // Both channels are decoded.
        self.write_if(bridge | 1 << 8, 0x7010, 0x40, &[0x00, 0x80, 0x00, 0x80]);
        let power = bridge | 3 << 8;
        self.write_if(power, 0x7113, piix4_pm::BASE as u64, &(piix4_pm::EVENT | 1).to_le_bytes());
        self.write_if(power, 0x7113, piix4_pm::ENABLE as u64, &[1]);
        self.write_if(power, 0x7113, LINE, &[piix4_pm::SCI]);
    }

    /// Writes registers of a chip, if it is that one.
    fn write_if(&self, at: u64, device: u64, register: u64, bytes: &[u8]) {
        if self.read(at, 4) == device << 16 | 0x8086 {
            for (register, byte) in (at + register..).zip(bytes) {
                self.write(register, &[*byte]);
            }
        }
    }

    fn is_there(&self, at: u64) -> bool {
        self.read(at, 2) != 0xffff
    }

    fn read_byte(&self, at: u64) -> u8 {
        self.read(at, 1).to_le_bytes()[0]
    }

    fn read(&self, at: u64, width: usize) -> u64 {
        let mut bytes = [0; 8];
        self.bus.read(Space::Configuration, at, &mut bytes[..width]);
        u64::from_le_bytes(bytes)
    }

    fn write(&self, at: u64, bytes: &[u8]) {
        self.bus.write(Space::Configuration, at, bytes);
    }
}
