//! The system's apt with a configuration of our own for each suite (apt.conf(5)), all of it below the cache.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use super::index::{Offer, Package, offers};
use super::sources::{self, Entry};
use crate::lab::{LabError, checksum, lock};

/// How long apt's lists of a suite are taken as they are.
pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What a suite offers, as it was read from apt's lists.
const INDEX: &str = "index.json";

/// apt, and what its owner told it about Debian.
pub(super) struct Apt {
    directory: PathBuf,
    entries: Vec<Entry>,
}

impl Apt {
    /// Finds apt and Debian's mirrors in its configuration.
    pub(super) fn new(cache: &Path) -> Result<Self, LabError> {
        let cache = std::path::absolute(cache).map_err(LabError::file("find", cache))?;
        if cache.as_os_str().as_encoded_bytes().iter().any(|byte| b"\"\n".contains(byte)) {
            let why = "apt takes no quote or line break in a path; name another cache".to_owned();
            return Err(LabError::Apt { what: cache.display().to_string(), why });
        }
        let arguments = ["shell", "LIST", "Dir::Etc::sourcelist/f", "PARTS", "Dir::Etc::sourceparts/d"];
        let text = run("its sources", Command::new("apt-config").args(arguments))?;
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix("='"));
            PathBuf::from(line.unwrap_or_default().trim_end_matches('\''))
        };
        let entries = sources::entries(&value("LIST"), &value("PARTS"))?;
        if entries.is_empty() {
            let why = "it is configured with no mirror of Debian; add one to its sources, or name a .deb file or a \
                       directory with vmlinuz and lib/modules"
                .to_owned();
            return Err(LabError::Apt { what: "its sources".into(), why });
        }
        Ok(Self { directory: cache.join("apt"), entries })
    }

    /// The suites that the system itself uses.
    pub(super) fn own_suites(&self) -> Vec<String> {
        sources::suites(&self.entries)
    }

    /// Where a suite can be asked for at all.
    pub(super) fn knows(&self, suite: &str) -> bool {
        sources::entry_for(&self.entries, suite).is_some()
    }

    /// Whether a suite need not be asked again: its lists are no older than this.
    pub(super) fn is_fresh(&self, suite: &str, age: Duration) -> bool {
        self.place(suite).is_ok_and(|place| is_younger(&place.join(INDEX), age))
    }

    /// What a suite offers, from lists that are no older than this, or from older ones where new ones cannot be had.
    pub(super) fn offers(&self, suite: &str, age: Duration) -> Result<Vec<Offer>, LabError> {
        let place = self.place(suite)?;
        let _lock = lock::exclusive(&place.join("lock"))?;
        let index = place.join(INDEX);
        let kept = || serde_json::from_slice::<Vec<Offer>>(&fs::read(&index).ok()?).ok();
        if is_younger(&index, age)
            && let Some(offers) = kept()
        {
            return Ok(offers);
        }
        match self.update(suite, &place) {
            Ok(offers) => {
                let text = serde_json::to_vec(&offers).unwrap_or_default();
                write_whole(&index, &text)?;
                Ok(offers)
            }
            Err(error) => kept().ok_or(error),
        }
    }

    fn update(&self, suite: &str, place: &Path) -> Result<Vec<Offer>, LabError> {
        let entry = sources::entry_for(&self.entries, suite).ok_or_else(|| LabError::Apt {
            what: suite.to_owned(),
            why: "it is configured with no mirror of Debian's security updates; add one to its sources"
                .into(),
        })?;
        for directory in ["lists/partial", "archives/partial", "parts"] {
            let path = place.join(directory);
            fs::create_dir_all(&path).map_err(LabError::file("write", &path))?;
        }
        write_whole(&place.join("suite.sources"), entry.with_suite(suite).as_bytes())?;
        write_whole(&place.join("status"), b"")?;
        write_whole(&place.join("apt.conf"), configuration(place).as_bytes())?;
        run(suite, self.command("apt-get", suite)?.arg("update"))?;
        Ok(offers(&run(suite, self.command("apt-cache", suite)?.arg("dumpavail"))?))
    }

    /// Downloads a package that a suite offers, and compares its checksum with the one in apt's signed lists.
    pub(super) fn download(&self, suite: &str, package: &Package) -> Result<PathBuf, LabError> {
        let failed = |why: String| LabError::Download {
            package: format!("{} {} from {suite}", package.name, package.version),
            why,
        };
        let place = self.place(suite)?;
        let _lock = lock::exclusive(&place.join("lock"))?;
        let archives = place.join("archives");
        let wanted = format!("{}={}", package.name, package.version);
        run(suite, self.command("apt-get", suite)?.args(["download", &wanted]).current_dir(&archives))
            .map_err(|error| match error {
                LabError::Apt { why, .. } => failed(why),
                other => other,
            })?;
        let version = package.version.replace(':', "%3a");
        let path = archives.join(format!("{}_{version}_amd64.deb", package.name));
        if checksum::sha256(&path)? != package.sha256 {
            fs::remove_file(&path).map_err(LabError::file("remove", &path))?;
            return Err(failed("what came is not what apt's lists promise; try again".into()));
        }
        Ok(path)
    }

    /// Downloads the package of this name that apt takes for the newest of a suite, whose checksum it compares itself.
    pub(super) fn download_newest(&self, suite: &str, name: &str) -> Result<PathBuf, LabError> {
        let place = self.place(suite)?;
        let _lock = lock::exclusive(&place.join("lock"))?;
        // By itself, so that what comes is known by being there.
        let directory = place.join("archives").join(name);
        fs::create_dir_all(&directory).map_err(LabError::file("write", &directory))?;
        run(suite, self.command("apt-get", suite)?.args(["download", name]).current_dir(&directory))?;
        let files = fs::read_dir(&directory).map_err(LabError::file("read", &directory))?;
        let mut debs = files.flatten().map(|entry| entry.path());
        debs.find(|path| path.extension().is_some_and(|extension| extension == "deb")).ok_or_else(|| {
            LabError::Download { package: name.to_owned(), why: "nothing came; try again".to_owned() }
        })
    }

    fn command(&self, program: &str, suite: &str) -> Result<Command, LabError> {
        let mut command = Command::new(program);
        command.arg("-c").arg(self.place(suite)?.join("apt.conf"));
        Ok(command)
    }

    fn place(&self, suite: &str) -> Result<PathBuf, LabError> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-/.".contains(c);
        if suite.is_empty() || suite.contains("..") || !suite.chars().all(is_plain) {
            let why = "that is no name of a suite; write one such as trixie-backports or sid".to_owned();
            return Err(LabError::Apt { what: suite.to_owned(), why });
        }
        Ok(self.directory.join(suite.replace('/', "_")))
    }
}

