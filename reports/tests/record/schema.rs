//! `run.schema.json` describes all that is written, and nothing else.

use jsonschema::Validator;
use reports::{Run, SCHEMA, Verdict};
use rstest::rstest;
use serde_json::{Value, json};

use crate::coverage;
use crate::fixture::{self, entry};
use crate::formats::rendered;

fn schema() -> Validator {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    jsonschema::draft202012::meta::validate(&schema).unwrap();
    jsonschema::draft202012::new(&schema).unwrap()
}

#[rstest]
#[case::every_verdict(fixture::run())]
#[case::hostile(fixture::hostile())]
#[case::answers(coverage::recorded())]
#[case::nothing(Run::new(Default::default(), Vec::new(), Vec::new()))]
fn what_is_written_is_described(#[case] run: Run) {
    let written: Value = serde_json::from_str(&rendered("json", &run)).unwrap();
    let errors: Vec<_> = schema().iter_errors(&written).map(|error| error.to_string()).collect();
    assert_eq!(errors, Vec::<String>::new());
}

#[rstest]
#[case::a_later_format("/format", json!(2))]
#[case::no_such_verdict("/claims/0/verdict", json!("maybe"))]
#[case::a_missing_total("/totals", json!({"pass": 1}))]
#[case::a_negative_count("/claims/0/cases", json!(-1))]
#[case::no_such_answer("/claims/0/answers", json!({"commands": {"vm": {"KVM_NMI": ["perhaps"]}}}))]
#[case::no_such_descriptor("/claims/0/answers", json!({"commands": {"disk": {"KVM_NMI": ["ok"]}}}))]
#[case::a_field_that_is_not_described("/host/cpu", json!({"vendor": "", "model": "", "online": 1, "cores": 1}))]
fn what_is_wrong_is_refused(#[case] pointer: &str, #[case] value: Value) {
    let run = Run::new(fixture::host(), vec![entry("a::b", Verdict::Pass)], Vec::new());
    let mut written = serde_json::to_value(run).unwrap();
    match written.pointer_mut(pointer) {
        Some(place) => *place = value,
        // A claim that asked nothing has no answers.
        None => written["claims"][0]["answers"] = value,
    }
    assert!(!schema().is_valid(&written));
}
