//! A hand of descriptors of one VM, and a mapping, that are let go one after the other.

use harness::kvm::{
    Descriptor, Device, GuestMemfd, KVM_CAP_USER_MEMORY, KVM_HAS_DEVICE_ATTR, Kvm, Mapping, Stats, Vcpu, Vm,
    abi,
};
use harness::{Outcome, Stop, equal, succeeds};
use proptest::prelude::{Arbitrary, BoxedStrategy, Just, Strategy};
use rustix::fs::{FallocateFlags, fallocate};
use serde::{Deserialize, Serialize};

use super::counting_guest::{CountingGuest, next};
use crate::descriptors::lesser::{MEMFD_SIZE, vfio_of};
use crate::descriptors::mmap::{READ_WRITE, SHARED};

/// Something that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Card {
    Kvm,
    Vm,
    Vcpu,
    /// A mapping of the vCPU, in addition to the one that running it takes.
    Mapping,
    Device,
    GuestMemfd,
    VmStats,
    VcpuStats,
}

/// Every card, in some order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Order(pub(super) Vec<Card>);

impl Arbitrary for Order {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> Self::Strategy {
        use Card::{Device, GuestMemfd, Kvm, Mapping, Vcpu, VcpuStats, Vm, VmStats};
        Just(vec![Kvm, Vm, Vcpu, Mapping, Device, GuestMemfd, VmStats, VcpuStats])
            .prop_shuffle()
            .prop_map(Self)
            .boxed()
    }
}

/// What is held of one VM.
pub(super) struct Hand(Vec<(Card, Held)>);

enum Held {
    Kvm(Kvm),
    Vm(Vm),
    Vcpu(Vcpu),
    Mapping(Mapping),
    Device(Device),
    GuestMemfd(GuestMemfd),
    Stats(Stats),
}

/// The second page of a vCPU's mapping, where the data of port accesses lies; nothing writes there between accesses.
const PIO_PAGE: usize = 0x1000;
/// What lies at the page's end.
const MARK: u8 = 0x5a;

impl Hand {
    /// Makes a VM with a counting guest and keeps these of its descriptors.
    pub(super) fn of(cards: &[Card]) -> Result<Self, Stop> {
        let guest = CountingGuest::new()?;
        let mapping = guest.vcpu.map(3 * PIO_PAGE, READ_WRITE, SHARED, 0)?;
        mapping.put(2 * PIO_PAGE - 1, MARK);
        let mut held = Vec::new();
        for card in cards {
            let one = match card {
                Card::Device => Held::Device(vfio_of(&guest.vm)?),
                Card::GuestMemfd => Held::GuestMemfd(guest.vm.create_guest_memfd(MEMFD_SIZE, 0)?),
                Card::VmStats => Held::Stats(guest.vm.get_stats_fd()?),
                Card::VcpuStats => Held::Stats(guest.vcpu.get_stats_fd()?),
                Card::Kvm | Card::Vm | Card::Vcpu | Card::Mapping => continue,
            };
            held.push((*card, one));
        }
        let others = [
            (Card::Kvm, Held::Kvm(guest.kvm)),
            (Card::Vm, Held::Vm(guest.vm)),
            (Card::Vcpu, Held::Vcpu(guest.vcpu)),
            (Card::Mapping, Held::Mapping(mapping)),
        ];
        held.extend(others.into_iter().filter(|(card, _)| cards.contains(card)));
        Ok(Self(held))
    }

    /// Lets one go.
    pub(super) fn let_go(&mut self, card: Card) {
        self.0.retain(|(held, _)| *held != card);
    }

    /// All that is still held works.
    pub(super) fn works(&self) -> Outcome {
        self.0
            .iter()
            .try_for_each(|(card, held)| held.works().map_err(|stop| stop.during(format!("of {card:?}"))))
    }
}

impl Held {
    fn works(&self) -> Outcome {
        match self {
            Self::Kvm(kvm) => equal(succeeds(kvm.get_api_version())?, 12),
            Self::Vm(vm) => equal(succeeds(vm.check_extension(KVM_CAP_USER_MEMORY))?, 1),
            Self::Vcpu(vcpu) => {
                let number = next(vcpu)?;
                equal(next(vcpu)?, number.wrapping_add(1))
            }
            Self::Mapping(mapping) => equal(mapping.get(2 * PIO_PAGE - 1), MARK),
            Self::Device(device) => {
                let attribute = abi::kvm_device_attr {
                    group: abi::KVM_DEV_VFIO_GROUP,
                    attr: abi::KVM_DEV_VFIO_GROUP_ADD.into(),
                    ..Default::default()
                };
                equal(succeeds(device.write(KVM_HAS_DEVICE_ATTR, &attribute))?, 0)
            }
            Self::GuestMemfd(memfd) => succeeds(fallocate(memfd, FallocateFlags::KEEP_SIZE, 0, MEMFD_SIZE)),
            Self::Stats(stats) => {
                let mut header = [0_u8; 24];
                equal(succeeds(rustix::io::pread(stats, &mut header, 0))?, header.len())
            }
        }
    }
}
