//! Ways of running a program that lie: one drops an exit, one changes a flag, one forgets the vector registers, one loses a dirty page.
//! Each relation catches its own, shrinks the program and shows what differs.

use std::collections::BTreeSet;
use std::time::Duration;

use guests::strategies::{Moves, Operands, Place, Program, Step, Straight};
use guests::{Event, Feature, Image, Mode};
use harness::relation::{
    Cut, Interruption, Interruptions, Layout, Log, Luggage, Seen, Watch, alike, as_guest_of_a_guest,
    asks_exactly, interrupted, logs_exactly, logs_what_is_written, on_known_slots, on_slots, plainly,
    stepped, travelling, watched, without_halt,
};
use harness::runner::Settings;
use harness::state::{Special, Vectors};
use harness::testbed::Setting;
use harness::{Controllers, HostFault, Outcome, Stop, claim, lacking};
use reports::{Entry, Verdict};

use crate::stage::{input, settings, tried, tried_with};

crate::tests!(
    ; with_kvm: an_exit_that_is_dropped_is_a_fail,
    an_exit_in_two_parts_is_a_fail,
    a_flag_that_steps_change_is_a_fail,
    a_register_that_a_signal_changes_is_a_fail,
    a_register_that_a_kick_changes_is_a_fail,
    vector_registers_that_are_forgotten_are_a_fail,
    a_page_that_the_log_loses_is_a_fail,
    a_page_that_the_log_makes_up_is_a_fail,
    a_page_that_nothing_reached_is_a_fail,
    a_byte_that_another_controller_writes_is_a_fail,
    a_register_that_page_tables_change_is_a_fail,
    a_trace_of_a_hypervisor_is_a_fail,
    a_register_that_a_breakpoint_changes_is_a_fail,
    a_program_that_loops_is_a_hang,
    a_program_that_dies_is_a_story,
    honest_ways_hold,
);

const MODE: Mode = Mode::Real;

fn fault(error: impl std::fmt::Debug) -> Stop {
    Stop::HostFault(HostFault(format!("{error:?}")))
}

fn image<S: Step>(program: &Program<S>, place: Place) -> Result<Image, Stop> {
    program.image(MODE, place).map_err(fault)
}

fn plain(image: &Image) -> Result<Seen, Stop> {
    plainly(&Setting::default(), image)
}

fn on_ram(image: &Image) -> Result<Seen, Stop> {
    plainly(&Setting { window: true, ..Setting::default() }, image)
}

/// A way that is another one, spoilt.
fn spoilt<'a>(
    way: impl Fn(&Image) -> Result<Seen, Stop> + 'a,
    spoil: impl Fn(&mut Seen) + 'a,
) -> impl FnMut(&Image) -> Result<Seen, Stop> + 'a {
    move |image| {
        let mut seen = way(image)?;
        spoil(&mut seen);
        Ok(seen)
    }
}

fn is_mmio(event: &Event) -> bool {
    matches!(event, Event::MmioRead { .. } | Event::MmioWrite { .. })
}

fn drops_an_exit(program: Operands) -> Outcome {
    let image = image(&program, Place::Mmio)?;
    let mut lies = spoilt(plain, |seen| {
        if let Some(at) = seen.story.events.iter().position(is_mmio) {
            seen.story.events.remove(at);
        }
    });
    asks_exactly(&image, program.undefined_flags(MODE), &mut on_ram, &mut lies).map(drop)
}
claim!(drops_an_exit, "a way that drops an exit is like the other", [Observed("nowhere")]);

fn splits_an_exit(program: Operands) -> Outcome {
    let image = image(&program, Place::Mmio)?;
    let mut lies = spoilt(plain, |seen| {
        let wide = |event: &Event| matches!(event, Event::MmioWrite { data, .. } if data.len() == 2);
        if let Some(at) = seen.story.events.iter().position(wide)
            && let Event::MmioWrite { address, data } = seen.story.events[at].clone()
        {
            seen.story.events[at] = Event::mmio_write(address, [data[0]]);
            seen.story.events.insert(at + 1, Event::mmio_write(address + 1, [data[1]]));
        }
    });
    asks_exactly(&image, program.undefined_flags(MODE), &mut on_ram, &mut lies).map(drop)
}
claim!(splits_an_exit, "a way that splits an exit is like the other", [Observed("nowhere")]);

