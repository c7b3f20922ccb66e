//! How RAM is laid out in memory slots is invisible to the guest, and the logs of dirty pages name what it wrote: every page of it, and
//! no other that KVM did not map for the first time.

use guests::Mode;
use guests::strategies::{Atomics, Operands, Place, Program, Step, Strings};
use harness::kvm::{KVM_CAP_DIRTY_LOG_RING, KVM_CAP_READONLY_MEM};
use harness::relation::{Layout, Log, logs_exactly, logs_what_is_written, on_known_slots, on_slots, plainly};
use harness::testbed::Setting;
use harness::{Outcome, claim};

use super::programs::{AnyRing, Ready, in_mode, ready};

macro_rules! laid_out {
    ($($function:ident, $program:ident, $log:ident, $sentence:literal $(, $need:expr)?;)+) => {
        $(
            fn $function(program: $program, mode: AnyRing, place: Place, layout: Layout) -> Outcome {
                told_alike(&program, mode, place, &layout, Log::$log)
            }
            claim!(
                $function,
                $sentence,
                [Api("4.35 KVM_SET_USER_MEMORY_REGION"), Api("4.8 KVM_GET_DIRTY_LOG"), Api("8.29 KVM_CAP_DIRTY_LOG_RING")],
                Has(KVM_CAP_READONLY_MEM)
                $(, $need)?
            );
        )+
    };
}

laid_out! {
    operands, Operands, None, "Integer code makes the same visible on one memory slot and on many, moved, made anew and read-only where it only reads";
    strings, Strings, None, "String instructions make the same visible on one memory slot and on many, across their borders too";
    bitmap_of_operands, Operands, Bitmap, "KVM_GET_DIRTY_LOG names exactly the pages that integer code wrote, in any layout of slots";
    bitmap_of_strings, Strings, Bitmap, "KVM_GET_DIRTY_LOG names exactly the pages that string instructions wrote, in any layout of slots";
    bitmap_of_atomics, Atomics, Bitmap, "KVM_GET_DIRTY_LOG names exactly the pages that locked and other instructions modified, in any layout of slots";
    ring_of_operands, Operands, Ring, "The dirty ring names exactly the pages that integer code wrote, in any layout of slots", Has(KVM_CAP_DIRTY_LOG_RING);
    ring_of_strings, Strings, Ring, "The dirty ring names exactly the pages that string instructions wrote, in any layout of slots", Has(KVM_CAP_DIRTY_LOG_RING);
}

/// Slots that are moved or made anew, and pages that are reached for the first time, may be logged without having been written; what is
/// known and stays is logged if it is written.
fn told_alike<S: Step>(
    program: &Program<S>,
    AnyRing(mode): AnyRing,
    place: Place,
    layout: &Layout,
    log: Log,
) -> Outcome {
    let Ready { image, undefined, .. } = ready(program, mode, place)?;
    let plain = plainly(&Setting::default(), &image)?;
    let logged = on_slots(&image, layout, log)?;
    in_mode(mode, logs_what_is_written(&image, undefined, log, &plain, &logged))?;
    // What leads to ring 0 writes to more than the code does.
    if log == Log::None || logged.was_moved || mode == Mode::Virtual8086 {
        return Ok(());
    }
    match on_known_slots(&image, layout, log)? {
        Some(logged) => in_mode(mode, logs_exactly(&image, undefined, &plain, &logged)),
        None => Ok(()),
    }
}
