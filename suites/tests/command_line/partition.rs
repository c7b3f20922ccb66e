//! A run that is split over several machines, and one record of its parts.

use std::ffi::OsString;
use std::process::Command;

use reports::Run;

use crate::assay::{AREA, ASSAY, PATH, Said, assay, command, run, usable, whole};

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
    // The parts asked the kernel together what the whole did.
    let asked = |run: &Run| -> Vec<_> {
        run.claims.iter().map(|entry| (entry.name.clone(), entry.answers.commands.clone())).collect()
    };
    assert_eq!(asked(&run(&merged)), asked(&run(one.path())));
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

const SLURM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scale/slurm.sh");
const KUBERNETES: &str = include_str!("../../scale/kubernetes.yaml");
const ACTIONS: &str = include_str!("../../scale/actions.yaml");

/// What stands behind `before` in a text, to the end of what `is_part` takes.
fn behind(text: &str, before: &str, is_part: fn(char) -> bool) -> String {
    let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("no {before:?} in {text}"));
    rest.chars().take_while(|c| is_part(*c)).collect()
}

#[test]
fn the_script_for_slurm_makes_the_parts_of_one_run() {
    if !usable() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    for number in ["1", "2"] {
        let mut job = Command::new("bash");
        job.args([SLURM, PATH, "--budget", "0"]).current_dir(place.path()).env("ASSAY", ASSAY);
        job.env("SLURM_ARRAY_TASK_ID", number)
            .env("SLURM_ARRAY_TASK_MIN", "1")
            .env("SLURM_ARRAY_TASK_COUNT", "2");
        let said = Said::of(&job.output().unwrap());
        assert_eq!(said.status, Some(0), "{}{}", said.out, said.err);
    }
    let parts = place.path().join("assay-parts");
    let whole = assay(["report".as_ref(), parts.join("1").as_os_str(), parts.join("2").as_os_str()]);
    assert!(whole.printed().contains("Assay: no failure in "), "{}", whole.out);
}

#[test]
fn the_pods_of_the_job_for_kubernetes_are_as_many_as_its_parts() {
    let number = |before| behind(KUBERNETES, before, |c| c.is_ascii_digit());
    assert_eq!(number("  completions: "), number("--partition auto/"));
    if !usable() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let line = behind(KUBERNETES, "args: [\"", |c| c != '"');
    let line = line.replace("assay run", &format!("{ASSAY} run {PATH} --budget 0"));
    let line = line.replace("/out/", &format!("{}/", place.path().display()));
    let pod = Command::new("sh").args(["-c", &line]).env("JOB_COMPLETION_INDEX", "7").output().unwrap();
    assert_eq!(pod.status.code(), Some(0), "{}", String::from_utf8_lossy(&pod.stderr));
    assert_eq!(run(place.path().join("7")).part.unwrap().number, 8);
}

#[test]
fn the_jobs_of_the_workflow_are_as_many_as_its_parts() {
    let parts = behind(ACTIONS, "part: [", |c| c != ']');
    let of = behind(ACTIONS, "--partition ${{ matrix.part }}/", |c| c.is_ascii_digit());
    let numbers: Vec<_> = parts.split(", ").collect();
    let wanted: Vec<_> = (1..=of.parse::<usize>().unwrap()).map(|number| number.to_string()).collect();
    assert_eq!(numbers, wanted);
}
