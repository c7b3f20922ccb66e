//! What differs between two hosts, because a claim that changed may have changed for that.

use std::collections::BTreeMap;

use crate::{Host, plain};

/// One line for each fact that differs: `release: 6.1.0 → 6.12.0`, `capability gained: KVM_CAP_X2APIC_API = 3`.
pub fn host_changes(before: &Host, after: &Host) -> Vec<String> {
    let mut lines = Vec::new();
    let mut fact = |name: &str, before: &str, after: &str| {
        if before != after {
            lines.push(format!("{name}: {} → {}", or_none(before), or_none(after)));
        }
    };
    let api = |host: &Host| host.api_version.map(|version| version.to_string()).unwrap_or_default();
    let guests = |host: &Host| if host.emulated { "emulated" } else { "on the processor" };
    fact("release", &before.release, &after.release);
    fact("build", &before.build, &after.build);
    fact("command line", &before.command_line, &after.command_line);
    fact("module", text(&before.module), text(&after.module));
    fact("api version", &api(before), &api(after));
    fact("cpu vendor", &before.cpu.vendor, &after.cpu.vendor);
    fact("cpu model", &before.cpu.model, &after.cpu.model);
    fact("cpus online", &before.cpu.online.to_string(), &after.cpu.online.to_string());
    fact("hypervisor", text(&before.hypervisor), text(&after.hypervisor));
    fact("guests", guests(before), guests(after));
    fact("emulator", text(&before.emulator), text(&after.emulator));
    lines.extend(map_changes("parameter", &parameters(before), &parameters(after)));
    lines.extend(map_changes("capability", &capabilities(before), &capabilities(after)));
    lines.iter().map(|line| plain::one_line(line)).collect()
}

fn text(fact: &Option<String>) -> &str {
    fact.as_deref().unwrap_or_default()
}

fn or_none(fact: &str) -> &str {
    if fact.is_empty() { "none" } else { fact }
}

fn parameters(host: &Host) -> BTreeMap<String, String> {
    let each = host.parameters.iter().flat_map(|(module, parameters)| {
        parameters.iter().map(move |(name, value)| (format!("{module}.{name}"), value.clone()))
    });
    each.collect()
}

fn capabilities(host: &Host) -> BTreeMap<String, String> {
    host.capabilities.iter().map(|(name, value)| (name.clone(), value.to_string())).collect()
}

fn map_changes(
    kind: &str,
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
) -> Vec<String> {
    let lost = before.iter().filter(|(name, _)| !after.contains_key(*name));
    let lost = lost.map(|(name, value)| format!("{kind} lost: {name} (was {value})"));
    let others = after.iter().filter_map(|(name, value)| match before.get(name) {
        None => Some(format!("{kind} gained: {name} = {value}")),
        Some(was) if was != value => Some(format!("{kind} changed: {name} = {was} → {value}")),
        Some(_) => None,
    });
    lost.chain(others).collect()
}