/// Where the host's own steps come to no end that is the code's, the code without them is spoilt in their stead.
fn steps_with_a_flag(program: Straight) -> Outcome {
    let image = image(&program, Place::Ram)?;
    let step =
        |image: &Image| stepped(&Setting::default(), image).map(|(seen, _)| seen).or_else(|_| plain(image));
    let mut lies = spoilt(step, |seen| seen.story.ending.registers.rflags |= 1 << 8);
    alike(&image, program.undefined_flags(MODE), &mut plain, &mut lies)
}
claim!(steps_with_a_flag, "a way that leaves TF behind is like the other", [Observed("nowhere")]);

fn signals_change_a_register(program: Straight, with: Interruptions) -> Outcome {
    let image = image(&program, Place::Ram)?;
    let mut lies = |image: &Image| {
        let (mut seen, ended) = interrupted(&Setting::default(), image, &with)?;
        seen.story.ending.registers.rcx ^= u64::from(ended > 0);
        Ok(seen)
    };
    alike(&image, program.undefined_flags(MODE), &mut plain, &mut lies)
}
claim!(signals_change_a_register, "a way that a signal disturbs is like the other", [Observed("nowhere")]);

fn kicks_change_a_register(program: Straight, rounds: u8) -> Outcome {
    let image = image(&program, Place::Ram)?;
    let with = Interruptions(vec![Interruption::Kick(rounds.into())]);
    let mut lies = |image: &Image| {
        let (mut seen, ended) = interrupted(&Setting::default(), image, &with)?;
        seen.story.ending.registers.rdx ^= u64::from(ended > 0);
        Ok(seen)
    };
    alike(&image, program.undefined_flags(MODE), &mut plain, &mut lies)
}
claim!(kicks_change_a_register, "a way that a kick disturbs is like the other", [Observed("nowhere")]);

/// Without what the software KVM lacks: one load of a vector register suffices.
fn forgets_vectors(program: Moves) -> Outcome {
    let image = image(&program, Place::Ram)?;
    let travels = |image: &Image| {
        let luggage = Luggage { special: Special::Sregs, vectors: Vectors::Xsave };
        travelling(&Setting::default(), image, Cut(0), luggage).map(|(seen, _)| seen)
    };
    let mut lies = spoilt(travels, |seen| {
        if let Some(first) = seen.vectors.get_mut(160) {
            *first ^= 1;
        }
    });
    alike(&image, program.undefined_flags(MODE), &mut plain, &mut lies)
}
claim!(forgets_vectors, "a way that forgets XMM0 is like the other", [Observed("nowhere")]);

fn layout() -> Layout {
    Layout { splits: vec![3, 9], read_only: false, moved: None }
}

/// The log of a run on slots that are known already, spoilt.
fn logs(program: &Operands, spoil: impl Fn(&mut BTreeSet<u64>)) -> Outcome {
    let image = image(program, Place::Ram)?;
    let Some(mut logged) = on_known_slots(&image, &layout(), Log::Bitmap)? else {
        return Err(fault("it ends in an exit"));
    };
    spoil(&mut logged.pages);
    logs_exactly(&image, program.undefined_flags(MODE), &plain(&image)?, &logged)
}

fn loses_a_page(program: Operands) -> Outcome {
    logs(&program, |pages| {
        pages.pop_first();
    })
}
claim!(loses_a_page, "a log that loses a page is exact", [Observed("nowhere")]);

fn makes_up_a_page(program: Operands) -> Outcome {
    logs(&program, |pages| {
        pages.insert(30);
    })
}
claim!(makes_up_a_page, "a log that makes up a page is exact", [Observed("nowhere")]);

