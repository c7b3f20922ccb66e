//! A `/dev/kvm` that cannot be used: each time one sentence that says why and names the cure, with status 4.

use std::process::Command;

use crate::assay::{ASSAY, Said, is_able};

/// Runs the program with its own `/dev/kvm`, made by lines of shell in a mount namespace.
fn with_device(device: &str, arguments: &[&str]) -> Option<Said> {
    let namespace = ["unshare", "--mount"];
    is_able(&namespace).then(|| {
        let script = format!("mount -t tmpfs none /dev && {device} && exec \"$0\" \"$@\"");
        let mut command = Command::new(namespace[0]);
        command.args([namespace[1], "sh", "-c", &script, ASSAY]).args(arguments);
        Said::of(&command.current_dir(std::env::temp_dir()).output().unwrap())
    })
}

/// Asserts that no command that needs KVM makes do with this one, and that each says this of it.
#[track_caller]
fn refuses(device: &str, expected: &[&str]) {
    for arguments in [["run", "--here"].as_slice(), &["replay", crate::assay::FIXED], &["host"]] {
        let Some(said) = with_device(device, arguments) else { return };
        let sentence = said.sentence(4);
        assert!(expected.iter().any(|expected| sentence.starts_with(expected)), "{sentence}");
        assert!(sentence.contains(": "), "no cure: {sentence}");
        assert_eq!(said.out.is_empty(), arguments != ["host"], "{}", said.out);
    }
}

#[test]
fn it_is_absent() {
    refuses(
        "true",
        &[
            "there is no /dev/kvm, and the processor offers neither SVM nor VMX: enable virtualization",
            "there is no /dev/kvm although the processor has virtualization: load kvm_amd or kvm_intel",
        ],
    );
}

#[test]
fn no_driver_is_behind_it() {
    refuses(
        "mknod /dev/kvm c 10 250",
        &[
            "there is no /dev/kvm, and the processor offers neither SVM nor VMX: enable virtualization",
            "there is /dev/kvm, but no KVM behind it although the processor has virtualization: load",
        ],
    );
}

#[test]
fn it_is_not_kvm() {
    let expected =
        "what is at /dev/kvm is not KVM (it does not answer KVM_GET_API_VERSION): remove it, and load";
    refuses("mknod /dev/kvm c 1 3", &[expected]);
    refuses("touch /dev/kvm", &[expected]);
    refuses("mkdir /dev/kvm", &["what is at /dev/kvm is not KVM (it is a directory): remove it, and load"]);
}

#[test]
fn it_is_forbidden() {
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    if !is_able(&nobody) {
        return;
    }
    let user = nobody.join(" ");
    let script = format!(
        "mount -t tmpfs none /dev && mknod -m 600 /dev/kvm c 10 232 && exec {user} \"$0\" run --here"
    );
    let namespace = ["unshare", "--mount"];
    if !is_able(&namespace) {
        return;
    }
    let output = Command::new("unshare").args(["--mount", "sh", "-c", &script, ASSAY]).output().unwrap();
    let said = Said::of(&output);
    assert!(
        said.sentence(4).starts_with("there is /dev/kvm, but no permission to use it: join its group"),
        "{}",
        said.err
    );
}

#[test]
fn what_needs_no_device_does_without() {
    for arguments in [["list"].as_slice(), &["explain", crate::assay::FIXED], &["--help"]] {
        let Some(said) = with_device("true", arguments) else { return };
        assert!(!said.printed().is_empty());
    }
}
