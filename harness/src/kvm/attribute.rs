//! Attributes: KVM_GET_DEVICE_ATTR, the command that writes through an address inside its structure.
#![expect(unsafe_code, reason = "sends a structure that holds an address")]

use super::{Descriptor, Guarded, KVM_GET_DEVICE_ATTR, Refused, abi, raw};

/// Sends KVM_GET_DEVICE_ATTR with the address of `value`, whatever the attribute says its address is.
#[track_caller]
pub fn get_attribute(
    descriptor: &impl Descriptor,
    attribute: &abi::kvm_device_attr,
    value: &mut Guarded,
) -> Result<i32, Refused> {
    let mut bytes = Guarded::zeroed(size_of_val(attribute));
    bytes.put(0, &abi::kvm_device_attr { addr: value.address(), ..*attribute });
    // SAFETY: the address is that of bytes borrowed mutably, behind which an inaccessible page begins, and the kernel is done with
    // it when the command returns.
    unsafe { raw::send_holding_address(descriptor.as_fd(), KVM_GET_DEVICE_ATTR, &mut bytes) }
        .map_err(Refused::of(KVM_GET_DEVICE_ATTR.name))
}
