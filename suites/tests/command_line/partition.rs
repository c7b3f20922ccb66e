//! A run that is split over several machines, and one record of its parts.

use std::ffi::OsString;

use reports::Run;

use crate::assay::{AREA, Said, assay, command, run, usable, whole};

/// How many parts there are.
const PARTS: usize = 8;

#[test]
fn eight_parts_make_the_run_in_one() {
    let Some((_, one)) = whole() else { return };
    let out = tempfile::tempdir().unwrap();
    let directory = |number: usize| out.path().join(number.to_string());
    for number in 1..=PARTS {
        let part = format!("{number}/{PARTS}");
        let told = assay([
            OsString::from("run"),
            AREA.into(),
            "--budget".into(),
            "0".into(),
            "--partition".into(),
            part.into(),
            "--out".into(),
            directory(number).into(),
        ]);
        assert!(matches!(told.status, Some(0 | 1)), "{}{}", told.out, told.err);
    }
    let merged = out.path().join("merged.json");
    let report = |parts: std::ops::RangeInclusive<usize>| {
        let mut arguments: Vec<OsString> = vec!["report".into(), "--format".into(), "json".into()];
        arguments.extend(parts.map(|number| directory(number).into()));
        arguments.extend(["--out".into(), merged.clone().into()]);
        assay(arguments)
    };
    report(1..=PARTS).printed();
    let told = |run: &Run| -> Vec<_> {
        run.claims.iter().map(|entry| (entry.name.clone(), entry.verdict)).collect()
    };
    assert_eq!(told(&run(&merged)), told(&run(one.path())));
    assert_eq!(run(&merged).part, None);
    let said = report(1..=PARTS - 1);
    assert_eq!(said.sentence(2), "cannot merge: part 8 of 8 is missing; name its record too");
}

#[test]
fn a_job_of_an_array_takes_its_part_from_its_variables() {
    if !usable() {
        return;
    }
    let out = tempfile::tempdir().unwrap();
    let mut job = command(["run", AREA, "--budget", "0", "--partition", "auto", "--out"]);
    job.arg(out.path()).env("SLURM_ARRAY_TASK_ID", "4").env("SLURM_ARRAY_TASK_MIN", "1");
    let told = Said::of(&job.env("SLURM_ARRAY_TASK_COUNT", "4").output().unwrap());
    assert!(matches!(told.status, Some(0 | 1)), "{}{}", told.out, told.err);
    let part = run(out.path()).part.unwrap();
    assert_eq!((part.number, part.of), (4, 4));
}

#[test]
fn what_is_no_part_is_refused() {
    for part in ["0/8", "9/8", "eight"] {
        let told = assay(["run", "--partition", part]);
        assert_eq!(told.status, Some(2), "{}", told.err);
        assert!(told.err.contains("write K/N with K from 1 to N"), "{}", told.err);
    }
}
