//! Who has the interrupt controllers is invisible to a guest that does not use them.

use guests::strategies::{Operands, Place, Program, Stack, Step, Straight};
use harness::kvm::{KVM_CAP_IRQCHIP, KVM_CAP_SPLIT_IRQCHIP};
use harness::relation::{plainly, same, without_halt};
use harness::testbed::Setting;
use harness::{Controllers, Outcome, claim};

use super::programs::{AnyRing, in_mode, ready};

macro_rules! controlled {
    ($($function:ident, $program:ident, $sentence:literal;)+) => {
        $(
            fn $function(program: $program, mode: AnyRing) -> Outcome {
                told_alike(&program, mode)
            }
            claim!(
                $function,
                $sentence,
                [Api("4.24 KVM_CREATE_IRQCHIP"), Api("7.5 KVM_CAP_SPLIT_IRQCHIP")],
                Has(KVM_CAP_IRQCHIP),
                Has(KVM_CAP_SPLIT_IRQCHIP)
            );
        )+
    };
}

controlled! {
    straight, Straight, "Straight-line integer code makes the same visible with kernel, split and user interrupt controllers";
    operands, Operands, "Integer code with operands in MMIO makes the same visible with kernel, split and user interrupt controllers";
    stack, Stack, "PUSH, POP and CALL make the same visible with kernel, split and user interrupt controllers";
}

fn told_alike<S: Step>(program: &Program<S>, AnyRing(mode): AnyRing) -> Outcome {
    let ready = ready(program, mode, Place::Mmio)?;
    let image = without_halt(&ready.image);
    let with = |controllers| plainly(&Setting { controllers, ..Setting::default() }, &image);
    let expected = with(Controllers::Kernel)?;
    for controllers in [Controllers::Split, Controllers::User] {
        in_mode(mode, same(&image, ready.undefined, &expected, &with(controllers)?))
            .map_err(|stop| stop.during(format_args!("with the controllers of {controllers:?}")))?;
    }
    Ok(())
}
