//! The host as people read it: one line, or one line for each fact.

use crate::{Cpu, Host, plain};

impl Host {
    /// The host in one line: kernel, module, processor, and whether guests are emulated.
    pub fn summary(&self) -> String {
        let module = self.module.as_deref().unwrap_or("no KVM");
        let guests = match (&self.emulator, self.emulated) {
            (Some(emulator), _) => format!("emulated by {emulator}"),
            (None, true) => "guests emulated".to_owned(),
            (None, false) => "guests on the processor".to_owned(),
        };
        let release = if self.release.is_empty() { "of unknown release" } else { &self.release };
        let line = format!("Linux {release}, {module}, {}, {guests}", cpu(&self.cpu));
        plain::clipped(&plain::one_line(&line), plain::LONG)
    }

    /// The facts by name, those that are known.
    pub(crate) fn facts(&self) -> Vec<(&'static str, String)> {
        let api = self.api_version.map(|version| version.to_string());
        let guests = if self.emulated { "run by an emulator" } else { "run by the processor" };
        let facts = [
            ("release", self.release.clone()),
            ("build", self.build.clone()),
            ("command line", self.command_line.clone()),
            ("module", self.module.clone().unwrap_or_else(|| "none: this host has no KVM".to_owned())),
            ("parameters", self.parameter_count()),
            ("api version", api.unwrap_or_default()),
            ("capabilities", self.capability_count()),
            ("cpu", cpu(&self.cpu)),
            ("hypervisor", self.hypervisor.clone().unwrap_or_default()),
            ("guests", guests.to_owned()),
            ("emulator", self.emulator.clone().unwrap_or_default()),
        ];
        let facts = facts
            .into_iter()
            .map(|(name, fact)| (name, plain::clipped(&plain::one_line(&fact), plain::LONG)));
        facts.filter(|(_, fact)| !fact.is_empty()).collect()
    }

    fn parameter_count(&self) -> String {
        match self.parameters.values().map(std::collections::BTreeMap::len).sum::<usize>() {
            0 => String::new(),
            count => format!("{count}, listed in run.json"),
        }
    }

    fn capability_count(&self) -> String {
        match self.capabilities.len() {
            0 => String::new(),
            count => format!("{count}, listed in run.json"),
        }
    }
}

fn cpu(cpu: &Cpu) -> String {
    match (cpu.model.is_empty(), cpu.vendor.is_empty()) {
        (true, true) => "unknown processor".to_owned(),
        (true, false) => cpu.vendor.clone(),
        (false, true) => cpu.model.clone(),
        (false, false) => format!("{} ({})", cpu.model, cpu.vendor),
    }
}
