//! Lists of sources as systems have them.

use super::*;

const DEB822: &str = "\
# a comment
Types: deb deb-src
URIs: http://mirror.test/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 -----END PGP PUBLIC KEY BLOCK-----

Types: deb
URIs: http://mirror.test/debian-security
Suites: bookworm-security
Components: main
Signed-By: /usr/share/keyrings/a.gpg

Types: deb
Enabled: no
URIs: http://off.test/debian
Suites: trixie
Components: main

Types: deb
URIs: http://other.test/
Suites: nodistro
Components: main
";

fn read(files: &[(&str, &str)]) -> Vec<Entry> {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(directory.path().join(name), text).unwrap();
    }
    entries(Path::new("/nowhere"), directory.path()).unwrap()
}

#[test]
fn an_entry_is_kept_with_its_keys_and_asked_for_another_suite() {
    let entries = read(&[("debian.sources", DEB822)]);
    assert_eq!(
        entry_for(&entries, "trixie-backports").unwrap().with_suite("trixie-backports"),
        "Types: deb\nSuites: trixie-backports\nComponents: main\nArchitectures: amd64\n\
         URIs: http://mirror.test/debian\n\
         Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n -----END PGP PUBLIC KEY BLOCK-----\n"
    );
}

#[test]
fn security_updates_come_from_their_own_mirror() {
    let entries = read(&[("debian.sources", DEB822)]);
    let text = entry_for(&entries, "trixie-security").unwrap().with_suite("trixie-security");
    assert!(text.contains("mirror.test/debian-security"), "{text}");
}

#[test]
fn only_debian_is_asked_about() {
    let entries = read(&[("debian.sources", DEB822)]);
    assert_eq!(suites(&entries), ["bookworm", "bookworm-updates", "bookworm-security"]);
    assert_eq!(
        read(&[("x.sources", "Types: deb\nURIs: http://u.test\nSuites: noble\nComponents: main\n")]),
        []
    );
}

#[test]
fn one_line_entries_are_read() {
    let entries = read(&[(
        "debian.list",
        "# deb http://no.test/debian sid main\ndeb-src http://no.test/debian sid main\n\
         deb [arch=amd64,i386 signed-by=/usr/share/keyrings/a.gpg] http://mirror.test/debian bookworm main # c\n",
    )]);
    assert_eq!(suites(&entries), ["bookworm"]);
    assert_eq!(
        entry_for(&entries, "sid").unwrap().with_suite("sid"),
        "Types: deb\nSuites: sid\nComponents: main\nArchitectures: amd64\n\
         URIs: http://mirror.test/debian\nsigned-by: /usr/share/keyrings/a.gpg\n"
    );
    assert_eq!(entry_for(&entries, "sid-security"), None);
}
