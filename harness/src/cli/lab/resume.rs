//! `--resume`: what an earlier run of the lab found out about a machine is kept, and only the rest is tried.

use std::collections::BTreeSet;
use std::path::Path;

use reports::{
    Entry, Host, Known, LoadError, Run, Verdict, host_changes, is_of_an_unfinished_journal, is_still_known,
    settle,
};

use super::Arguments;
use super::machines::Machine;
use super::side_by_side::LEFT_OUT;
use crate::Claim;

/// Why a record cannot be gone on with; each completes "cannot …".
#[derive(Debug, thiserror::Error)]
pub(super) enum ResumeError {
    /// It cannot be read.
    #[error("go on with an earlier run: cannot {0}")]
    Unreadable(#[from] LoadError),
    /// It is another machine's.
    #[error(
        "go on with the record in {place}: it is another machine's ({difference}); leave out --resume, or name another \
         directory with --out"
    )]
    OtherMachine {
        /// Where the record is.
        place: String,
        /// What differs first.
        difference: String,
    },
}

/// What the record in `out` says of these claims, held against today's expectations; none where there is no record. What says nothing
/// of its claim, or what today's expectations do not say any more, is left out, so that it is tried again.
pub(super) fn earlier(
    out: &Path,
    claims: &[&'static Claim],
    known: &[Known],
) -> Result<Option<Run>, ResumeError> {
    let Run { host, claims: entries, mut notes, .. } = match Run::load(out) {
        Ok(run) => run,
        Err(LoadError::Missing(_) | LoadError::Empty(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let asked: BTreeSet<_> = claims.iter().map(|claim| claim.name()).collect();
    let mut kept: Vec<_> = entries
        .into_iter()
        .filter(|entry| asked.contains(&entry.name) && is_kept(entry, known, &host))
        .collect();
    notes.retain(|note| !note.starts_with(LEFT_OUT) && !is_of_an_unfinished_journal(note));
    kept.iter_mut().for_each(|entry| settle(known, entry, &host));
    Ok(Some(Run::new(host, kept, notes)))
}

fn is_kept(entry: &Entry, known: &[Known], host: &Host) -> bool {
    match entry.verdict {
        Verdict::Fault | Verdict::Surprise => false,
        Verdict::Known => is_still_known(known, entry, host),
        _ => true,
    }
}

/// The claims that a record says nothing of.
pub(super) fn rest(claims: &[&'static Claim], earlier: Option<&Run>) -> Vec<&'static Claim> {
    let told: BTreeSet<_> =
        earlier.iter().flat_map(|run| &run.claims).map(|entry| entry.name.as_str()).collect();
    claims.iter().copied().filter(|claim| !told.contains(claim.name().as_str())).collect()
}

/// Whether the record in `out` can be of the machine that would be booted, as far as can be told before.
pub(super) fn may_be_of(
    out: &Path,
    earlier: &Host,
    machine: &Machine,
    emulator: &str,
    arguments: &Arguments,
) -> Result<(), ResumeError> {
    let differs =
        |difference: String| ResumeError::OtherMachine { place: out.display().to_string(), difference };
    let differing = |name: &str, before: &str, now: &str| differs(format!("{name}: {before} → {now}"));
    let version = machine.kernel.version().unwrap_or_default();
    if !version.ends_with(&earlier.build) {
        return Err(differing("build", &earlier.build, &version));
    }
    let was = earlier.emulator.as_deref().unwrap_or_default();
    if was != emulator {
        return Err(differing("emulator", was, emulator));
    }
    let words: Vec<_> = earlier.command_line.split_whitespace().collect();
    if let Some(word) = arguments.append.split_whitespace().find(|word| !words.contains(word)) {
        return Err(differs(format!("command line: {} has no {word}", earlier.command_line)));
    }
    for (module, parameter) in &arguments.module {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let was = earlier.parameters.get(module).and_then(|module| module.get(name));
        if was.is_some_and(|was| was != value) {
            return Err(differing(&format!("{module}.{name}"), was.map_or("", String::as_str), value));
        }
    }
    Ok(())
}

/// Whether the record in `out`, made on one host, can be gone on with on another.
pub(super) fn same_machine(out: &Path, earlier: &Host, now: &Host) -> Result<(), ResumeError> {
    match host_changes(earlier, now).into_iter().next() {
        None => Ok(()),
        Some(difference) => Err(ResumeError::OtherMachine { place: out.display().to_string(), difference }),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use reports::{Cpu, JOURNAL, Journal};

    use super::*;
    use crate::runner::blank;

    static CLAIM: Claim = Claim::planted("x::m", "stands");

    fn host(release: &str) -> Host {
        Host {
            release: release.to_owned(),
            cpu: Cpu { vendor: "AuthenticAMD".into(), model: "QEMU".into(), online: 1 },
            parameters: BTreeMap::new(),
            ..Host::default()
        }
    }

    fn with(verdict: Verdict) -> tempfile::TempDir {
        let out = tempfile::tempdir().unwrap();
        let mut journal = Journal::create(out.path().join(JOURNAL), &host("6.12.1")).unwrap();
        let asked = blank(&CLAIM, verdict);
        let other = Entry { name: "system::asked_by_nobody".to_owned(), ..asked.clone() };
        for entry in [asked, other] {
            journal.append(&entry).unwrap();
        }
        journal.note(&format!("{LEFT_OUT}much")).unwrap();
        journal.note("the kernel complained").unwrap();
        out
    }

    #[test]
    fn what_was_said_is_kept_and_the_rest_is_tried() {
        let out = with(Verdict::Pass);
        let run = earlier(out.path(), &[&CLAIM], &[]).unwrap().unwrap();
        assert_eq!(run.claims.len(), 1, "what is not asked for is left out");
        assert_eq!(run.notes, ["the kernel complained"]);
        assert!(rest(&[&CLAIM], Some(&run)).is_empty());
        assert_eq!(rest(&[&CLAIM], None).len(), 1);
    }

    #[test]
    fn what_says_nothing_any_more_is_tried_again() {
        for verdict in [Verdict::Fault, Verdict::Surprise, Verdict::Known] {
            let out = with(verdict);
            let run = earlier(out.path(), &[&CLAIM], &[]).unwrap().unwrap();
            assert_eq!((run.claims.len(), rest(&[&CLAIM], Some(&run)).len()), (0, 1), "{verdict}");
        }
    }

    #[test]
    fn what_is_known_stays_so_while_an_expectation_says_it() {
        let text = "[[known]]\nhost = {}\nverdict = \"fail\"\nwhy = \"so\"\nlink = \"here\"\nseen.\"x::m::stands\" = \"13\"\n";
        let known = Known::parse("a.toml", &text.replace("x::m::stands", &CLAIM.name())).unwrap();
        let out = tempfile::tempdir().unwrap();
        let mut journal = Journal::create(out.path().join(JOURNAL), &host("6.12.1")).unwrap();
        journal.append(&Entry { why: Some("saw 13".into()), ..blank(&CLAIM, Verdict::Known) }).unwrap();
        assert_eq!(earlier(out.path(), &[&CLAIM], &known).unwrap().unwrap().claims.len(), 1);
    }

    #[test]
    fn where_there_is_no_record_all_is_tried() {
        let out = tempfile::tempdir().unwrap();
        assert!(earlier(out.path(), &[&CLAIM], &[]).unwrap().is_none());
        assert!(earlier(&out.path().join("nowhere"), &[&CLAIM], &[]).unwrap().is_none());
    }

    #[test]
    fn another_machines_record_is_not_gone_on_with() {
        let out = Path::new("records");
        assert!(same_machine(out, &host("6.12.1"), &host("6.12.1")).is_ok());
        let error = same_machine(out, &host("6.12.1"), &host("6.12.2")).unwrap_err().to_string();
        assert!(error.contains("records: it is another machine's (release: 6.12.1 → 6.12.2)"), "{error}");
    }
}
