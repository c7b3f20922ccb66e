//! A PC virtual machine with the shape of a small QEMU.
//!
//! An [`Accel`](accel::Accel) opens a [`Hypervisor`](accel::Hypervisor); a [`Builder`] joins it with RAM, a [`Bus`] and devices,
//! as a [`MachineClass`] says or one by one, into a [`Machine`], which runs one thread for each vCPU until the guest or its host
//! ends it.
//!
//! ```no_run
//! use vmm::{Builder, End, Limit, accel, machine_class};
//!
//! let (_, hypervisor) = accel::open("kvm")?;
//! let bare = machine_class("bare").ok_or("there is no bare machine")?;
//! let mut machine = (bare.furnish)(Builder::new(hypervisor, 0x2_0000)?)?.build()?;
//! machine.ram().write(0x1000, &[0xb0, b'!', 0xe6, 0xe9, 0xf4])?;
//! machine.cpu(0)?.set_regs(&kvm_bindings::kvm_regs { rip: 0x1000, rflags: 2, ..Default::default() })?;
//! // … and its segments.
//! assert_eq!(machine.run(Limit::default())?, End::Halted);
//! assert_eq!(machine.console().take(), b"!");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
compile_error!("this virtual machine runs PCs with KVM: it is built for x86_64 Linux only");

pub mod accel;
mod acpi;
mod balloon;
pub mod boot;
mod builder;
mod bus;
pub mod clock;
mod command;
mod console;
mod device;
mod devices;
mod disk;
mod entropy;
pub mod gdb;
pub mod irq;
mod link;
mod machine;
mod machines;
mod main_loop;
mod map;
mod memory;
mod mp_table;
pub mod pci;
mod power;
mod processor;
pub mod qtest;
mod region;
mod smbios;
mod snapshot;
mod vcpu;
mod view;
mod window;

pub use balloon::Balloon;
pub use builder::{BuildError, Builder};
pub use bus::Bus;
pub use command::boot as boot_command;
pub use console::Console;
pub use device::{Access, DEVICES, Device, DeviceClass, StateError, Wires, device_class, device_classes};
pub use devices::fw_cfg::{Items, ItemsError};
pub use devices::virtio;
pub use disk::{Disk, DiskError, Disks, Drives, Media};
pub use entropy::Entropy;
pub use irq::IrqChip;
pub use link::{Link, LinkError, Mac, Nic, Nics};
pub use machine::{MACHINES, Machine, MachineClass, MachineError, Stop, machine_class, machine_classes};
pub use main_loop::{Filter, Input};
pub use map::{Doorbell, Listener, Map, MappingId, Target};
pub use memory::{Block, MemoryError, Ram};
pub use power::{End, Limit, Power};
pub use processor::{CpuModel, CpuModelError, Feature, feature_names};
pub use region::{Region, RegionError, Space};
pub use snapshot::{CpuState, DeviceState, FORMAT as SNAPSHOT_FORMAT, SnapshotError, State};
pub use view::{Range, View};
pub use window::{DECODED, OVER_RAM, Shows, Window};

#[doc(hidden)]
pub use linkme;
