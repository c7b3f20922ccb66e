//! What a person types. QEMU's options have one dash or two; here they get their second one before they are read.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{CommandFactory, Parser};

use crate::boot::Entry;
use crate::gdb::Place;

/// A PC virtual machine that boots a kernel on this terminal. The options are spelled as QEMU's are, with one dash or two.
#[derive(Debug, Parser)]
#[command(
    name = "boot",
    bin_name = "assay boot",
    after_help = "\
Examples:
  assay boot -kernel F.flat -append \"a b\" -device isa-debug-exit -serial stdio -display none
  assay boot -kernel vmlinuz -initrd initrd.img -append console=ttyS0 -disk root.img -smp 2 -m 512
  assay boot -bios bios.bin -cdrom disc.iso    begin as a PC does, with firmware
  assay boot -accel qtest -qtest stdio         drive the devices by QEMU's text protocol
  assay boot -device '?'                       the devices that there are

  assay boot -kernel vmlinuz -initrd initrd.img -save FILE        Ctrl-A S saves the machine there
  assay boot -restore FILE                     goes on where it was saved, in the same machine

On the terminal, Ctrl-A X ends the machine, Ctrl-A S saves it, and Ctrl-A twice types one."
)]
pub(super) struct Options {
    /// The kernel: a bzImage, a Multiboot image, or an ELF file of 32-bit code or with a PVH note.
    #[arg(long, value_name = "FILE")]
    pub(super) kernel: Option<PathBuf>,
    /// A file that the kernel is handed.
    #[arg(long, value_name = "FILE")]
    pub(super) initrd: Option<PathBuf>,
    /// The kernel's command line.
    #[arg(long, value_name = "TEXT", default_value = "", allow_hyphen_values = true)]
    pub(super) append: String,
    /// Firmware, a ROM that ends at 4 GiB, which is begun with where no kernel is given.
    #[arg(long, value_name = "FILE")]
    pub(super) bios: Option<PathBuf>,
    /// What firmware boots: c is a disk first, d is a CD-ROM first.
    #[arg(long, value_name = "ORDER", requires = "bios")]
    pub(super) boot: Option<String>,
    /// The first IDE disk: a raw file or a block device, with ,readonly=on if the guest must not write to it.
    #[arg(long, value_name = "FILE")]
    pub(super) hda: Option<String>,
    /// The second IDE disk.
    #[arg(long, value_name = "FILE")]
    pub(super) hdb: Option<String>,
    /// The third IDE disk, at the second channel.
    #[arg(long, value_name = "FILE")]
    pub(super) hdc: Option<String>,
    /// The fourth IDE disk.
    #[arg(long, value_name = "FILE")]
    pub(super) hdd: Option<String>,
    /// A disc in an IDE CD-ROM drive, which is where the third IDE disk would be.
    #[arg(long, value_name = "FILE")]
    pub(super) cdrom: Option<String>,
    /// A virtio disk, on the PCI bus where there is firmware: a raw file or a block device, with ,readonly=on if the guest must not write to it.
    #[arg(long, value_name = "FILE")]
    pub(super) disk: Vec<String>,
    /// The entry of a bzImage: that of 64 bits where it has one, unless 32 is said.
    #[arg(long, value_name = "BITS")]
    pub(super) entry: Option<Entry>,
    /// How many processors.
    #[arg(long, value_name = "N", default_value = "1")]
    pub(super) smp: String,
    /// How much memory, in MiB or with K, M or G behind it.
    #[arg(short, long, value_name = "SIZE", default_value = "128")]
    pub(super) memory: String,
    /// The machine, and with commas accel=, kernel_irqchip= or irqchip= for it.
    #[arg(long, short = 'M', value_name = "MACHINE", default_value = "pc")]
    pub(super) machine: Vec<String>,
    /// The accels that may run it: the first that works does.
    #[arg(long, value_name = "ACCELS")]
    pub(super) accel: Vec<String>,
    /// Where the interrupt controllers are: kernel, split or user.
    #[arg(long, value_name = "WHERE")]
    pub(super) irqchip: Option<String>,
    /// The processor: host and max are all that the accel supports, qemu64 what every one has; with commas +FEATURE and -FEATURE.
    #[arg(long, value_name = "MODEL", default_value = "max")]
    pub(super) cpu: String,
    /// Another device, or ? for those that there are.
    #[arg(long, value_name = "DEVICE")]
    pub(super) device: Vec<String>,
    /// A network for a virtio-net to have with netdev=NAME: tap,id=NAME,ifname=INTERFACE, or stream,id=NAME,addr.type=unix,addr.path=PATH to who listens there.
    #[arg(long, value_name = "NETWORK")]
    pub(super) netdev: Vec<String>,
    /// What a serial port is connected to: stdio, null, none or file:FILE. The first is stdio unless it is said.
    #[arg(long, value_name = "WHERE")]
    pub(super) serial: Vec<String>,
    /// What a virtio console, which is added for it, is connected to: as a serial port, but nothing is typed there.
    #[arg(long, value_name = "WHERE")]
    pub(super) hvc: Option<String>,
    /// What the debug port writes to: stdio, null or file:FILE.
    #[arg(long, value_name = "WHERE")]
    pub(super) debugcon: Option<String>,
    /// Where the text protocol is spoken: stdio, unix:PATH, or unix:PATH,server=on to wait for the other side there.
    #[arg(long, value_name = "WHERE")]
    pub(super) qtest: Option<String>,
    /// Do without what is there by default.
    #[arg(long)]
    pub(super) nodefaults: bool,
    /// End when the machine resets.
    #[arg(long)]
    pub(super) no_reboot: bool,
    /// There is no display: none is the only kind.
    #[arg(long, value_name = "KIND", default_value = "none")]
    pub(super) display: String,
    /// There is no display.
    #[arg(long)]
    pub(super) nographic: bool,
    /// There is no monitor: none is the only kind.
    #[arg(long, value_name = "WHERE", default_value = "none")]
    pub(super) monitor: String,
    /// Properties of QEMU's own devices, which have no meaning here.
    #[arg(long, value_name = "PROPERTY")]
    pub(super) global: Vec<String>,
    /// Where Ctrl-A S saves the whole machine, which goes on then. The disks are not saved with it.
    #[arg(long, value_name = "FILE")]
    pub(super) save: Option<PathBuf>,
    /// Save the machine after so many seconds, and end it.
    #[arg(long, value_name = "SECONDS", requires = "save")]
    pub(super) save_after: Option<f64>,
    /// Go on with a machine that was saved, made with the same options; a kernel is booted only once it resets.
    #[arg(long, value_name = "FILE", conflicts_with = "qtest")]
    pub(super) restore: Option<PathBuf>,
    /// Where a debugger can come in: tcp::PORT, HOST:PORT or unix:PATH. It stops the machine when it comes.
    #[arg(long, value_name = "WHERE")]
    pub(super) gdb: Option<Place>,
    /// The same as -gdb tcp::1234.
    #[arg(short = 's', conflicts_with = "gdb")]
    pub(super) s: bool,
    /// Wait for a debugger before anything runs.
    #[arg(short = 'S')]
    pub(super) stands: bool,
    /// Write each ioctl and its result to standard error.
    #[arg(long)]
    pub(super) trace: bool,
}

