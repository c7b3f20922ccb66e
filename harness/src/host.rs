//! The host probe: which kernel, which module backs KVM and how it is set up, every capability, the processor, and whether all of
//! that is itself a guest.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use reports::{Cpu, Host};

use crate::kvm::{CAPS, Kvm};

/// What KVM_GET_API_VERSION has answered since Linux 2.6.22.
const API_VERSION: i32 = 12;

/// What is known of the host that claims are tried on.
#[derive(Clone, Debug)]
pub struct Facts {
    /// What the record says of it.
    pub host: Host,
    /// Whether this process is root.
    pub root: bool,
    /// Whether the kernel lets 64-bit programs enter it as 32-bit ones do.
    pub compat32: bool,
    /// Whether this is the lab, where a kernel may be hurt.
    pub lab: bool,
    /// Why `/dev/kvm` cannot be used here, and the cure; none where it can.
    pub unusable: Option<String>,
}

impl Facts {
    /// Asks the host.
    pub fn probe() -> Self {
        let (kvm, unusable) = match Kvm::try_open() {
            Ok(kvm) => (Some(kvm), None),
            Err(error) => (None, Some(closed(&error, has_support(&read("/proc/cpuinfo"))))),
        };
        let api_version = kvm.as_ref().and_then(|kvm| kvm.get_api_version().ok());
        let unusable = unusable.or_else(|| foreign(api_version));
        let module = kvm.is_some().then(backing_module).flatten();
        let system = rustix::system::uname();
        let host = Host {
            release: system.release().to_string_lossy().into_owned(),
            build: system.version().to_string_lossy().into_owned(),
            command_line: read("/proc/cmdline"),
            parameters: ["kvm".to_owned()].into_iter().chain(module.clone()).map(with_parameters).collect(),
            emulated: is_emulated(module.as_deref()),
            emulator: None,
            module,
            api_version,
            capabilities: kvm.as_ref().map(capabilities).unwrap_or_default(),
            cpu: cpu(),
            hypervisor: hypervisor(),
        };
        Self {
            host,
            root: rustix::process::geteuid().is_root(),
            compat32: compat32(),
            lab: crate::lab::init::is_inside(),
            unusable,
        }
    }
}

/// Why `/dev/kvm` cannot be opened, and what to do about it.
fn closed(error: &std::io::Error, has_support: bool) -> String {
    match error.raw_os_error() {
        Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) if !has_support => {
            "there is no /dev/kvm, and the processor offers neither SVM nor VMX: enable virtualization in the firmware, or \
             nested virtualization in the hypervisor that this machine runs under"
                .into()
        }
        Some(libc::ENOENT) => {
            "there is no /dev/kvm although the processor has virtualization: load kvm_amd or kvm_intel with modprobe, and in a \
             container hand the device in (docker run --device /dev/kvm)"
                .into()
        }
        Some(libc::ENODEV | libc::ENXIO) => {
            "there is /dev/kvm, but no KVM behind it although the processor has virtualization: load kvm_amd or kvm_intel with \
             modprobe, and if they refuse, enable virtualization in the firmware"
                .into()
        }
        Some(libc::EACCES) => {
            "there is /dev/kvm, but no permission to use it: join its group (usermod -aG kvm $USER, then log in again), or be root"
                .into()
        }
        Some(libc::EPERM) => {
            "there is /dev/kvm, but the container or control group that this runs in forbids it: hand the device in (docker run \
             --device /dev/kvm, or DeviceAllow=/dev/kvm in a unit of systemd)"
                .into()
        }
        Some(libc::EISDIR) => not_kvm("it is a directory"),
        _ => {
            let why = reports::reason(error);
            format!("/dev/kvm cannot be opened ({why}): look at the kernel's log for what kvm says of it")
        }
    }
}

/// Why what answered KVM_GET_API_VERSION so is not the KVM that claims are about; none where it is.
fn foreign(api_version: Option<i32>) -> Option<String> {
    match api_version {
        Some(API_VERSION) => None,
        Some(version) => Some(format!(
            "/dev/kvm speaks API version {version}, and the KVM that Assay tests speaks {API_VERSION}: boot Linux 2.6.22 or later, \
             or ask whoever makes this KVM for a stable one"
        )),
        None => Some(not_kvm("it does not answer KVM_GET_API_VERSION")),
    }
}

fn not_kvm(why: &str) -> String {
    format!(
        "what is at /dev/kvm is not KVM ({why}): remove it, and load kvm_amd or kvm_intel with modprobe, or hand the host's own \
         device into the container"
    )
}

/// Whether the processor has the extension that a KVM needs, by the flags in `/proc/cpuinfo`.
pub(crate) fn has_support(cpuinfo: &str) -> bool {
    let flags = cpuinfo.lines().find_map(|line| line.strip_prefix("flags")).unwrap_or_default();
    flags.split_whitespace().any(|flag| matches!(flag, "svm" | "vmx"))
}

