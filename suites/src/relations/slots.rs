//! How RAM is laid out in memory slots is invisible to the guest, and the logs of dirty pages name what it wrote.

use guests::strategies::{Atomics, Operands, Place, Program, Step, Strings};
use harness::kvm::{KVM_CAP_DIRTY_LOG_RING, KVM_CAP_READONLY_MEM};
use harness::relation::{Layout, Log, logs_exactly, on_slots, plainly};
use harness::stage::Setting;
use harness::{Outcome, claim};

use super::programs::{Ring0, in_mode, ready};

macro_rules! laid_out {
    ($($function:ident, $program:ident, $log:ident, $sentence:literal $(, $need:expr)?;)+) => {
        $(
            fn $function(program: $program, mode: Ring0, place: Place, layout: Layout) -> Outcome {
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

fn told_alike<S: Step>(
    program: &Program<S>,
    Ring0(mode): Ring0,
    place: Place,
    layout: &Layout,
    log: Log,
) -> Outcome {
    let ready = ready(program, mode, place)?;
    let plain = plainly(&Setting::default(), &ready.image)?;
    // A slot that is made anew has a log of its own: what it told before is taken, and what the settling wrote is not.
    let moved = if log == Log::None { layout.moved } else { None };
    let layout = Layout { moved, ..layout.clone() };
    let logged = on_slots(&ready.image, &layout, log)?;
    in_mode(mode, logs_exactly(&ready.image, ready.undefined, log, &plain, &logged))
}
