//! `assay host`.

use serde_json::Value;

use crate::assay::{assay, json, usable, whole};

#[test]
fn it_is_told() {
    if !usable() {
        return;
    }
    let said = assay(["host"]);
    let release = rustix::system::uname().release().to_str().unwrap().to_owned();
    assert!(said.printed().starts_with(&format!("kernel       {release} ")), "{}", said.out);
    for fact in ["KVM", "API version", "processor", "guest code", "root", "32-bit entry", "in the lab"] {
        assert!(said.out.contains(&format!("\n{fact:<13}")), "{fact}: {}", said.out);
    }
    assert!(said.out.contains("\n  KVM_CAP_USER_MEMORY "), "{}", said.out);
}

#[test]
fn as_json_it_is_what_the_record_holds() {
    let Some((_, out)) = whole() else { return };
    let said = assay(["host", "--json"]);
    let host: Value = serde_json::from_str(said.printed()).unwrap();
    assert_eq!(host, json(out.path())["host"]);
}
