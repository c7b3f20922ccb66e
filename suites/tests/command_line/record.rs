//! What a run leaves behind: the record in every format, all of one mind.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use reports::{Entry, Run, Verdict, formats};

use crate::assay::{AREA, ASSAY, PATH, Said, assay, assay_to, is_able, json, run, status_of, usable, whole};

#[test]
fn it_is_there_in_every_format() {
    let Some((said, out)) = whole() else { return };
    assert_eq!((said.status, said.err.as_str()), (Some(status_of(&run(out.path()))), ""), "{}", said.out);
    let found: BTreeSet<_> = fs::read_dir(out.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let expected = ["journal.jsonl", "junit.xml", "run.html", "run.json", "run.ktap", "run.md", "run.txt"];
    assert_eq!(found, expected.map(str::to_owned).into());
    assert!(said.out.contains(&format!("The record is in {}, as run.json", out.path().display())));
}

#[test]
fn it_validates() {
    let Some((_, out)) = whole() else { return };
    let schema = serde_json::from_str(reports::SCHEMA).unwrap();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let record = json(out.path());
    let errors: Vec<_> = validator.iter_errors(&record).map(|error| error.to_string()).collect();
    assert_eq!(errors, Vec::<String>::new());
}

#[test]
fn every_claim_is_in_it_once() {
    let Some((said, out)) = whole() else { return };
    let listed = assay(["list", "--names", AREA]);
    let names: Vec<_> = listed.printed().lines().collect();
    let record = run(out.path());
    let entries: Vec<_> = record.claims.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(entries, names);
    let told =
        |line: &&str| line.split_whitespace().next().is_some_and(|word| Verdict::from_name(word).is_some());
    let mut told: Vec<_> = said
        .out
        .lines()
        .take(names.len())
        .filter(told)
        .map(|line| line.split(": ").next().unwrap())
        .collect();
    told.sort_by_key(|line| line.split_whitespace().nth(1));
    let expected: Vec<_> =
        record.claims.iter().map(|entry| format!("{:<9} {}", entry.verdict, entry.name)).collect();
    assert_eq!(told, expected);
}

#[test]
fn its_files_are_of_one_mind() {
    let Some((_, out)) = whole() else { return };
    let record = run(out.path().join("run.json"));
    assert_eq!(run(out.path().join("journal.jsonl")), record);
    for (format, file) in formats().into_iter().filter_map(|format| Some((format, format.file?))) {
        let mut text = Vec::new();
        (format.write)(&record, &mut text).unwrap();
        assert!(fs::read(out.path().join(file)).unwrap() == text, "{file}");
    }
    let text = |file| fs::read_to_string(out.path().join(file)).unwrap();
    let (claims, count) = (record.claims.len(), |verdict| record.totals[&verdict]);
    assert!(text("run.txt").contains(&format!("\n{claims} claims: {} pass", count(Verdict::Pass))));
    assert!(text("junit.xml").contains(&format!(" tests=\"{claims}\" ")));
    let bad = |entry: &&Entry| entry.is_failure() || entry.verdict == Verdict::Fault;
    let not_ok = text("run.ktap").lines().filter(|line| line.starts_with("  not ok ")).count();
    assert_eq!(not_ok, record.claims.iter().filter(bad).count());
    let skipped = text("run.ktap")
        .lines()
        .filter(|line| line.starts_with("  ok ") && line.contains(" # SKIP "))
        .count();
    assert_eq!(skipped, count(Verdict::Skip));
    assert!(text("run.md").contains(&format!(
        "\n| {} | {} | {} |",
        count(Verdict::Pass),
        count(Verdict::Fail),
        count(Verdict::Skip)
    )));
}

#[test]
fn the_same_seed_makes_the_same_cases() {
    if !usable() {
        return;
    }
    let tried = |seed: &str| {
        let (said, out) = assay_to(&format!("run system/get_ --budget 0 --seed {seed}"));
        let record = run(out.path());
        assert_eq!(said.status, Some(status_of(&record)), "{}{}", said.out, said.err);
        record
    };
    let (decimal, hexadecimal) = (tried("42"), tried("0x2a"));
    let facts = |run: &Run| -> Vec<_> {
        run.claims
            .iter()
            .map(|entry| (entry.name.clone(), entry.verdict, entry.cases, entry.reached))
            .collect()
    };
    assert_eq!(facts(&decimal), facts(&hexadecimal));
}

#[test]
fn a_host_that_can_show_none_of_them_is_told_so() {
    if !usable() {
        return;
    }
    let (said, out) = assay_to("run system::trace_commands::are_stubs");
    match run(out.path()).claims[0].verdict {
        Verdict::Skip => assert_eq!(
            said.sentence(4),
            "this host can show none of these claims: the record says what each needs, assay host what there is"
        ),
        _ => eprintln!("not tested: this kernel is older than 6.2"),
    }
}

/// A kernel that claims to be old is tried for what old ones do, which a new one does not.
#[test]
fn a_claim_that_fails_is_status_1_with_a_witness() {
    let old = ["setarch", "x86_64", "--uname-2.6"];
    if !usable() || !is_able(&old) {
        return;
    }
    let out = tempfile::tempdir().unwrap();
    let mut command = Command::new(old[0]);
    command
        .args(&old[1..])
        .args([ASSAY, "run", "system::trace_commands::are_stubs", "--out"])
        .arg(out.path());
    let said = Said::of(&command.output().unwrap());
    if said.status == Some(0) {
        eprintln!("not tested: this kernel is older than 6.2");
        return;
    }
    assert_eq!((said.status, said.err.as_str()), (Some(1), ""), "{}", said.out);
    assert!(said.out.contains("fail      system::trace_commands::are_stubs: "), "{}", said.out);
    let witness = run(out.path()).claims[0].witness.clone().unwrap();
    assert_eq!(witness.replay, "assay replay system::trace_commands::are_stubs");
    let mut command = Command::new(old[0]);
    command.args(&old[1..]).args([ASSAY, "replay", "system::trace_commands::are_stubs"]);
    let replayed = Said::of(&command.output().unwrap());
    assert_eq!(replayed.status, Some(1));
    assert!(replayed.out.starts_with("FAIL  system::trace_commands::are_stubs\n"), "{}", replayed.out);
}

#[test]
fn it_streams_as_lines_of_json() {
    if !usable() {
        return;
    }
    let (said, out) = assay_to(&format!("run {PATH} --budget 0 --format jsonl"));
    assert_eq!(said.printed(), fs::read_to_string(out.path().join("journal.jsonl")).unwrap());
    assert!(said.out.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
    assert_eq!(run(out.path()).claims.len(), said.out.matches("{\"entry\":").count());
}
