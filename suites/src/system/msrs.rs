//! MSRs by the names of `asm/msr-index.h` and `asm/kvm_para.h`.

pub(super) const MSR_IA32_TSC: u32 = 0x10;
pub(super) const MSR_IA32_UCODE_REV: u32 = 0x8b;
pub(super) const MSR_IA32_SMBASE: u32 = 0x9e;
pub(super) const MSR_IA32_ARCH_CAPABILITIES: u32 = 0x10a;
pub(super) const MSR_IA32_SYSENTER_CS: u32 = 0x174;
pub(super) const MSR_IA32_SYSENTER_ESP: u32 = 0x175;
pub(super) const MSR_IA32_SYSENTER_EIP: u32 = 0x176;
pub(super) const MSR_IA32_CR_PAT: u32 = 0x277;
pub(super) const MSR_IA32_MC0_CTL2: u32 = 0x280;
pub(super) const MSR_CORE_PERF_GLOBAL_CTRL: u32 = 0x38f;
pub(super) const MSR_IA32_MC0_CTL: u32 = 0x400;
pub(super) const MSR_IA32_VMX_BASIC: u32 = 0x480;
pub(super) const MSR_IA32_VMX_VMFUNC: u32 = 0x491;
pub(super) const HV_X64_MSR_GUEST_OS_ID: u32 = 0x4000_0000;
pub(super) const MSR_KVM_WALL_CLOCK: u32 = 0x11;
pub(super) const MSR_KVM_SYSTEM_TIME: u32 = 0x12;
pub(super) const MSR_KVM_WALL_CLOCK_NEW: u32 = 0x4b56_4d00;
pub(super) const MSR_KVM_ASYNC_PF_ACK: u32 = 0x4b56_4d07;
pub(super) const MSR_STAR: u32 = 0xc000_0081;
pub(super) const MSR_LSTAR: u32 = 0xc000_0082;
pub(super) const MSR_CSTAR: u32 = 0xc000_0083;
pub(super) const MSR_SYSCALL_MASK: u32 = 0xc000_0084;
pub(super) const MSR_KERNEL_GS_BASE: u32 = 0xc000_0102;
pub(super) const MSR_AMD64_DE_CFG: u32 = 0xc001_1029;