fn logs_what_nothing_reached(program: Operands) -> Outcome {
    let image = image(&program, Place::Ram)?;
    let mut logged = on_slots(&image, &layout(), Log::Ring)?;
    logged.pages.insert(30);
    logs_what_is_written(&image, program.undefined_flags(MODE), Log::Ring, &plain(&image)?, &logged)
}
claim!(logs_what_nothing_reached, "a first log names what nothing reached", [Observed("nowhere")]);

fn controllers_write(program: Straight) -> Outcome {
    let image = without_halt(&image(&program, Place::Ram)?);
    let with =
        |controllers| move |image: &Image| plainly(&Setting { controllers, ..Setting::default() }, image);
    let mut lies = spoilt(with(Controllers::Kernel), |seen| {
        let bytes = vec![0];
        seen.story.ending.memory = guests::Memory::Changed(vec![guests::Change { address: 0x4000, bytes }]);
    });
    alike(&image, program.undefined_flags(MODE), &mut with(Controllers::Split), &mut lies)
}
claim!(controllers_write, "a controller that writes to RAM is like the other", [Observed("nowhere")]);

fn page_tables_change_a_register(program: Straight) -> Outcome {
    let image = program.image(Mode::Long, Place::Ram).map_err(fault)?;
    let mut lies = spoilt(plain, |seen| seen.special.fs.base = 7);
    alike(&image, program.undefined_flags(Mode::Long), &mut plain, &mut lies)
}
claim!(page_tables_change_a_register, "a layout that changes FS is like the other", [Observed("nowhere")]);

/// Where no guest has guests, what the code makes visible by itself is spoilt in their stead.
fn hypervisor_leaves_a_trace(program: Straight) -> Outcome {
    let image = program.image(Mode::Long, Place::Ram).map_err(fault)?;
    let has_svm = lacking(&[Feature::SVM])?.is_empty();
    let inside = move |image: &Image| if has_svm { as_guest_of_a_guest(image) } else { plain(image) };
    let mut lies = spoilt(inside, |seen| seen.story.ending.registers.rbx += 1);
    alike(&image, program.undefined_flags(Mode::Long), &mut plain, &mut lies)
}
claim!(hypervisor_leaves_a_trace, "a hypervisor that keeps RBX is invisible", [Observed("nowhere")]);

fn watching_changes_a_register(program: Straight) -> Outcome {
    let image = image(&program, Place::Ram)?;
    let watch = |image: &Image| watched(&Setting::default(), image, Watch::Software);
    let mut lies = spoilt(watch, |seen| seen.story.ending.registers.rsi ^= 1);
    alike(&image, program.undefined_flags(MODE), &mut plain, &mut lies)
}
claim!(
    watching_changes_a_register,
    "a way that a breakpoint disturbs is like the other",
    [Observed("nowhere")]
);

/// Settings under which a program is made as small as it can be, on a busy host too.
fn patient() -> Settings {
    Settings { shrinking: Duration::from_secs(300), ..settings() }
}

/// What is said of a liar: it fails, and its program was shrunk to so many steps.
fn caught(liar: &str, difference: &str, steps: usize) -> Entry {
    let entry = tried_with(&format!("relations::{liar}"), &patient());
    let why = entry.why.clone().unwrap_or_default();
    assert_eq!(entry.verdict, Verdict::Fail, "{liar}: {why}");
    assert!(why.contains(difference), "{liar}: {why}");
    let shrunk = input(&entry)[0]["steps"].as_array().map(Vec::len);
    assert_eq!(shrunk, Some(steps), "{liar}: {}", input(&entry));
    let detail = entry.witness.as_ref().map(|witness| witness.detail.clone()).unwrap_or_default();
    assert!(detail.iter().any(|line| line.contains("hlt") || line.contains("out")), "no listing: {detail:?}");
    entry
}

fn an_exit_that_is_dropped_is_a_fail() {
    caught("drops_an_exit", "access 1: expected", 1);
}

fn an_exit_in_two_parts_is_a_fail() {
    caught("splits_an_exit", "expected Access", 1);
}

fn a_flag_that_steps_change_is_a_fail() {
    caught("steps_with_a_flag", "rflags: expected", 1);
}

