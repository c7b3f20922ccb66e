//! Files of expectations are read strictly: an expectation that does not say everything hides a failure.

use std::collections::BTreeMap;

use reports::{HostMatch, KernelRange, Known, Verdict, unknown_claims};
use rstest::rstest;

use crate::fixture;

const WHOLE: &str = r#"
# The list is copied first.
[[known]]
host = { module = "kvm_pvm", kernel = ">=6.1, <6.13", emulated = true, cpu = "epyc", parameters = { "kvm.tdp_mmu" = "N" } }
verdict = "fail"
why = "the list is copied before its length is looked at"
link = "api.rst 4.3"

[known.seen]
"system::msr_list::one_less_is_e2big" = "EINVAL"
"system::msr_list::none_is_e2big" = "ENOMEM"
"#;

#[test]
fn an_expectation_is_read() {
    let one_less = Known {
        claim: "system::msr_list::one_less_is_e2big".to_owned(),
        host: HostMatch {
            module: Some("kvm_pvm".to_owned()),
            kernel: Some(KernelRange::parse(">=6.1, <6.13").unwrap()),
            emulated: Some(true),
            cpu: Some("epyc".to_owned()),
            emulator: None,
            parameters: BTreeMap::from([("kvm.tdp_mmu".to_owned(), "N".to_owned())]),
        },
        verdict: Verdict::Fail,
        seen: "EINVAL".to_owned(),
        why: "the list is copied before its length is looked at".to_owned(),
        link: "api.rst 4.3".to_owned(),
        sometimes: false,
        at: "pvm.toml:10".to_owned(),
    };
    let none = Known {
        claim: "system::msr_list::none_is_e2big".to_owned(),
        seen: "ENOMEM".to_owned(),
        at: "pvm.toml:11".to_owned(),
        ..one_less.clone()
    };
    assert_eq!(Known::parse("pvm.toml", WHOLE).unwrap(), [none, one_less]);
    assert_eq!(Known::parse("pvm.toml", "# none yet\n").unwrap(), []);
}

const SHAPE: &str = "; write [[known]] with host, verdict, why, link and a table seen of claims and values, and in host any of module, kernel, emulated, cpu, emulator and parameters";

#[rstest]
#[case::no_link("link = \"api.rst 4.3\"\n", "", &format!("pvm.toml:3: missing field `link`{SHAPE}"))]
#[case::no_host(
    "host = { module = \"kvm_pvm\", kernel = \">=6.1, <6.13\", emulated = true, cpu = \"epyc\", parameters = { \"kvm.tdp_mmu\" = \"N\" } }\n",
    "",
    &format!("pvm.toml:3: missing field `host`{SHAPE}")
)]
#[case::unknown_field(
    "link =",
    "links =",
    &format!("pvm.toml:7: unknown field `links`, expected one of `host`, `verdict`, `seen`, `why`, `link`, `sometimes`{SHAPE}")
)]
#[case::unknown_host_field(
    "module =",
    "driver =",
    &format!("pvm.toml:4: unknown field `driver`, expected one of `module`, `kernel`, `emulated`, `cpu`, `emulator`, `parameters`{SHAPE}")
)]
#[case::empty_seen(
    "\"EINVAL\"",
    "\" \"",
    "pvm.toml:10: what is seen is empty; write the value, so that any other is still a failure"
)]
#[case::nothing_seen(
    "\"system::msr_list::one_less_is_e2big\" = \"EINVAL\"\n\"system::msr_list::none_is_e2big\" = \"ENOMEM\"\n",
    "",
    "pvm.toml:9: seen is empty; write \"a claim's name\" = \"the value that it sees\" below [known.seen]"
)]
#[case::parameter(
    "kvm.tdp_mmu",
    "tdp_mmu",
    "pvm.toml:4: `tdp_mmu` names no module's parameter; write it as in kvm_intel.ept"
)]
#[case::empty_module(
    "\"kvm_pvm\"",
    "\"\"",
    "pvm.toml:4: module is empty; write the name of a module such as kvm_amd, or leave it out"
)]
#[case::verdict("\"fail\"", "\"skip\"", "pvm.toml:5: verdict is `skip`; write fail, crash or hang")]
#[case::no_verdict("\"fail\"", "\"bad\"", "pvm.toml:5: verdict is `bad`; write fail, crash or hang")]
#[case::kernel(
    ">=6.1, <6.13",
    "6.1",
    "pvm.toml:4: cannot understand the kernel range `6.1`: write bounds such as >=6.1, <6.13 (also >, <= and =)"
)]
fn what_is_missing_or_wrong_is_said(#[case] from: &str, #[case] to: &str, #[case] expected: &str) {
    assert!(WHOLE.contains(from));
    let error = Known::parse("pvm.toml", &WHOLE.replace(from, to)).unwrap_err();
    assert_eq!(format!("cannot {error}"), format!("cannot read {expected}"));
}

#[test]
fn what_is_not_toml_is_said_with_its_line() {
    let error = Known::parse("pvm.toml", "\n\n[[known\n").unwrap_err().to_string();
    assert!(error.starts_with("read pvm.toml:3: "), "{error}");
}

#[rstest]
#[case::any_host("", true)]
#[case::module("module = \"kvm_amd\"", true)]
#[case::other_module("module = \"kvm\"", false)]
#[case::kernel("kernel = \"=6.12\"", true)]
#[case::other_kernel("kernel = \"<6.12\"", false)]
#[case::emulated("emulated = true", true)]
#[case::not_emulated("emulated = false", false)]
#[case::vendor("cpu = \"AuthenticAMD\"", true)]
#[case::model("cpu = \"epyc\"", true)]
#[case::other_cpu("cpu = \"Xeon\"", false)]
#[case::parameter("parameters = { \"kvm_amd.nested\" = \"1\" }", true)]
#[case::other_value("parameters = { \"kvm_amd.nested\" = \"0\" }", false)]
#[case::other_parameter("parameters = { \"kvm_intel.nested\" = \"1\" }", false)]
#[case::all_must_hold("module = \"kvm_amd\", emulated = false", false)]
fn hosts_are_matched(#[case] host: &str, #[case] expected: bool) {
    let text =
        format!("[[known]]\nhost={{ {host} }}\nverdict='fail'\nwhy='a'\nlink='a'\nseen={{ a = 'a' }}\n");
    let [known] = &*Known::parse("a.toml", &text).unwrap() else { panic!("one expectation") };
    assert_eq!(known.host.matches(&fixture::host()), expected);
}

#[test]
fn expectations_of_no_claim_are_found() {
    let known = Known::parse("pvm.toml", WHOLE).unwrap();
    let both = ["system::msr_list::one_less_is_e2big", "system::msr_list::none_is_e2big"];
    assert_eq!(unknown_claims(&known, both), Vec::<&Known>::new());
    assert_eq!(unknown_claims(&known, ["system::msr_list::one_less"]), known.iter().collect::<Vec<_>>());
}
