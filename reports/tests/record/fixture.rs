//! A small run with an entry for each verdict, and one in which every text is hostile.

use std::collections::BTreeMap;

use reports::{Cpu, Entry, Host, Run, Verdict, Witness};
use serde_json::json;

pub(crate) fn host() -> Host {
    let parameters = [("nested", "1"), ("npt", "Y")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    Host {
        release: "6.12.48-cloud-amd64".to_owned(),
        build: "#1 SMP PREEMPT_DYNAMIC".to_owned(),
        command_line: "console=ttyS0".to_owned(),
        module: Some("kvm_amd".to_owned()),
        parameters: BTreeMap::from([("kvm_amd".to_owned(), BTreeMap::from(parameters))]),
        api_version: Some(12),
        capabilities: BTreeMap::from([("KVM_CAP_NR_MEMSLOTS".to_owned(), 32764)]),
        cpu: Cpu { vendor: "AuthenticAMD".to_owned(), model: "AMD EPYC".to_owned(), online: 2 },
        hypervisor: None,
        emulated: true,
        emulator: None,
    }
}

pub(crate) fn entry(name: &str, verdict: Verdict) -> Entry {
    Entry {
        name: name.to_owned(),
        claim: format!("the claim of {name}"),
        verdict,
        why: None,
        witness: None,
        cases: 1,
        reached: 1,
        ms: 12.5,
        source: vec!["api.rst 4.1".to_owned()],
        notes: Vec::new(),
        answers: Default::default(),
    }
}

pub(crate) fn because(name: &str, verdict: Verdict, why: &str) -> Entry {
    Entry { why: Some(why.to_owned()), ..entry(name, verdict) }
}

pub(crate) fn saw(name: &str, verdict: Verdict, seen: &str) -> Entry {
    let witness = Witness {
        seen: Some(seen.to_owned()),
        replay: format!("assay replay {name} --seed 5eed"),
        ..Witness::default()
    };
    Entry { witness: Some(witness), ..because(name, verdict, "the answers differ") }
}

/// One entry for each verdict, and what the formats tell apart besides: skips of one reason, drift, notes.
pub(crate) fn run() -> Run {
    let nested = "needs KVM_CAP_NESTED_STATE, which is 0 here";
    let claims = vec![
        entry("system::api_version::is_twelve", Verdict::Pass),
        Entry {
            notes: vec!["left 2 descriptors open".to_owned()],
            ..entry("vm::create::is_a_descriptor", Verdict::Pass)
        },
        fail(),
        because("vcpu::nested_state::round_trips", Verdict::Skip, nested),
        because("vcpu::nested_state::refuses_a_short_buffer", Verdict::Skip, nested),
        because("lab::panics_are_told", Verdict::Skip, "needs the lab"),
        because("vm::irqchip::twice_is_eexist", Verdict::Known, "this KVM makes a second one (api.rst 4.24)"),
        because(
            "vm::pit2::speaker_reads_back",
            Verdict::Surprise,
            "it holds, and amd.toml:7 expects fail with 0x20: remove that expectation, or narrow its host",
        ),
        because("exits::shutdown::triple_fault_exits", Verdict::Crash, "its process died of SIGSEGV"),
        because(
            "exits::io::string_out_ends",
            Verdict::Hang,
            "no end after 20000 exits, the last KVM_EXIT_IO",
        ),
        because("devices::pit::channel_2_counts", Verdict::Fault, "cannot map guest memory: ENOMEM"),
        Entry {
            source: vec!["observed on 6.12".to_owned()],
            ..saw("vcpu::mp_state::begins_runnable", Verdict::Fail, "UNINITIALIZED")
        },
    ];
    Run::new(host(), claims, vec!["interrupted after 12 of 300 claims".to_owned()])
}

fn fail() -> Entry {
    let witness = Witness {
        input: Some(json!([{"rax": 1}, 7])),
        seed: Some("5eed".to_owned()),
        at: Some("suites/src/vcpu/regs.rs:14".to_owned()),
        expected: Some("rflags: 0x2".to_owned()),
        seen: Some("rflags: 0x202".to_owned()),
        detail: vec!["0x1000  out 0x10, al".to_owned(), "0x1002  hlt          <- rip".to_owned()],
        replay: "assay replay vcpu::regs::round_trip --seed 5eed".to_owned(),
    };
    Entry {
        claim: "KVM_GET_REGS returns what KVM_SET_REGS stored".to_owned(),
        cases: 64,
        reached: 60,
        witness: Some(witness),
        notes: vec!["tried again alone: the same".to_owned()],
        source: vec!["api.rst 4.11 KVM_GET_REGS".to_owned(), "d3802286fa0f".to_owned()],
        ..because("vcpu::regs::round_trip", Verdict::Fail, "what was stored is not what is returned")
    }
}

/// Text that every format has something against: escapes, controls, markup, protocol lines, mentions, no end.
pub(crate) const HOSTILE: &str = "a\u{1b}[31mred\u{0}\u{7} ]]> </details> <!-- | `` ``` @all #1 & \u{202e}\u{ffff}\"'\n\
    # Subtest: x\nKTAP version 1\n1..9\nnot ok 1 - # SKIP\r\n\n| \\|";

/// A run of which every text is hostile and some is very long.
pub(crate) fn hostile() -> Run {
    let long = format!("{HOSTILE} {}", "é".repeat(10_000));
    let claims = Verdict::ALL.map(|verdict| {
        let witness = Witness {
            input: Some(json!([long])),
            seed: Some(HOSTILE.to_owned()),
            at: Some(HOSTILE.to_owned()),
            expected: Some(HOSTILE.to_owned()),
            seen: Some(long.clone()),
            detail: vec![HOSTILE.to_owned(), String::new(), long.clone()],
            replay: HOSTILE.to_owned(),
        };
        Entry {
            name: format!("- {HOSTILE}::{verdict}"),
            claim: HOSTILE.to_owned(),
            verdict,
            why: Some(long.clone()),
            witness: Some(witness),
            cases: u64::MAX,
            reached: 0,
            ms: f64::MAX,
            source: vec![HOSTILE.to_owned(), String::new()],
            notes: vec![HOSTILE.to_owned()],
            answers: Default::default(),
        }
    });
    let host = Host {
        release: HOSTILE.to_owned(),
        command_line: long.clone(),
        module: Some(HOSTILE.to_owned()),
        ..host()
    };
    Run::new(host, claims.into(), vec![HOSTILE.to_owned(), long])
}
