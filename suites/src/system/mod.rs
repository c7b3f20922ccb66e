//! Claims about the system descriptor, `/dev/kvm`.

mod get_api_version;
