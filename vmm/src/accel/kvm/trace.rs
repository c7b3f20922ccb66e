//! Every ioctl, by name and with its result, for whoever subscribes to `vmm::accel::kvm` at the level of traces.

use std::io;

use crate::accel::{AccelError, CpuError};

/// Tells of an ioctl, and hands its result on.
pub(super) fn told<T>(
    call: &'static str,
    result: Result<T, kvm_ioctls::Error>,
) -> Result<T, kvm_ioctls::Error> {
    match &result {
        Ok(_) => tracing::trace!(target: "vmm::accel::kvm", call, "done"),
        Err(error) => tracing::trace!(target: "vmm::accel::kvm", call, errno = error.errno(), "{error}"),
    }
    result
}

/// The same, as an error of the accel.
pub(super) fn of_accel<T>(call: &'static str, result: Result<T, kvm_ioctls::Error>) -> Result<T, AccelError> {
    told(call, result).map_err(|source| AccelError::Refused { call, source: io::Error::from(source) })
}

/// The same, as an error of a vCPU.
pub(super) fn of_cpu<T>(call: &'static str, result: Result<T, kvm_ioctls::Error>) -> Result<T, CpuError> {
    told(call, result).map_err(|source| CpuError::Refused { call, source: io::Error::from(source) })
}