fn a_register_that_a_signal_changes_is_a_fail() {
    caught("signals_change_a_register", "rcx: expected", 1);
}

/// Whether a kick comes in time is chance, so that nothing is said of how small the program was made.
fn a_register_that_a_kick_changes_is_a_fail() {
    let entry = tried_with("relations::kicks_change_a_register", &patient());
    let why = entry.why.unwrap_or_default();
    assert_eq!(entry.verdict, Verdict::Fail, "{why}");
    assert!(why.contains("rdx: expected"), "{why}");
}

fn vector_registers_that_are_forgotten_are_a_fail() {
    caught("forgets_vectors", "vector registers at 0xa0", 1);
}

fn a_page_that_the_log_loses_is_a_fail() {
    caught("loses_a_page", "pages in the log: lost [8]", 1);
}

fn a_page_that_the_log_makes_up_is_a_fail() {
    caught("makes_up_a_page", "made up [1e]", 1);
}

fn a_page_that_nothing_reached_is_a_fail() {
    caught("logs_what_nothing_reached", "made up [1e]", 1);
}

fn a_byte_that_another_controller_writes_is_a_fail() {
    caught("controllers_write", "memory: seen 0x4000", 1);
}

fn a_register_that_page_tables_change_is_a_fail() {
    caught("page_tables_change_a_register", "fs: expected", 1);
}

fn a_register_that_a_breakpoint_changes_is_a_fail() {
    caught("watching_changes_a_register", "rsi: expected", 1);
}

fn a_trace_of_a_hypervisor_is_a_fail() {
    caught("hypervisor_leaves_a_trace", "rbx: expected", 1);
}

/// Code that is no program's, run as a relation runs it.
fn astray(bytes: &[u8]) -> Result<Seen, Stop> {
    let code = guests::Code { mode: MODE, origin: guests::CODE, bytes: bytes.to_vec() };
    plain(&Image::of(&code).map_err(fault)?)
}

fn loops() -> Outcome {
    astray(&[0xeb, 0xfe]).map(drop) // jmp to itself
}
claim!(loops, "code that jumps to itself comes to its end", [Observed("nowhere")]);

fn a_program_that_loops_is_a_hang() {
    let entry = tried_with("relations::loops", &crate::stage::short());
    assert_eq!(entry.verdict, Verdict::Hang);
}

fn dies() -> Outcome {
    // To where nothing is; an undefined instruction without a handler; one that eats what comes next.
    for bytes in [&[0xea, 0, 0, 0, 0xf0][..], &[0x0f, 0x0b], &[0xc6, 0x06, 0x05, 0x10, 0xf4, 0x90, 0x90]] {
        let seen = astray(bytes)?;
        harness::holds(!seen.story.events.is_empty(), "it has a story")?;
    }
    Ok(())
}
claim!(dies, "code that goes astray has a story", [Observed("everywhere")]);

fn a_program_that_dies_is_a_story() {
    let entry = tried("relations::dies");
    assert_eq!(entry.verdict, Verdict::Pass, "{:?}", entry.why);
}

fn honestly(program: Operands, with: Interruptions) -> Outcome {
    let image = image(&program, Place::Mmio)?;
    let undefined = program.undefined_flags(MODE);
    asks_exactly(&image, undefined, &mut on_ram, &mut plain)?;
    // One with more RAM, behind one that leaves its testbed to whoever comes next.
    let larger = Image { size: 2 * image.size, ..image.clone() };
    alike(&image, undefined, &mut plain, &mut |_| plain(&larger))?;
    alike(&image, undefined, &mut plain, &mut |image| {
        interrupted(&Setting::default(), image, &with).map(|(seen, _)| seen)
    })
}
claim!(honestly, "honest ways are alike", [Observed("everywhere")]);

fn honest_ways_hold() {
    let entry = tried("relations::honestly");
    assert_eq!(entry.verdict, Verdict::Pass, "{:?} {:?}", entry.why, entry.witness);
    assert_eq!(entry.notes, Vec::<String>::new(), "testbeds are closed");
}
