//! Files of expectations are read strictly: an expectation that does not say everything hides a failure.

use reports::{HostMatch, KernelRange, Known, Verdict, unknown_claims};
use rstest::rstest;

use crate::fixture;

const WHOLE: &str = r#"
# The list is copied first.
[[known]]
claim = "system::msr_list::one_less_is_e2big"
host = { module = "kvm_pvm", kernel = ">=6.1, <6.13", emulated = true, cpu = "epyc" }
verdict = "fail"
seen = "EINVAL"
why = "the list is copied before its length is looked at"
link = "api.rst 4.3"
"#;

#[test]
fn an_expectation_is_read() {
    let expected = Known {
        claim: "system::msr_list::one_less_is_e2big".to_owned(),
        host: HostMatch {
            module: Some("kvm_pvm".to_owned()),
            kernel: Some(KernelRange::parse(">=6.1, <6.13").unwrap()),
            emulated: Some(true),
            cpu: Some("epyc".to_owned()),
            emulator: None,
        },
        verdict: Verdict::Fail,
        seen: "EINVAL".to_owned(),
        why: "the list is copied before its length is looked at".to_owned(),
        link: "api.rst 4.3".to_owned(),
        at: "pvm.toml:3".to_owned(),
    };
    assert_eq!(Known::parse("pvm.toml", WHOLE).unwrap(), [expected]);
    assert_eq!(Known::parse("pvm.toml", "# none yet\n").unwrap(), []);
}

const SHAPE: &str = "; write [[known]] with claim, host, verdict, seen, why and link, and in host any of module, kernel, emulated, cpu and emulator";

#[rstest]
#[case::no_link("link = \"api.rst 4.3\"\n", "", &format!("pvm.toml:3: missing field `link`{SHAPE}"))]
#[case::no_host(
    "host = { module = \"kvm_pvm\", kernel = \">=6.1, <6.13\", emulated = true, cpu = \"epyc\" }\n",
    "",
    &format!("pvm.toml:3: missing field `host`{SHAPE}")
)]
#[case::unknown_field(
    "seen =",
    "saw =",
    &format!("pvm.toml:7: unknown field `saw`, expected one of `claim`, `host`, `verdict`, `seen`, `why`, `link`{SHAPE}")
)]
#[case::unknown_host_field(
    "module =",
    "driver =",
    &format!("pvm.toml:5: unknown field `driver`, expected one of `module`, `kernel`, `emulated`, `cpu`, `emulator`{SHAPE}")
)]
#[case::empty_seen(
    "\"EINVAL\"",
    "\" \"",
    "pvm.toml:7: seen is empty; write the value that is seen, so that any other is still a failure"
)]
#[case::empty_module(
    "\"kvm_pvm\"",
    "\"\"",
    "pvm.toml:5: module is empty; write the name of a module such as kvm_amd, or leave it out"
)]
#[case::verdict("\"fail\"", "\"skip\"", "pvm.toml:6: verdict is `skip`; write fail, crash or hang")]
#[case::no_verdict("\"fail\"", "\"bad\"", "pvm.toml:6: verdict is `bad`; write fail, crash or hang")]
#[case::kernel(
    ">=6.1, <6.13",
    "6.1",
    "pvm.toml:5: cannot understand the kernel range `6.1`: write bounds such as >=6.1, <6.13 (also >, <= and =)"
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
#[case::all_must_hold("module = \"kvm_amd\", emulated = false", false)]
fn hosts_are_matched(#[case] host: &str, #[case] expected: bool) {
    let text =
        format!("[[known]]\nclaim='a'\nhost={{ {host} }}\nverdict='fail'\nseen='a'\nwhy='a'\nlink='a'\n");
    let [known] = &*Known::parse("a.toml", &text).unwrap() else { panic!("one expectation") };
    assert_eq!(known.host.matches(&fixture::host()), expected);
}

#[test]
fn expectations_of_no_claim_are_found() {
    let known = Known::parse("pvm.toml", WHOLE).unwrap();
    assert_eq!(unknown_claims(&known, ["system::msr_list::one_less_is_e2big"]), Vec::<&Known>::new());
    assert_eq!(unknown_claims(&known, ["system::msr_list::one_less"]), known.iter().collect::<Vec<_>>());
}
