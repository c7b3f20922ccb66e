//! Commands of other drivers, whose type is not KVM's.

use harness::kvm::{Command, Descriptor, KVM_CAP_BINARY_STATS_FD, KVM_CAP_GUEST_MEMFD, Kvm, Vcpu, Vm};
use harness::{Outcome, claim};
use proptest::prelude::{Arbitrary, BoxedStrategy, Strategy};
use serde::{Deserialize, Serialize};

use super::lesser::{Memfd, Vfio, VmStats};
use super::stranger::unknown_to;

/// The types of which `do_vfs_ioctl` in `fs/ioctl.c` answers some numbers for every file, and KVM's own.
const NOT_FOREIGN: [u32; 7] = [0x00, 0x15, 0x54, 0x58, 0x66, 0x94, 0xae];

/// A number of another driver's type, and of none that `do_vfs_ioctl` knows.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Foreign(u32);

impl Arbitrary for Foreign {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> Self::Strategy {
        proptest::arbitrary::any::<u32>()
            .prop_filter("it is foreign", |number| !NOT_FOREIGN.contains(&(number >> 8 & 0xff)))
            .prop_map(Self)
            .boxed()
    }
}

/// What programs ask a descriptor to find out what it is, and the commands of KVM's neighbours.
const NEIGHBOURS: &[Command] = &[
    Command { name: "TCGETS", number: 0x5401, kinds: &[] },
    Command { name: "TIOCGWINSZ", number: 0x5413, kinds: &[] },
    Command { name: "BLKGETSIZE64", number: 0x8008_1272, kinds: &[] },
    Command { name: "VHOST_SET_OWNER", number: 0xaf01, kinds: &[] },
    Command { name: "VFIO_GET_API_VERSION", number: 0x3b64, kinds: &[] },
];

fn refused(of: &impl Descriptor, foreign: &Foreign) -> Outcome {
    unknown_to(of, NEIGHBOURS.iter().copied().chain([Command::unknown(foreign.0)]))
}

fn system(kvm: Kvm, foreign: Foreign) -> Outcome {
    refused(&kvm, &foreign)
}
claim!(
    system,
    "The system descriptor refuses the commands of other drivers with EINVAL",
    [Code("kvm_dev_ioctl, virt/kvm/kvm_main.c")]
);

fn vm(vm: Vm, foreign: Foreign) -> Outcome {
    refused(&vm, &foreign)
}
claim!(
    vm,
    "A VM refuses the commands of other drivers with ENOTTY",
    [Code("kvm_vm_ioctl, virt/kvm/kvm_main.c")]
);

fn vcpu(vcpu: Vcpu, foreign: Foreign) -> Outcome {
    refused(&vcpu, &foreign)
}
claim!(
    vcpu,
    "A vCPU refuses the commands of other drivers with EINVAL",
    [Code("kvm_vcpu_ioctl, virt/kvm/kvm_main.c")]
);

fn device(vfio: Vfio, foreign: Foreign) -> Outcome {
    refused(&vfio.device, &foreign)
}
claim!(
    device,
    "A kvm-vfio device refuses the commands of other drivers with ENOTTY",
    [Code("kvm_device_ioctl, virt/kvm/kvm_main.c")]
);

fn guest_memfd(memory: Memfd, foreign: Foreign) -> Outcome {
    refused(&memory.memfd, &foreign)
}
claim!(
    guest_memfd,
    "A guest_memfd refuses the commands of other drivers with ENOTTY",
    [Code("kvm_gmem_fops, virt/kvm/guest_memfd.c")],
    Has(KVM_CAP_GUEST_MEMFD)
);

fn statistics(of: VmStats, foreign: Foreign) -> Outcome {
    refused(&of.stats, &foreign)
}
claim!(
    statistics,
    "A statistics descriptor refuses the commands of other drivers with ENOTTY",
    [Code("kvm_vm_stats_fops, virt/kvm/kvm_main.c")],
    Has(KVM_CAP_BINARY_STATS_FD)
);
