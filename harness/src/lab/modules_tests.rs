//! Modules made here: an ELF file with no more than `.modinfo`.

use std::fs;
use std::path::PathBuf;

use rstest::rstest;

use super::*;
use crate::lab::strip::tests::elf;

/// A kernel with modules of these names and `.modinfo` lines.
fn kernel(modules: &[(&str, &str)], builtin: &str) -> (tempfile::TempDir, Kernel) {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("deep")).unwrap();
    for (file, info) in modules {
        fs::write(directory.path().join("deep").join(file), elf(&[(".modinfo", true, info.as_bytes())]))
            .unwrap();
    }
    fs::write(directory.path().join("modules.builtin"), builtin).unwrap();
    let modules = Modules::below(directory.path()).unwrap();
    let kernel = Kernel { name: "k".into(), release: "6.1".into(), image: PathBuf::new(), modules };
    (directory, kernel)
}

fn names(kernel: &Kernel, wanted: &[&str]) -> Vec<String> {
    kernel.load_order(wanted).unwrap().into_iter().map(|module| module.name).collect()
}

const KVM: [(&str, &str); 4] = [
    ("kvm-amd.ko", "license=GPL\0depends=kvm,ccp\0vermagic=6.1 SMP mod_unload\0"),
    ("kvm.ko", "depends=irqbypass\0"),
    ("irqbypass.ko", "depends=\0"),
    ("ccp.ko", "depends=\0softdep=pre: absent irqbypass post: kvm\0"),
];

#[test]
fn what_is_depended_on_comes_first_and_once() {
    let (_directory, kernel) = kernel(&KVM, "");
    assert_eq!(names(&kernel, &["kvm-amd", "kvm", "kvm_amd"]), ["irqbypass", "kvm", "ccp", "kvm_amd"]);
}

#[test]
fn what_is_built_in_is_left_out() {
    let (_directory, kernel) =
        kernel(&KVM, "kernel/virt/lib/irqbypass.ko\nkernel/drivers/virtio-console.ko\n");
    assert_eq!(names(&kernel, &["kvm", "virtio_console"]), ["kvm"]);
}

#[test]
fn modules_that_depend_on_each_other_do_not_hang() {
    let (_directory, kernel) = kernel(&[("a.ko", "depends=b\0"), ("b.ko", "depends=a\0")], "");
    assert_eq!(names(&kernel, &["a"]), ["b", "a"]);
}

#[rstest]
#[case("kvm-intel", &[], "no such module")]
#[case("a", &[("a.ko", "depends=gone\0")], "which a depends on")]
#[case("a", &[("a.ko", "vermagic=6.2 SMP\0")], "built for 6.2")]
fn what_cannot_be_loaded_is_said(#[case] wanted: &str, #[case] modules: &[(&str, &str)], #[case] why: &str) {
    let (_directory, kernel) = kernel(modules, "");
    let error = kernel.load_order(&[wanted]).unwrap_err().to_string();
    assert!(error.contains(why), "{error}");
}

#[test]
fn what_is_no_module_is_refused() {
    let (directory, kernel) = kernel(&KVM, "");
    fs::write(directory.path().join("deep/kvm.ko"), "text").unwrap();
    let error = kernel.load_order(&["kvm"]).unwrap_err().to_string();
    assert!(error.contains("it is no module"), "{error}");
}

#[test]
fn an_update_replaces_what_came_with_the_kernel() {
    let (directory, _) = kernel(&KVM, "");
    let update = directory.path().join("updates/dkms/kvm.ko");
    fs::create_dir_all(update.parent().unwrap()).unwrap();
    fs::write(&update, "").unwrap();
    assert_eq!(Modules::below(directory.path()).unwrap().files["kvm"], update);
}

#[rstest]
#[case("kvm-amd.ko", Some("kvm_amd"))]
#[case("kernel/arch/x86/kvm/kvm.ko.zst", Some("kvm"))]
#[case("a.ko.xz", Some("a"))]
#[case("a.ko.gz", Some("a"))]
#[case("a.ko.bak", None)]
#[case(".ko", None)]
#[case("a.o", None)]
fn a_file_name_says_which_module_it_holds(#[case] file: &str, #[case] name: Option<&str>) {
    assert_eq!(name_of(file).as_deref(), name);
}
