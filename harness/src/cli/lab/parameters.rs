//! What modules are loaded with: `--module kvm.halt_poll_ns=0`.

use std::collections::BTreeMap;

/// Reads `MODULE.PARAMETER=VALUE`.
pub(super) fn parameter(text: &str) -> Result<(String, String), String> {
    let (module, rest) = text.split_once('.').unwrap_or_default();
    let is_name =
        |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
    if !is_name(module)
        || !is_name(rest.split('=').next().unwrap_or_default())
        || rest.contains(char::is_whitespace)
    {
        return Err(
            "a module's parameter is given as MODULE.PARAMETER=VALUE, such as kvm.halt_poll_ns=0".into()
        );
    }
    Ok((module.replace('-', "_"), rest.to_owned()))
}

/// The parameters of each module, as the kernel takes them.
pub(super) fn by_module(given: &[(String, String)]) -> BTreeMap<String, String> {
    let mut parameters: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (module, parameter) in given {
        parameters.entry(module.clone()).or_default().push(parameter);
    }
    parameters.into_iter().map(|(module, values)| (module, values.join(" "))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_and_gathered_by_module() {
        let given =
            ["kvm-amd.nested=1", "kvm.halt_poll_ns=0", "kvm_amd.npt=0"].map(|text| parameter(text).unwrap());
        let gathered = by_module(&given);
        assert_eq!(gathered["kvm_amd"], "nested=1 npt=0");
        assert_eq!(gathered["kvm"], "halt_poll_ns=0");
    }

    #[test]
    fn what_is_no_parameter_is_refused() {
        for text in ["", "kvm", "kvm.", ".x=1", "kvm.x=1 y", "k/vm.x=1"] {
            assert!(parameter(text).is_err(), "{text}");
        }
    }
}
