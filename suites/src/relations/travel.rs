//! State travels: what is saved of a vCPU between two exits is all that a fresh one needs.

use guests::strategies::{
    Atomics, Moves, Msrs, Operands, Place, Ports, Program, Stack, Step, Straight, Strings,
};
use harness::kvm::KVM_CAP_IMMEDIATE_EXIT;
use harness::relation::{Cut, Luggage, plainly, same, same_uncounted, travelling, without_halt};
use harness::testbed::Setting;
use harness::{Controllers, Outcome, claim};

use super::programs::{Ring0, in_mode, offered, ready};
use crate::guests::needs::MSR_SCRIPTS;

macro_rules! travels {
    ($($function:ident, $program:ident, $controllers:ident, $sentence:literal $(, $need:expr)?;)+) => {
        $(
            fn $function(program: $program, mode: Ring0, cut: Cut, luggage: Luggage) -> Outcome {
                goes_on(&program, mode, cut, luggage, Controllers::$controllers)
            }
            claim!(
                $function,
                $sentence,
                [
                    Api("5. The kvm_run structure"),
                    Api("4.12 KVM_SET_REGS"), Api("4.14 KVM_SET_SREGS"), Api("4.43 KVM_SET_XSAVE"),
                    Api("4.19 KVM_SET_MSRS"), Api("4.32 KVM_SET_VCPU_EVENTS"), Api("4.34 KVM_SET_DEBUGREGS"),
                ],
                Has(KVM_CAP_IMMEDIATE_EXIT)
                $(, $need)?
            );
        )+
    };
}

travels! {
    straight, Straight, User, "What is set up to run straight-line integer code runs it in a fresh vCPU just as well, by any way to save it";
    operands, Operands, User, "Integer code with operands in MMIO goes on in a fresh vCPU after any exit as if nothing had happened";
    strings, Strings, User, "String instructions on MMIO go on in a fresh vCPU amid their repetitions as if nothing had happened";
    atomics, Atomics, User, "Instructions that modify MMIO go on in a fresh vCPU after any exit as if nothing had happened";
    stack, Stack, User, "PUSH, POP and CALL through MMIO go on in a fresh vCPU after any exit as if nothing had happened";
    moves, Moves, User, "Vector moves on MMIO go on in a fresh vCPU after any exit as if nothing had happened";
    ports, Ports, User, "A script of IN and OUT goes on in a fresh vCPU after any exit as if nothing had happened";
    msrs, Msrs, User, "A script of RDMSR and WRMSR goes on in a fresh vCPU after any exit as if nothing had happened", MSR_SCRIPTS;
    with_a_local_apic, Operands, Kernel, "Code under an in-kernel local APIC goes on in a fresh vCPU after any exit as if nothing had happened";
}

/// A run that ends before the cut shows nothing of travelling, and ends as any other.
fn goes_on<S: Step>(
    program: &Program<S>,
    Ring0(mode): Ring0,
    cut: Cut,
    luggage: Luggage,
    controllers: Controllers,
) -> Outcome {
    let mut ready = ready(program, mode, Place::Mmio)?;
    let luggage = offered(luggage, ready.avx)?;
    let setting = Setting { controllers, ..Setting::default() };
    if controllers != Controllers::User {
        ready.image = without_halt(&ready.image);
    }
    let (seen, has_travelled) = travelling(&setting, &ready.image, cut, luggage)?;
    let plain = plainly(&setting, &ready.image)?;
    let compare = if has_travelled { same } else { same_uncounted };
    in_mode(mode, compare(&ready.image, ready.undefined, &plain, &seen))
}
