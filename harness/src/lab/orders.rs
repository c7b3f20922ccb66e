//! What the init of the lab is told to do: a file in its initramfs.

use std::collections::BTreeMap;
use std::time::Duration;

use reports::Known;
use serde::{Deserialize, Serialize};

/// Where the orders are.
pub(super) const ORDERS: &str = "/lab/orders.json";
/// Where the modules are, named `NN-name.ko` in the order in which they are loaded.
pub(super) const MODULES: &str = "/lab/modules";

/// What the init of the lab is told to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Orders {
    /// The names of the claims to try, in this order.
    pub(crate) claims: Vec<String>,
    /// Where generated inputs come from.
    pub(crate) seed: u64,
    /// How long generated cases of one claim are tried.
    pub(crate) budget: Duration,
    /// How long one case may take; measured in the machine where it is not given.
    pub(crate) clock: Option<Duration>,
    /// How much memory a claim may take, in bytes.
    pub(crate) memory: u64,
    /// The parameters that modules are loaded with, by the module's name.
    pub(crate) parameters: BTreeMap<String, String>,
    /// What emulates the machine, by its name and version: not every emulator shows itself inside.
    pub(crate) emulator: String,
    /// What is known to deviate, and where.
    pub(crate) known: Vec<Known>,
}

/// A module's name as the kernel has it, whatever its file is called.
pub(super) fn module_name(name: &str) -> String {
    name.replace('-', "_")
}

/// A module's file in the initramfs.
pub(super) fn module_path(index: usize, name: &str) -> String {
    format!("{}/{index:02}-{}.ko", MODULES.trim_start_matches('/'), module_name(name))
}

/// The module that a file in [`MODULES`] is.
pub(super) fn module_of(file: &str) -> Option<&str> {
    Some(file.strip_suffix(".ko")?.split_once('-')?.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &str = r#"
        [[known]]
        host = { kernel = ">=6.1, <6.13", emulator = "QEMU" }
        verdict = "hang"
        why = "it never ends"
        link = "api.rst 4.1"
        seen = { "system::a" = "nothing" }
    "#;

    #[test]
    fn orders_survive_the_way() {
        let orders = Orders {
            claims: vec!["system::a".into(), "vcpu::b".into()],
            seed: u64::MAX,
            budget: Duration::from_millis(50),
            clock: Some(Duration::from_secs(10)),
            memory: 640 << 20,
            parameters: [("kvm".to_owned(), "halt_poll_ns=0 ignore_msrs=1".to_owned())].into(),
            emulator: "QEMU 10.0".into(),
            known: Known::parse("own.toml", KNOWN).unwrap(),
        };
        let text = serde_json::to_string(&orders).unwrap();
        assert_eq!(serde_json::from_str::<Orders>(&text).unwrap(), orders);
    }

    #[test]
    fn modules_are_found_again_by_their_file() {
        assert_eq!(module_path(2, "kvm-amd"), "lab/modules/02-kvm_amd.ko");
        assert_eq!(module_of("02-kvm_amd.ko"), Some("kvm_amd"));
        assert_eq!(module_of("kvm_amd.ko.xz"), None);
    }
}
