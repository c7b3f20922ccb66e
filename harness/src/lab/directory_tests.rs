//! Directories laid out as kernels come, made here.

use super::*;

struct Root(tempfile::TempDir);

impl Root {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn with(self, path: &str, bytes: impl AsRef<[u8]>) -> Self {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        self
    }

    fn found(&self) -> Result<(String, PathBuf), String> {
        let found = in_directory(self.0.path()).map_err(|error| error.to_string())?;
        Ok((found.release, found.image.strip_prefix(self.0.path()).unwrap().to_owned()))
    }
}

#[test]
fn a_vmlinuz_beside_its_modules_is_found() {
    let root = Root::new().with("vmlinuz", image::synthetic("6.1")).with("lib/modules/6.1/kvm.ko", "");
    assert_eq!(root.found(), Ok(("6.1".into(), "vmlinuz".into())));
}

#[test]
fn the_newest_kernel_with_modules_in_a_root_is_taken() {
    let root = Root::new()
        .with("boot/vmlinuz-6.9", image::synthetic("6.9"))
        .with("boot/vmlinuz-6.12", image::synthetic("6.12"))
        .with("boot/vmlinuz-7.0", image::synthetic("7.0"))
        .with("lib/modules/6.9/kvm.ko", "")
        .with("usr/lib/modules/6.12/kvm.ko.zst", "");
    assert_eq!(root.found(), Ok(("6.12".into(), "boot/vmlinuz-6.12".into())));
}

#[test]
fn an_image_among_its_modules_is_found() {
    let root = Root::new()
        .with("usr/lib/modules/7.2/vmlinuz", image::synthetic("7.2"))
        .with("usr/lib/modules/7.2/kvm.ko.xz", "");
    assert_eq!(root.found(), Ok(("7.2".into(), "usr/lib/modules/7.2/vmlinuz".into())));
}

#[test]
fn an_image_and_modules_in_two_roots_belong_together() {
    let image = Root::new().with("lib/modules/7.2/vmlinuz", image::synthetic("7.2"));
    let modules = Root::new().with("lib/modules/7.2/kvm.ko.xz", "");
    let found = in_roots(&[image.0.path().to_owned(), modules.0.path().to_owned()], None).unwrap();
    assert_eq!(found.release, "7.2");
}

#[test]
fn a_build_tree_is_known_by_its_image() {
    let root = Root::new()
        .with("arch/x86/boot/bzImage", image::synthetic("7.3.0-rc1"))
        .with("arch/x86/kvm/kvm.ko", "");
    assert_eq!(root.found(), Ok(("7.3.0-rc1".into(), "arch/x86/boot/bzImage".into())));
}

#[test]
fn what_is_missing_is_said_with_the_cure() {
    let says = |root: Root, what: &str| {
        let error = root.found().unwrap_err();
        assert!(error.contains(what), "{error}");
    };
    let image = || image::synthetic("6.1");
    says(Root::new(), "vmlinuz");
    says(Root::new().with("vmlinuz", image()), "no modules at all");
    says(Root::new().with("vmlinuz", image()).with("lib/modules/6.2/kvm.ko", ""), "those of 6.2");
    says(Root::new().with("vmlinuz", "text"), "no bzImage");
    says(Root::new().with("arch/x86/boot/bzImage", image()), "make modules");
    says(Root::new().with("Kbuild", "").with("arch/x86/Kbuild", ""), "build bzImage");
}
