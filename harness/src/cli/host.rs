//! `assay host`: what this host's KVM is and has.

use std::fmt::Write;

use reports::Host;

use super::screen::Output;
use super::status::{Complaint, Ending};
use crate::Facts;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Where /dev/kvm cannot be used, it says why and what to do about it, with
status 4.")]
pub(super) struct Arguments {
    /// As JSON, in the form that run.json holds it in.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<Ending, Complaint> {
    let facts = Facts::probe();
    let output = Output::default();
    if arguments.json {
        let text = serde_json::to_string_pretty(&facts.host)
            .map_err(|error| Complaint::Fault(format!("cannot write the facts as JSON: {error}")))?;
        output.print(&format!("{text}\n"));
    } else {
        output.print(&told(&facts));
    }
    output.end()?;
    match facts.unusable {
        Some(why) => Err(Complaint::Nothing(why)),
        None => Ok(Ending::Held),
    }
}

fn told(facts: &Facts) -> String {
    let Host {
        release, build, module, api_version, cpu, hypervisor, emulated, parameters, capabilities, ..
    } = &facts.host;
    let yes = |fact| if fact { "yes" } else { "no" };
    let mut text = String::new();
    let _ = writeln!(text, "kernel       {release} {build}");
    let _ = writeln!(text, "KVM          {}", module.as_deref().unwrap_or("none"));
    if let Some(version) = api_version {
        let _ = writeln!(text, "API version  {version}");
    }
    let _ = writeln!(text, "processor    {} ({}), {} online", cpu.model, cpu.vendor, cpu.online);
    let _ = writeln!(text, "runs under   {}", hypervisor.as_deref().unwrap_or("no hypervisor"));
    let guests = match (module, emulated) {
        (None, _) => "none without KVM",
        (_, true) => "emulated",
        (_, false) => "run by the processor",
    };
    let _ = writeln!(text, "guest code   {guests}");
    let _ = writeln!(text, "root         {}", yes(facts.root));
    let _ = writeln!(text, "32-bit entry {}", yes(facts.compat32));
    let _ = writeln!(text, "in the lab   {}", yes(facts.lab));
    for (module, parameters) in parameters {
        let _ = writeln!(text, "\nparameters of {module}");
        for (name, value) in parameters {
            let _ = writeln!(text, "  {name:<32} {value}");
        }
    }
    let _ = writeln!(text, "\ncapabilities ({})", capabilities.len());
    for (name, answer) in capabilities {
        let _ = writeln!(text, "  {name:<40} {answer}");
    }
    text
}