/// What differs from the system's configuration, of which proxies and the like are kept.
fn configuration(place: &Path) -> String {
    let place = place.display();
    // Hooks of the system's would act on the system's own lists and packages.
    format!(
        "#clear APT::Update;\n#clear DPkg;\n#clear APT::Default-Release;\n\
         APT::Architecture \"amd64\";\n#clear APT::Architectures;\nAPT::Architectures {{ \"amd64\"; }};\n\
         APT::Sandbox::User \"root\";\nAPT::Update::Error-Mode \"any\";\n\
         Dir::State \"{place}/\";\nDir::State::lists \"{place}/lists/\";\nDir::State::status \"{place}/status\";\n\
         Dir::Cache \"{place}/\";\nDir::Cache::archives \"{place}/archives/\";\n\
         Dir::Cache::pkgcache \"\";\nDir::Cache::srcpkgcache \"\";\n\
         Dir::Etc::sourcelist \"{place}/suite.sources\";\nDir::Etc::sourceparts \"{place}/parts/\";\n\
         Dir::Etc::preferences \"/dev/null\";\nDir::Etc::preferencesparts \"{place}/parts/\";\n\
         #clear Acquire::IndexTargets::deb::DEP-11;\n#clear Acquire::IndexTargets::deb::Contents-deb;\n\
         #clear Acquire::IndexTargets::deb::CNF;\n\
         Acquire::Languages \"none\";\nAcquire::PDiffs \"false\";\nAcquire::GzipIndexes \"true\";\n"
    )
}

/// Runs a tool of apt's and gives what it prints.
fn run(what: &str, command: &mut Command) -> Result<String, LabError> {
    let refused = |why: String| LabError::Apt { what: what.to_owned(), why };
    let output = command.env("LC_ALL", "C").stdin(Stdio::null()).output().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => refused(
            "apt is not installed here; name a .deb file or two with a comma between them, a directory with vmlinuz \
             and lib/modules, a tree that a kernel was built in, or host"
                .into(),
        ),
        _ => refused(format!("{} does not start: {error}", OsStr::display(command.get_program()))),
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(refused(explain(&String::from_utf8_lossy(&output.stderr))))
}

/// What apt said, with a cure where one is known.
fn explain(said: &str) -> String {
    let has = |mark: &str| said.contains(mark);
    let errors: Vec<_> =
        said.lines().filter_map(|line| line.strip_prefix("E: ").or(line.strip_prefix("W: "))).collect();
    let first = errors.first().map_or("it fails without a word", |line| line.trim_end_matches('.'));
    let cure = if has("NO_PUBKEY") || has("is not signed") || has("KEYEXPIRED") || has("EXPKEYSIG") {
        "; install a newer debian-archive-keyring, which has the keys of later releases"
    } else if has("does not have a Release file") {
        "; the mirror has no such suite (any more): name another with --suite"
    } else if has("Unable to locate package") || has("was not found") || has("404") {
        "; apt's lists are older than the mirror: try again"
    } else if has("Could not resolve") || has("Failed to fetch") || has("Unable to connect") {
        "; is the network there?"
    } else {
        ""
    };
    format!("{first}{cure}")
}

fn is_younger(path: &Path, age: Duration) -> bool {
    let written = fs::metadata(path).and_then(|metadata| metadata.modified());
    // A file from the future is as good as new.
    written.is_ok_and(|written| SystemTime::now().duration_since(written).unwrap_or_default() < age)
}

/// Writes a file that appears whole or not at all.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), LabError> {
    let draft = path.with_extension("draft");
    File::create(&draft)
        .and_then(|mut file| std::io::Write::write_all(&mut file, bytes))
        .and_then(|()| fs::rename(&draft, path))
        .map_err(LabError::file("write", path))
}

#[cfg(test)]
#[path = "apt_tests.rs"]
mod tests;
