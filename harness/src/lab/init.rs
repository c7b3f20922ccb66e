//! The init of the lab: PID 1 of the kernel under trial. It mounts what claims need, loads KVM, tries the claims that its orders name
//! with the same runner as anywhere else, tells what it finds out on the channel, and puts the power off.
//!
//! PID 1 must not end, whatever happens: a kernel whose init ends panics, and that would look like a claim's doing.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use reports::Entry;
use rustix::mount::{MountFlags, mount};
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::system::{RebootCommand, init_module, reboot};
use rustix::termios::{OptionalActions, tcdrain, tcgetattr, tcsetattr};

use super::channel::Word;
use super::orders::{MODULES, ORDERS, Orders, module_of};
use crate::kvm::{Kvm, Vcpu};
use crate::runner::{Interrupt, Observer, Settings, run};
use crate::{Claim, Facts, claim_named, clock, host, shipped_regressions};

/// The serial line that is the channel.
const CHANNEL: &str = "/dev/ttyS1";
/// How often the outside hears that the kernel lives.
const BEAT: Duration = Duration::from_secs(1);
/// How many files a process may have open: what the kernel allows at most.
const OPEN_FILES: u64 = 1 << 20;

/// What is mounted: type and place.
const MOUNTS: [(&str, &str); 8] = [
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("devtmpfs", "/dev"),
    ("devpts", "/dev/pts"),
    ("tmpfs", "/dev/shm"),
    ("tmpfs", "/tmp"),
    ("cgroup2", "/sys/fs/cgroup"),
    ("debugfs", "/sys/kernel/debug"),
];

static IS_INSIDE: AtomicBool = AtomicBool::new(false);

/// Whether this process is the init of the lab, whose kernel may be hurt.
pub(crate) fn is_inside() -> bool {
    IS_INSIDE.load(Ordering::Relaxed)
}

/// Becomes the init of the lab, where a kernel started this program as one. The first process of a container is no such thing: it has
/// no orders.
pub(crate) fn intercept() {
    if std::process::id() == 1 && Path::new(ORDERS).exists() {
        IS_INSIDE.store(true, Ordering::Relaxed);
        serve();
    }
}

fn serve() -> ! {
    let early = prepare();
    match Channel::open() {
        Ok(channel) => {
            let channel = Arc::new(channel);
            early.iter().for_each(|note| channel.noted(note));
            beat(&channel);
            match catch_unwind(AssertUnwindSafe(|| work(&channel))) {
                Ok(Ok(())) => {}
                Ok(Err(why)) => channel.say(&Word::Unusable(why)),
                Err(_) => channel.noted("the init of the lab panicked: its console says why"),
            }
            channel.say(&Word::Goodbye);
            channel.drain();
        }
        // The console is all that is left to tell it on.
        Err(error) => eprintln!("assay: cannot open {CHANNEL}: {error}"),
    }
    loop {
        let _ = reboot(RebootCommand::PowerOff);
        thread::park_timeout(BEAT);
    }
}

/// Mounts and sets up what can be; says what could not.
fn prepare() -> Vec<String> {
    let mut notes = Vec::new();
    for (kind, place) in MOUNTS {
        let mounted =
            fs::create_dir_all(place).and_then(|()| Ok(mount(kind, place, kind, MountFlags::empty(), None)?));
        if let Err(error) = mounted
            && kind != "debugfs"
        {
            notes.push(format!("cannot mount {kind} on {place}: {error}"));
        }
    }
    let _ = symlink("/proc/self/fd", "/dev/fd");
    // From here on the console says everything: it holds the last words of a kernel that dies.
    let _ = fs::write("/proc/sys/kernel/printk", "8");
    if let Err(error) = fs::write("/sys/fs/cgroup/cgroup.subtree_control", "+memory") {
        notes.push(format!("control groups cannot bound what a claim takes: {error}"));
    }
    let limit = Rlimit { current: Some(OPEN_FILES), maximum: Some(OPEN_FILES) };
    if let Err(errno) = setrlimit(Resource::Nofile, limit) {
        notes.push(format!("a claim cannot open more files than by default: {errno}"));
    }
    notes
}

fn beat(channel: &Arc<Channel>) {
    let channel = Arc::clone(channel);
    thread::spawn(move || {
        loop {
            thread::park_timeout(BEAT);
            channel.say(&Word::Beat);
        }
    });
}

/// Everything that the orders ask for; why nothing could be tried.
fn work(channel: &Arc<Channel>) -> Result<(), String> {
    let text = fs::read(ORDERS).map_err(|error| format!("cannot read {ORDERS}: {error}"))?;
    let orders: Orders = serde_json::from_slice(&text).map_err(|error| format!("{ORDERS}: {error}"))?;
    let problems = load_modules(&orders);
    let mut facts = Facts::probe();
    facts.host.emulated = true;
    facts.host.emulator = Some(orders.emulator.clone());
    if let Some(why) = facts.unusable {
        return Err(unusable(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default(), why, problems));
    }
    problems.iter().chain(&lost_parameters(&orders)).for_each(|problem| channel.noted(problem));
    let settings = settings(&orders, channel);
    let clock = u64::try_from(settings.limits.clock.as_millis()).unwrap_or(u64::MAX);
    channel.say(&Word::Host { facts: Box::new(facts.host.clone()), clock });
    let wanted: Vec<&'static Claim> = orders.claims.iter().filter_map(|name| claim_named(name)).collect();
    let _kept = kept_vms();
    run(&wanted, &facts, &settings, &**channel, &Interrupt::default());
    Ok(())
}