impl Options {
    /// Reads what was typed behind the name of the program.
    pub(super) fn read(typed: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let names: Vec<String> = Self::command()
            .get_arguments()
            .filter_map(|argument| argument.get_long().map(str::to_owned))
            .chain(["help".to_owned()])
            .collect();
        let spelled = typed.into_iter().map(|word| {
            let name = word.to_str().and_then(|word| word.strip_prefix('-'));
            match name {
                Some(name)
                    if name.len() > 1
                        && names.iter().any(|known| name.split('=').next() == Some(known.as_str())) =>
                {
                    format!("--{name}").into()
                }
                _ => word,
            }
        });
        Self::try_parse_from([OsString::from("boot")].into_iter().chain(spelled))
    }
}

/// A size in QEMU's notation: mebibytes, or with a letter for the unit. None if it is no size.
pub(super) fn size(text: &str) -> Option<u64> {
    let text = text.split(',').next()?.trim_start_matches("size=");
    let (digits, shift) = match text.char_indices().last()? {
        (at, 'k' | 'K') => (&text[..at], 10),
        (at, 'm' | 'M') => (&text[..at], 20),
        (at, 'g' | 'G') => (&text[..at], 30),
        _ => (text, 20),
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift).filter(|size| *size > 0)
}

/// A number of processors in QEMU's notation: the first word, or what cpus= says. None if it is no number.
pub(super) fn processors(text: &str) -> Option<u32> {
    let of = |word: &str| word.trim_start_matches("cpus=").parse().ok();
    text.split(',').find_map(of).filter(|count| (1..=255).contains(count))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::{Options, processors, size};

    #[rstest]
    #[case("128", Some(128 << 20))]
    #[case("4G", Some(4 << 30))]
    #[case("size=64k", Some(64 << 10))]
    #[case("256M,slots=2", Some(256 << 20))]
    #[case("0", None)]
    #[case("many", None)]
    #[case("99999999999G", None)]
    fn sizes_are_qemus(#[case] text: &str, #[case] expected: Option<u64>) {
        assert_eq!(size(text), expected);
    }

    #[rstest]
    #[case("2", Some(2))]
    #[case("cpus=4,sockets=1", Some(4))]
    #[case("0", None)]
    #[case("256", None)]
    fn processors_are_qemus(#[case] text: &str, #[case] expected: Option<u32>) {
        assert_eq!(processors(text), expected);
    }

    #[test]
    fn what_the_runner_of_kvm_unit_tests_types_is_understood() {
        let typed = "--no-reboot -nodefaults -global kvm-pit.lost_tick_policy=discard -device pc-testdev \
            -device isa-debug-exit,iobase=0xf4,iosize=0x4 -display none -serial stdio -machine accel=kvm \
            -kernel F -smp 2 -append -x -cpu max -m 256";
        let options = Options::read(typed.split_whitespace().map(Into::into)).unwrap();
        assert!(options.no_reboot && options.nodefaults);
        assert_eq!(options.device, ["pc-testdev", "isa-debug-exit,iobase=0xf4,iosize=0x4"]);
        assert_eq!((options.append.as_str(), options.memory.as_str()), ("-x", "256"));
        assert_eq!(options.machine, ["accel=kvm"]);
    }
}
