//! Claims that do as they like with the descriptors that they find, and with those that they make.
#![expect(unsafe_code, reason = "closes, and writes to, descriptors that belong to somebody else")]

use std::fs::{self, File};
use std::io::Write;

use harness::kvm::{Kvm, Vm};
use harness::{Outcome, Stop, claim, equal, holds, succeeds};
use reports::Verdict;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;

use crate::stage::{Marks, input, settings, tried, tried_with};

crate::tests!(
    closing_every_descriptor_hides_no_lie,
    closing_every_descriptor_hurts_nobody,
    garbage_in_every_descriptor_hurts_nobody,
    a_claim_has_the_standard_descriptors_only,
    megabytes_of_output_are_no_memory,
    the_end_of_much_output_is_kept,
    half_a_line_is_kept,
    descriptors_left_open_are_told,
    descriptors_that_pile_up_over_cases_are_told,
    every_descriptor_left_open_is_a_fault_and_told;
    with_kvm: a_vm_left_open_is_told,
);

fn open_descriptors() -> Vec<i32> {
    let entries = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn close_all() {
    for descriptor in open_descriptors() {
        // SAFETY: nothing in this process uses a descriptor any more but by its number, and that is what is tried.
        unsafe { libc::close(descriptor) };
    }
}

fn lies_with_all_closed(number: u16) -> Outcome {
    close_all();
    holds(number < 77, "the number is below 77")
}
claim!(lies_with_all_closed, "every number is below 77", [Observed("nowhere")]);

fn closing_every_descriptor_hides_no_lie() {
    let entry = tried("descriptors::lies_with_all_closed");
    assert_eq!((entry.verdict, input(&entry)), (Verdict::Fail, json!([77])));
}

fn holds_with_all_closed(number: u16) -> Outcome {
    close_all();
    println!("nobody hears this");
    equal(number, number)
}
claim!(holds_with_all_closed, "every number is itself", [Observed("everywhere")]);

fn closing_every_descriptor_hurts_nobody() {
    let entry = tried("descriptors::holds_with_all_closed");
    assert_eq!((entry.verdict, entry.why, entry.reached), (Verdict::Pass, None, 64));
}

fn scribbles(number: u16) -> Outcome {
    for descriptor in open_descriptors() {
        let garbage = b"{\"Ok\":\"garbage\"}\n\xff\xfe{\n";
        // SAFETY: the bytes are there to be read; where they go is what is tried.
        unsafe { libc::write(descriptor, garbage.as_ptr().cast(), garbage.len()) };
    }
    holds(number < 77, "the number is below 77")
}
claim!(scribbles, "every number is below 77, and every descriptor full of garbage", [Observed("nowhere")]);

fn garbage_in_every_descriptor_hurts_nobody() {
    let entry = tried("descriptors::scribbles");
    assert_eq!((entry.verdict, input(&entry)), (Verdict::Fail, json!([77])));
}

fn has_the_standard_ones_only() -> Outcome {
    // Beside them there is the one that lists them.
    equal(open_descriptors().len(), 4)
}
claim!(has_the_standard_ones_only, "a claim finds three descriptors", [Observed("everywhere")]);

fn a_claim_has_the_standard_descriptors_only() {
    let entry = tried("descriptors::has_the_standard_ones_only");
    assert_eq!((entry.verdict, entry.why), (Verdict::Pass, None));
}

fn talks() -> Outcome {
    let line = format!("{}\n", "blah ".repeat(13_107));
    for _ in 0..1024 {
        succeeds(std::io::stdout().write_all(line.as_bytes()))?;
    }
    equal(1, 1)
}
claim!(talks, "sixty-four megabytes can be said", [Observed("everywhere")]);

fn megabytes_of_output_are_no_memory() {
    for control_groups in [true, false] {
        let mut settings = harness::runner::Settings { control_groups, ..settings() };
        settings.limits.memory = 32 << 20;
        let entry = tried_with("descriptors::talks", &settings);
        assert_eq!((entry.verdict, entry.why), (Verdict::Pass, None));
    }
}

fn talks_and_lies() -> Outcome {
    println!("{}", "blah ".repeat(100_000));
    println!("the end");
    equal(1, 2)
}
claim!(talks_and_lies, "one is two, at length", [Observed("nowhere")]);

fn the_end_of_much_output_is_kept() {
    let entry = tried("descriptors::talks_and_lies");
    assert_eq!(entry.verdict, Verdict::Fail);
    assert!(entry.notes[0].ends_with("blah \nthe end") && entry.notes[0].len() < 5000, "{:?}", entry.notes);
}

fn breaks_off() -> Outcome {
    print!("and then");
    equal(1, 2)
}
claim!(breaks_off, "every story has an end", [Observed("nowhere")]);

fn half_a_line_is_kept() {
    assert_eq!(tried("descriptors::breaks_off").notes, ["it printed: and then"]);
}

fn leaves_files_open(marks: Marks) -> Outcome {
    marks.note("left-open", "something");
    std::mem::forget(succeeds(File::open("/dev/zero"))?);
    std::mem::forget(succeeds(File::open("/dev/zero"))?);
    std::mem::forget(succeeds(File::open("/proc/self/maps"))?);
    equal(1, 1)
}
claim!(leaves_files_open, "files may be left open", [Observed("everywhere")]);

fn descriptors_left_open_are_told() {
    let entry = tried("descriptors::leaves_files_open");
    let [note] = entry.notes.as_slice() else { panic!("{:?}", entry.notes) };
    assert_eq!(entry.verdict, Verdict::Pass, "a leak alone breaks no claim");
    assert!(
        note.starts_with("it left 3 descriptors open: 2 × /dev/zero, /proc/") && note.ends_with("/maps"),
        "{note}"
    );
}

fn piles_up(number: u8) -> Outcome {
    std::mem::forget(succeeds(File::open("/dev/zero"))?);
    holds(number < 200, "the number is below 200")
}
claim!(piles_up, "every number is below 200, and costs a descriptor", [Observed("nowhere")]);

fn descriptors_that_pile_up_over_cases_are_told() {
    let entry = tried("descriptors::piles_up");
    assert_eq!((entry.verdict, input(&entry)), (Verdict::Fail, json!([200])));
    let (cases, note) = (entry.cases, &entry.notes[0]);
    assert_eq!(*note, format!("it left {cases} descriptors open: {cases} × /dev/zero"));
}

fn takes_all_it_may() -> Outcome {
    let most = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    if most > 100_000 {
        return Err(Stop::Skip(format!("{most} descriptors take too long")));
    }
    loop {
        std::mem::forget(succeeds(File::open("/dev/zero"))?);
    }
}
claim!(takes_all_it_may, "there is always one more descriptor", [Observed("nowhere")]);

fn takes_all_of_few() -> Outcome {
    let most = Rlimit { current: Some(64), ..getrlimit(Resource::Nofile) };
    succeeds(setrlimit(Resource::Nofile, most))?;
    takes_all_it_may()
}
claim!(takes_all_of_few, "there is always one more descriptor, of 64", [Observed("nowhere")]);

fn every_descriptor_left_open_is_a_fault_and_told() {
    let why = "it was refused with EMFILE: the host ran out of something";
    let entry = tried("descriptors::takes_all_of_few");
    assert_eq!((entry.verdict, entry.why.as_deref()), (Verdict::Fault, Some(why)));
    assert_eq!(entry.notes, ["it left 61 descriptors open: 61 × /dev/zero"]);

    let entry = tried("descriptors::takes_all_it_may");
    if entry.verdict != Verdict::Skip {
        assert_eq!((entry.verdict, entry.why.as_deref()), (Verdict::Fault, Some(why)));
        assert!(entry.notes.iter().any(|note| note.ends_with(" × /dev/zero")), "{:?}", entry.notes);
    }
}

fn leaves_a_vm(kvm: Kvm, vm: Vm) -> Outcome {
    std::mem::forget(vm);
    equal(kvm.get_api_version()?, 12)
}
claim!(leaves_a_vm, "a VM may be left open", [Observed("everywhere")]);

fn a_vm_left_open_is_told() {
    let entry = tried("descriptors::leaves_a_vm");
    assert_eq!((entry.verdict, entry.why), (Verdict::Pass, None));
    assert_eq!(entry.notes, ["it left 1 descriptor open: anon_inode:kvm-vm"]);
}