/// Why there is no KVM: what the probe says is meant for a host, and here something else may be to blame.
fn unusable(cpuinfo: &str, probe: String, problems: Vec<String>) -> String {
    let has_virtualization = host::has_support(cpuinfo);
    match (has_virtualization, problems.is_empty()) {
        (false, _) => "the emulated processor shows neither SVM nor VMX: name another --cpu, or install a newer emulator".into(),
        (true, false) => format!("{}; are these modules this kernel's own?", problems.join("; ")),
        (true, true) => probe,
    }
}

/// One claim at a time: there is one processor, and a kernel that dies leaves no doubt about what killed it.
fn settings(orders: &Orders, channel: &Channel) -> Settings {
    let mut settings = Settings { seed: orders.seed, workers: 1, ..Settings::default() };
    settings.known = orders.known.clone();
    settings.limits.budget = orders.budget;
    settings.limits.memory = orders.memory;
    settings.limits.clock = orders.clock.unwrap_or_else(|| clock::for_this_host(settings.limits.clock));
    match shipped_regressions() {
        Ok(regressions) => settings.regressions = regressions,
        Err(error) => channel.noted(&error.to_string()),
    }
    settings
}

/// VMs that are there all the while, with and without a local APIC. KVM patches the kernel's code and switches virtualization on with
/// the first of each kind and off with the last, and an emulator has to translate all that is patched anew: a third of a run's time.
fn kept_vms() -> Option<[Vcpu; 2]> {
    let kvm = Kvm::open().ok()?;
    let with_apic = kvm.create_vm(0).ok()?;
    with_apic.create_irqchip().ok()?;
    Some([kvm.create_vm(0).ok()?.create_vcpu(0).ok()?, with_apic.create_vcpu(0).ok()?])
}

/// Loads the modules in their order; says what went wrong.
fn load_modules(orders: &Orders) -> Vec<String> {
    let Ok(files) = fs::read_dir(MODULES) else { return Vec::new() };
    let mut files: Vec<_> = files.flatten().map(|file| file.path()).collect();
    files.sort();
    let mut problems = Vec::new();
    for file in files {
        let name = file.file_name().and_then(|file| module_of(file.to_str()?)).unwrap_or_default();
        let parameters = orders.parameters.get(name).cloned().unwrap_or_default();
        let loaded = fs::read(&file).map_err(|error| error.to_string()).and_then(|image| {
            let parameters = std::ffi::CString::new(parameters).map_err(|error| error.to_string())?;
            match init_module(&image, &parameters) {
                // Built into this kernel.
                Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(()),
                Err(errno) => Err(errno.to_string()),
            }
        });
        if let Err(why) = loaded {
            problems.push(format!("cannot load the module {name}: {why}"));
        }
        // What was loaded is in the kernel; its file only takes memory.
        let _ = fs::remove_file(&file);
    }
    problems
}

/// The parameters that the modules turned out not to have, which the kernel passes over.
fn lost_parameters(orders: &Orders) -> Vec<String> {
    let mut lost = Vec::new();
    for (module, parameters) in &orders.parameters {
        for parameter in parameters.split_whitespace() {
            let name = parameter.split('=').next().unwrap_or_default();
            if !Path::new("/sys/module").join(module).join("parameters").join(name).exists() {
                lost.push(format!(
                    "the module {module} shows no parameter {name} in this kernel: it may have had no effect"
                ));
            }
        }
    }
    lost
}

/// The way out of the machine.
struct Channel(Mutex<File>);

impl Channel {
    fn open() -> std::io::Result<Self> {
        let line = File::options().write(true).read(true).custom_flags(libc::O_NOCTTY).open(CHANNEL)?;
        let mut modes = tcgetattr(&line)?;
        // Bytes as they are, and as fast as the line goes.
        modes.make_raw();
        modes.set_speed(115_200)?;
        tcsetattr(&line, OptionalActions::Now, &modes)?;
        Ok(Self(Mutex::new(line)))
    }

    fn say(&self, word: &Word) {
        // Where nobody listens any more there is nobody to tell.
        let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all(&word.line());
    }

    fn drain(&self) {
        let _ = tcdrain(&*self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Observer for Channel {
    fn began(&self, claim: &Claim) {
        self.say(&Word::Trying(claim.name()));
        // The kernel may die of the claim at once: what is still on its way then would be lost with it.
        self.drain();
    }

    fn ended(&self, entry: &Entry) {
        self.say(&Word::Entry(Box::new(entry.clone())));
    }

    fn noted(&self, note: &str) {
        self.say(&Word::Note(note.to_owned()));
    }
}
