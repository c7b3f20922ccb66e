//! Real kernels of Debian's, for a machine with apt and a mirror: `ASSAY_CACHE=DIR cargo test -p harness --test lab_kernels`.
//!
//! Packages are kept in that directory, so that a second run needs no network; without it nothing is downloaded, and nothing tried.

use std::path::PathBuf;
use std::time::Instant;

use harness::lab::{Kernel, Sources, initramfs};
use rstest::rstest;

#[rstest]
#[case("debian:5.10", "bullseye")]
#[case("debian:6.1", "bookworm")]
#[case("debian:6.12", "bookworm-security")]
#[case("debian:6.18", "trixie-backports")]
#[case("debian:7.2", "trixie-backports")]
#[case("debian:", "experimental")]
fn a_package_becomes_a_kernel_with_modules_in_order(#[case] name: &str, #[case] suite: &str) {
    let Some(cache) = std::env::var_os("ASSAY_CACHE").map(PathBuf::from) else {
        eprintln!("not tested: ASSAY_CACHE names no directory to keep Debian's packages in");
        return;
    };
    let sources = Sources { suites: vec![suite.to_owned()], cache };
    let start = Instant::now();
    let kernel = Kernel::find(name, &sources, &|what| println!("{:6.2?} {what}", start.elapsed())).unwrap();
    println!("{:6.2?} {name} is {} at {}", start.elapsed(), kernel.release, kernel.image.display());
    assert!(kernel.release.starts_with(name.trim_start_matches("debian:")));
    for (vendor, last) in [("kvm-amd", "kvm_amd"), ("kvm-intel", "kvm_intel")] {
        let modules = kernel.load_order(&[vendor]).unwrap();
        let names: Vec<_> = modules.iter().map(|module| (module.name.as_str(), module.bytes.len())).collect();
        println!("{:6.2?} {names:?}", start.elapsed());
        assert_eq!(names.last().unwrap().0, last);
        assert!(names.iter().any(|&(name, _)| name == "kvm"));
        let files: Vec<_> =
            modules.iter().map(|module| (module.name.as_str(), 0o644, module.bytes.as_slice())).collect();
        assert!(initramfs(&files).unwrap().starts_with(b"070701"));
    }
}
