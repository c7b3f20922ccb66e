//! The machines that a command names: kernels, each on one processor or on several.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::Arguments;
use crate::cli::status::{Complaint, say};
use crate::lab::{Cpu, Kernel, Sources};

/// A kernel as it is named on the command line: `K`, or `K@CPU` for this kernel on that processor alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    spec: String,
    cpu: Option<Cpu>,
}

/// One kernel on one processor.
pub(super) struct Machine {
    /// What it is called in the matrix, and its directory.
    pub(super) name: String,
    pub(super) kernel: Kernel,
    pub(super) cpu: Cpu,
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let whole = || Self { spec: text.to_owned(), cpu: None };
        match text.rsplit_once('@') {
            // An at sign may as well be part of a path.
            Some(_) if Path::new(text).exists() => Ok(whole()),
            Some((spec, cpu)) => Ok(Self { spec: spec.to_owned(), cpu: Some(cpu.parse()?) }),
            None => Ok(whole()),
        }
    }
}

impl Named {
    /// A kernel on whatever processors are asked for.
    pub(super) fn plain(spec: &str) -> Self {
        Self { spec: spec.to_owned(), cpu: None }
    }
}

/// The machines that are named, each once.
pub(super) fn machines(arguments: &Arguments) -> Result<Vec<Machine>, Complaint> {
    let sources = Sources { suites: arguments.suite.clone(), cache: cache() };
    let mut machines: Vec<Machine> = Vec::new();
    for Named { spec, cpu } in &arguments.kernel {
        let kernel = Kernel::find(spec, &sources, &|doing| say(doing)).map_err(Complaint::unusable)?;
        let cpus = cpu.map_or_else(|| arguments.cpu.clone(), |cpu| vec![cpu]);
        for cpu in cpus {
            let is_known = |other: &Machine| other.kernel.image == kernel.image && other.cpu == cpu;
            if !machines.iter().any(is_known) {
                let name = free_name(&kernel.release, cpu, &machines);
                machines.push(Machine { name, kernel: kernel.clone(), cpu });
            }
        }
    }
    Ok(machines)
}

/// The release and the processor, and a number where another build calls itself the same.
fn free_name(release: &str, cpu: Cpu, machines: &[Machine]) -> String {
    let name = match cpu {
        Cpu::Amd => release.to_owned(),
        cpu => format!("{release} on {cpu}"),
    };
    let alike = machines.iter().filter(|other| other.kernel.release == release && other.cpu == cpu).count();
    if alike == 0 { name } else { format!("{name}~{}", alike + 1) }
}

/// Where packages are kept.
pub(super) fn cache() -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let caches =
        std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute()).or_else(home);
    caches.unwrap_or_else(std::env::temp_dir).join("assay")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_may_have_a_processor_of_its_own() {
        let named = |text: &str| text.parse::<Named>();
        assert_eq!(named("debian:6.12").unwrap(), Named::plain("debian:6.12"));
        let own = named("debian:6.12@core2_penryn_t9600").unwrap();
        assert_eq!(
            (own.spec.as_str(), own.cpu.unwrap().to_string()),
            ("debian:6.12", "core2_penryn_t9600".into())
        );
        assert!(named("debian:6.12@8086").unwrap_err().contains("write amd"));
    }
}
