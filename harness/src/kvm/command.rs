//! Every command of the KVM interface, with the kinds of descriptor that know it: `include/uapi/linux/kvm.h`, Linux 7.3, and
//! the commands that older kernels had.

use super::Kind;

/// An ioctl command: its name, its number, and the kinds of descriptor that know it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Command {
    /// The name in `linux/kvm.h`.
    pub name: &'static str,
    /// The number that the kernel dispatches on.
    pub number: u32,
    /// The kinds of descriptor that know the command; on any other it is unknown.
    pub kinds: &'static [Kind],
}

impl Command {
    /// A command that `linux/kvm.h` does not have.
    pub const fn unknown(number: u32) -> Self {
        Self { name: "an unknown command", number, kinds: &[] }
    }

    /// The size of the structure that the number encodes, in bytes; 0 for `_IO` commands.
    pub const fn size(self) -> usize {
        ((self.number >> 16) & 0x3fff) as usize
    }

    /// Whether the number says that the kernel writes to the structure.
    pub const fn writes(self) -> bool {
        self.number >> 30 & 2 != 0
    }

    /// Whether the number says that the argument is the address of a structure.
    pub const fn takes_address(self) -> bool {
        self.number >> 30 != 0
    }
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({:#x})", self.name, self.number)
    }
}

macro_rules! commands {
    ($($name:ident = $number:literal on [$($kind:ident),*];)*) => {
        $(
            #[doc = concat!("`", stringify!($name), "`, ", stringify!($number), ".")]
            pub const $name: Command =
                Command { name: stringify!($name), number: $number, kinds: &[$(Kind::$kind),*] };
        )*
        /// Every command, each once.
        pub const COMMANDS: &[Command] = &[$($name),*];
    };
}

commands! {
    KVM_GET_API_VERSION = 0xae00 on [System];
    KVM_CREATE_VM = 0xae01 on [System];
    KVM_GET_MSR_INDEX_LIST = 0xc004ae02 on [System];
    KVM_CHECK_EXTENSION = 0xae03 on [System, Vm];
    KVM_GET_VCPU_MMAP_SIZE = 0xae04 on [System];
    KVM_GET_SUPPORTED_CPUID = 0xc008ae05 on [System];
    KVM_TRACE_ENABLE = 0x4008ae06 on [System];
    KVM_TRACE_PAUSE = 0xae07 on [System];
    KVM_TRACE_DISABLE = 0xae08 on [System];
    KVM_GET_EMULATED_CPUID = 0xc008ae09 on [System];
    KVM_GET_MSR_FEATURE_INDEX_LIST = 0xc004ae0a on [System];
    KVM_GET_MSRS = 0xc008ae88 on [System, Vcpu];
    KVM_X86_GET_MCE_CAP_SUPPORTED = 0x8008ae9d on [System];
    KVM_GET_SUPPORTED_HV_CPUID = 0xc008aec1 on [System, Vcpu];
    KVM_GET_DEVICE_ATTR = 0x4018aee2 on [System, Vcpu, Device];
    KVM_HAS_DEVICE_ATTR = 0x4018aee3 on [System, Vcpu, Device];
    KVM_CREATE_VCPU = 0xae41 on [Vm];
    KVM_GET_DIRTY_LOG = 0x4010ae42 on [Vm];
    KVM_SET_NR_MMU_PAGES = 0xae44 on [Vm];
    KVM_GET_NR_MMU_PAGES = 0xae45 on [Vm];
    KVM_SET_USER_MEMORY_REGION = 0x4020ae46 on [Vm];
    KVM_SET_TSS_ADDR = 0xae47 on [Vm];
    KVM_SET_IDENTITY_MAP_ADDR = 0x4008ae48 on [Vm];
    KVM_SET_USER_MEMORY_REGION2 = 0x40a0ae49 on [Vm];
    KVM_CREATE_IRQCHIP = 0xae60 on [Vm];
    KVM_IRQ_LINE = 0x4008ae61 on [Vm];
    KVM_GET_IRQCHIP = 0xc208ae62 on [Vm];
    KVM_SET_IRQCHIP = 0x8208ae63 on [Vm];
    KVM_CREATE_PIT = 0xae64 on [Vm];
    KVM_GET_PIT = 0xc048ae65 on [Vm];
    KVM_SET_PIT = 0x8048ae66 on [Vm];
    KVM_IRQ_LINE_STATUS = 0xc008ae67 on [Vm];
    KVM_REGISTER_COALESCED_MMIO = 0x4010ae67 on [Vm];
    KVM_UNREGISTER_COALESCED_MMIO = 0x4010ae68 on [Vm];
    KVM_SET_GSI_ROUTING = 0x4008ae6a on [Vm];
    KVM_REINJECT_CONTROL = 0xae71 on [Vm];
    KVM_IRQFD = 0x4020ae76 on [Vm];
    KVM_CREATE_PIT2 = 0x4040ae77 on [Vm];
    KVM_SET_BOOT_CPU_ID = 0xae78 on [Vm];
    KVM_IOEVENTFD = 0x4040ae79 on [Vm];
    KVM_XEN_HVM_CONFIG = 0x4038ae7a on [Vm];
    KVM_SET_CLOCK = 0x4030ae7b on [Vm];
    KVM_GET_CLOCK = 0x8030ae7c on [Vm];
    KVM_GET_PIT2 = 0x8070ae9f on [Vm];
    KVM_SET_PIT2 = 0x4070aea0 on [Vm];
    KVM_SET_TSC_KHZ = 0xaea2 on [Vm, Vcpu];
    KVM_ENABLE_CAP = 0x4068aea3 on [Vm, Vcpu];
    KVM_GET_TSC_KHZ = 0xaea3 on [Vm, Vcpu];
    KVM_SIGNAL_MSI = 0x4020aea5 on [Vm];
    KVM_SET_PMU_EVENT_FILTER = 0x4020aeb2 on [Vm];
    KVM_MEMORY_ENCRYPT_OP = 0xc008aeba on [Vm, Vcpu];
    KVM_MEMORY_ENCRYPT_REG_REGION = 0x8010aebb on [Vm];
    KVM_MEMORY_ENCRYPT_UNREG_REGION = 0x8010aebc on [Vm];
    KVM_HYPERV_EVENTFD = 0x4018aebd on [Vm];
    KVM_CLEAR_DIRTY_LOG = 0xc018aec0 on [Vm];
    KVM_X86_SET_MSR_FILTER = 0x4188aec6 on [Vm];
    KVM_RESET_DIRTY_RINGS = 0xaec7 on [Vm];
    KVM_XEN_HVM_GET_ATTR = 0xc048aec8 on [Vm];
    KVM_XEN_HVM_SET_ATTR = 0x4048aec9 on [Vm];
    KVM_GET_STATS_FD = 0xaece on [Vm, Vcpu];
    KVM_XEN_HVM_EVTCHN_SEND = 0x400caed0 on [Vm];
    KVM_SET_MEMORY_ATTRIBUTES = 0x4020aed2 on [Vm];
    KVM_CREATE_GUEST_MEMFD = 0xc040aed4 on [Vm];
    KVM_CREATE_DEVICE = 0xc00caee0 on [Vm];
    KVM_RUN = 0xae80 on [Vcpu];
    KVM_GET_REGS = 0x8090ae81 on [Vcpu];
    KVM_SET_REGS = 0x4090ae82 on [Vcpu];
    KVM_GET_SREGS = 0x8138ae83 on [Vcpu];
    KVM_SET_SREGS = 0x4138ae84 on [Vcpu];
    KVM_TRANSLATE = 0xc018ae85 on [Vcpu];
    KVM_INTERRUPT = 0x4004ae86 on [Vcpu];
    KVM_SET_MSRS = 0x4008ae89 on [Vcpu];
    KVM_SET_CPUID = 0x4008ae8a on [Vcpu];
    KVM_SET_SIGNAL_MASK = 0x4004ae8b on [Vcpu];
    KVM_GET_FPU = 0x81a0ae8c on [Vcpu];
    KVM_SET_FPU = 0x41a0ae8d on [Vcpu];
    KVM_GET_LAPIC = 0x8400ae8e on [Vcpu];
    KVM_SET_LAPIC = 0x4400ae8f on [Vcpu];
    KVM_SET_CPUID2 = 0x4008ae90 on [Vcpu];
    KVM_GET_CPUID2 = 0xc008ae91 on [Vcpu];
    KVM_TPR_ACCESS_REPORTING = 0xc028ae92 on [Vcpu];
    KVM_SET_VAPIC_ADDR = 0x4008ae93 on [Vcpu];
    KVM_GET_MP_STATE = 0x8004ae98 on [Vcpu];
    KVM_SET_MP_STATE = 0x4004ae99 on [Vcpu];
    KVM_NMI = 0xae9a on [Vcpu];
    KVM_SET_GUEST_DEBUG = 0x4048ae9b on [Vcpu];
    KVM_X86_SETUP_MCE = 0x4008ae9c on [Vcpu];
    KVM_X86_SET_MCE = 0x4040ae9e on [Vcpu];
    KVM_GET_VCPU_EVENTS = 0x8040ae9f on [Vcpu];
    KVM_SET_VCPU_EVENTS = 0x4040aea0 on [Vcpu];
    KVM_GET_DEBUGREGS = 0x8080aea1 on [Vcpu];
    KVM_SET_DEBUGREGS = 0x4080aea2 on [Vcpu];
    KVM_GET_XSAVE = 0x9000aea4 on [Vcpu];
    KVM_SET_XSAVE = 0x5000aea5 on [Vcpu];
    KVM_GET_XCRS = 0x8188aea6 on [Vcpu];
    KVM_SET_XCRS = 0x4188aea7 on [Vcpu];
    KVM_GET_ONE_REG = 0x4010aeab on [Vcpu];
    KVM_SET_ONE_REG = 0x4010aeac on [Vcpu];
    KVM_KVMCLOCK_CTRL = 0xaead on [Vcpu];
    KVM_GET_REG_LIST = 0xc008aeb0 on [Vcpu];
    KVM_SMI = 0xaeb7 on [Vcpu];
    KVM_GET_NESTED_STATE = 0xc080aebe on [Vcpu];
    KVM_SET_NESTED_STATE = 0x4080aebf on [Vcpu];
    KVM_XEN_VCPU_GET_ATTR = 0xc048aeca on [Vcpu];
    KVM_XEN_VCPU_SET_ATTR = 0x4048aecb on [Vcpu];
    KVM_GET_SREGS2 = 0x8140aecc on [Vcpu];
    KVM_SET_SREGS2 = 0x4140aecd on [Vcpu];
    KVM_GET_XSAVE2 = 0x9000aecf on [Vcpu];
    KVM_PRE_FAULT_MEMORY = 0xc040aed5 on [Vcpu];
    KVM_SET_DEVICE_ATTR = 0x4018aee1 on [Vcpu, Device];
}