/// The module that has registered itself with `kvm`: the one of the known vendors', or any other named `kvm_*`.
fn backing_module() -> Option<String> {
    let known = ["kvm_amd", "kvm_intel"].into_iter().map(str::to_owned);
    let mut others: Vec<String> = fs::read_dir("/sys/module")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with("kvm_"))
        .collect();
    others.sort();
    known.chain(others).find(|name| Path::new("/sys/module").join(name).exists())
}

fn with_parameters(module: String) -> (String, BTreeMap<String, String>) {
    let parameters = fs::read_dir(format!("/sys/module/{module}/parameters"))
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let value = fs::read_to_string(entry.path()).ok()?;
            Some((entry.file_name().into_string().ok()?, value.trim().to_owned()))
        })
        .collect();
    (module, parameters)
}

fn capabilities(kvm: &Kvm) -> BTreeMap<String, i32> {
    CAPS.iter()
        .filter_map(|cap| match kvm.check_extension(*cap) {
            Ok(0) | Err(_) => None,
            Ok(answer) => Some((cap.name.to_owned(), answer)),
        })
        .collect()
}

fn cpu() -> Cpu {
    let text = read("/proc/cpuinfo");
    let field = |name: &str| {
        text.lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(key, _)| key.trim() == name)
            .map(|(_, value)| value.trim().to_owned())
            .unwrap_or_default()
    };
    Cpu {
        vendor: field("vendor_id"),
        model: field("model name"),
        online: std::thread::available_parallelism().map_or(1, usize::from),
    }
}

/// The signature in CPUID leaf 0x40000000, where CPUID says that there is a hypervisor.
fn hypervisor() -> Option<String> {
    let has_one = std::arch::x86_64::__cpuid(1).ecx & (1 << 31) != 0;
    has_one.then(|| {
        let leaf = std::arch::x86_64::__cpuid(0x4000_0000);
        let bytes: Vec<u8> = [leaf.ebx, leaf.ecx, leaf.edx].into_iter().flat_map(u32::to_le_bytes).collect();
        String::from_utf8_lossy(&bytes).trim_end_matches('\0').to_owned()
    })
}

/// Whether guest code is run by an emulator: a KVM that is neither vendor's, or a processor that QEMU's TCG or Bochs emulates.
fn is_emulated(module: Option<&str>) -> bool {
    match module {
        Some("kvm_amd" | "kvm_intel") => hypervisor().is_some_and(|name| name.starts_with("TCG")),
        Some(_) => true,
        None => false,
    }
}

/// Whether `int 0x80` enters the kernel; where it does not, it kills, and so it is tried in a child.
fn compat32() -> bool {
    let tried = crate::process::in_child(|| {
        let Ok(kvm) = Kvm::try_open() else { return false };
        crate::kvm::Compat.value(&kvm, crate::kvm::KVM_GET_API_VERSION, 0).is_ok()
    });
    matches!(tried, Ok(crate::process::Ended::Returned(true)))
}

fn read(path: &str) -> String {
    fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io::Error;

    use super::*;

    #[test]
    fn only_the_stable_version_is_kvm() {
        assert_eq!(foreign(Some(12)), None);
        let other = foreign(Some(13)).unwrap();
        assert!(
            other.starts_with("/dev/kvm speaks API version 13, and the KVM that Assay tests speaks 12: ")
        );
        let none = foreign(None).unwrap();
        assert!(none.contains("is not KVM (it does not answer KVM_GET_API_VERSION)"), "{none}");
    }

    #[test]
    fn each_reason_has_its_own_cure() {
        let cases = [
            (libc::ENOENT, false, "the processor offers neither SVM nor VMX"),
            (libc::ENODEV, false, "the processor offers neither SVM nor VMX"),
            (libc::ENOENT, true, "there is no /dev/kvm although the processor has virtualization"),
            (libc::ENODEV, true, "no KVM behind it"),
            (libc::EACCES, true, "usermod -aG kvm"),
            (libc::EPERM, true, "--device /dev/kvm"),
            (libc::EISDIR, true, "is not KVM (it is a directory)"),
            (libc::EMFILE, true, "/dev/kvm cannot be opened (Too many open files)"),
        ];
        for (errno, has_support, expected) in cases {
            let said = closed(&Error::from_raw_os_error(errno), has_support);
            assert!(said.contains(expected), "{errno}: {said}");
            assert!(said.contains(": "), "no cure: {said}");
        }
    }

    #[test]
    fn support_is_a_flag_of_its_own() {
        assert!(has_support("vendor_id\t: X\nflags\t\t: fpu svm sse\n"));
        assert!(has_support("flags\t\t: fpu vmx\nvmx flags\t: ept\n"));
        assert!(!has_support("flags\t\t: fpu svm_lock novmx\nvmx flags\t: vmx\n"));
    }
}
