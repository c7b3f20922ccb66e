//! The dirty log: api.rst 4.8 KVM_GET_DIRTY_LOG, whose structure holds the address of a bitmap.
#![expect(unsafe_code, reason = "sends a structure that holds an address")]

use std::os::fd::AsFd;

use super::{Guarded, KVM_GET_DIRTY_LOG, Refused, Vm, raw};

impl Vm {
    /// KVM_GET_DIRTY_LOG with a bitmap of `length` bytes, behind which an inaccessible page begins.
    #[track_caller]
    pub fn get_dirty_log(&self, slot: u32, length: usize) -> Result<Vec<u8>, Refused> {
        let bitmap = Guarded::zeroed(length);
        let mut request = Guarded::zeroed(KVM_GET_DIRTY_LOG.size());
        request.put(0, &slot);
        request.put(8, &bitmap.address());
        // SAFETY: the bitmap outlives the call, after which the kernel forgets its address, and nothing refers to it meanwhile.
        unsafe { raw::send_holding_address(self.as_fd(), KVM_GET_DIRTY_LOG, &mut request) }
            .map_err(Refused::of(KVM_GET_DIRTY_LOG.name))?;
        Ok(bitmap.bytes().to_vec())
    }
}
