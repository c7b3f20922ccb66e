//! Claims about the system descriptor, `/dev/kvm`.

mod addresses;
mod arguments;
mod capability_masks;
mod capability_relations;
mod capability_values;
mod check_extension;
mod create_vm;
mod device_attributes;
mod get_api_version;
mod get_emulated_cpuid;
mod get_mce_cap_supported;
mod get_msr_feature_index_list;
mod get_msr_index_list;
mod get_msrs;
mod get_supported_cpuid;
mod get_supported_hv_cpuid;
mod get_vcpu_mmap_size;
mod lists;
mod msrs;
mod supported_cpuid_features;
mod supported_cpuid_leaves;
mod trace_commands;
