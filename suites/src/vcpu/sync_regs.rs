//! Registers in the run page: api.rst 6.74 KVM_CAP_SYNC_REGS.

use harness::kvm::{
    Descriptor, EINTR, EINVAL, Exit, KVM_CAP_IMMEDIATE_EXIT, KVM_CAP_SYNC_REGS, KVM_GET_VCPU_EVENTS,
    KVM_INTERRUPT, KVM_RUN, Plain, Refused, Vcpu, abi,
};
use harness::{Outcome, Stop, claim, each, equal, fails, holds, unchanged};

use super::pages::field;
use super::real_mode::{RealMode, out};

/// The interrupt vector that a claim injects.
const VECTOR: usize = 0x20;
/// What a run page holds where no register was copied, by byte.
const STALE: u8 = 0xc3;

fn bits_without_a_set_are_refused() -> Outcome {
    let guest = RealMode::running(&[0x90, 0xf4])?; // nop; hlt
    let page = guest.vcpu.run_page()?;
    let known = u64::try_from(guest.vm.check_extension(KVM_CAP_SYNC_REGS)?).unwrap_or(0);
    let unknown = (0..64).map(|bit| 1u64 << bit).filter(|bit| known & bit == 0);
    each(unknown.flat_map(|bit| [(field::VALID_REGS, bit), (field::DIRTY_REGS, bit)]), |&(mask, bit)| {
        page.put(mask, bit);
        unchanged(|| guest.vcpu.get_regs(), || fails(EINVAL, guest.vcpu.value(KVM_RUN, 0)))?;
        page.put(mask, 0u64);
        Ok(())
    })?;
    equal(guest.run()?, Exit::Hlt)?;
    guest.ended(|_| ())
}
claim!(
    bits_without_a_set_are_refused,
    "KVM_RUN refuses a bit of kvm_valid_regs or kvm_dirty_regs that KVM_CAP_SYNC_REGS does not name, and runs nothing",
    [Api("6.74 KVM_CAP_SYNC_REGS"), Code("kvm_arch_vcpu_ioctl_run, arch/x86/kvm/x86.c")],
);

/// Runs `mov al, 0x5a; hlt` with these sets asked for and the page stale, and returns what the page holds of one of them.
fn shown<T: Plain>(asked: u32, at: usize) -> Result<(RealMode, T), Stop> {
    let guest = RealMode::running(&[0xb0, 0x5a, 0xf4])?;
    let page = guest.vcpu.run_page()?;
    for byte in 0..size_of::<abi::kvm_sync_regs>() {
        page.put(field::SYNCED_REGS + byte, STALE);
    }
    page.put(field::VALID_REGS, u64::from(asked));
    equal(guest.run()?, Exit::Hlt)?;
    equal(page.get::<u64>(field::VALID_REGS), u64::from(asked))?;
    guest.ended(|end| end.regs.rax = 0x5a)?;
    let shown = page.get(at);
    Ok((guest, shown))
}

/// What the page shows of a set that was asked for, and what its ioctl says; checks that one not asked for is as stale as before.
fn shown_and_said<T: Plain>(
    set: u32,
    at: usize,
    ask: impl Fn(&Vcpu) -> Result<T, Refused>,
) -> Result<(T, T), Stop> {
    let (_, left) = shown::<[u8; 16]>(abi::KVM_SYNC_X86_VALID_FIELDS & !set, at)?;
    equal(left, [STALE; 16])?;
    let (guest, copied) = shown(set, at)?;
    Ok((copied, ask(&guest.vcpu)?))
}

fn regs_are_shown() -> Outcome {
    let (shown, said) = shown_and_said(abi::KVM_SYNC_X86_REGS, field::SYNCED_REGS, Vcpu::get_regs)?;
    equal(shown, said)
}
claim!(
    regs_are_shown,
    "KVM_SYNC_X86_REGS in kvm_valid_regs has KVM_RUN show what KVM_GET_REGS says, and nothing else does",
    [Api("6.74 KVM_CAP_SYNC_REGS")],
    AtLeast(KVM_CAP_SYNC_REGS, 7),
);

/// The segments, whose padding KVM writes for some and not for others.
fn segments(sregs: &mut abi::kvm_sregs) -> [&mut abi::kvm_segment; 8] {
    [
        &mut sregs.cs,
        &mut sregs.ds,
        &mut sregs.es,
        &mut sregs.fs,
        &mut sregs.gs,
        &mut sregs.ss,
        &mut sregs.tr,
        &mut sregs.ldt,
    ]
}

fn sregs_are_shown() -> Outcome {
    let (mut shown, said) = shown_and_said(abi::KVM_SYNC_X86_SREGS, field::SYNCED_SREGS, Vcpu::get_sregs)?;
    for (segment, said) in segments(&mut shown).into_iter().zip(segments(&mut said.clone())) {
        segment.padding = said.padding;
    }
    (shown.gdt.padding, shown.idt.padding) = (said.gdt.padding, said.idt.padding);
    shown.interrupt_bitmap = said.interrupt_bitmap; // a claim of its own
    equal(shown, said)
}
claim!(
    sregs_are_shown,
    "KVM_SYNC_X86_SREGS in kvm_valid_regs has KVM_RUN show the registers of KVM_GET_SREGS, and nothing else does",
    [Api("6.74 KVM_CAP_SYNC_REGS")],
    AtLeast(KVM_CAP_SYNC_REGS, 7),
);

fn events_are_shown() -> Outcome {
    let (mut shown, said) = shown_and_said(abi::KVM_SYNC_X86_EVENTS, field::SYNCED_EVENTS, |vcpu| {
        vcpu.read::<abi::kvm_vcpu_events>(KVM_GET_VCPU_EVENTS)
    })?;
    // Valid only with a flag, without which older kernels leave it as it was.
    shown.triple_fault = said.triple_fault;
    equal(shown, said)
}
claim!(
    events_are_shown,
    "KVM_SYNC_X86_EVENTS in kvm_valid_regs has KVM_RUN show what KVM_GET_VCPU_EVENTS says, and nothing else does",
    [Api("6.74 KVM_CAP_SYNC_REGS")],
    AtLeast(KVM_CAP_SYNC_REGS, 7),
);

fn delivered_interrupts_are_gone() -> Outcome {
    let guest = RealMode::running(&[0x90, 0xf4])?; // nop, before which the interrupt comes; its handler: hlt
    guest.ram.write(VECTOR * 4, &[0x01, 0x10, 0, 0])?;
    let regs = abi::kvm_regs { rflags: 0x202, rsp: 0x4000, ..guest.vcpu.get_regs()? };
    guest.vcpu.set_regs(&regs)?;
    let page = guest.vcpu.run_page()?;
    page.put(field::VALID_REGS, u64::from(abi::KVM_SYNC_X86_SREGS));
    guest.vcpu.write(KVM_INTERRUPT, &abi::kvm_interrupt { irq: 0x20 })?;
    page.put(Exit::IMMEDIATE_EXIT, 1u8);
    fails(EINTR, guest.vcpu.value(KVM_RUN, 0))?;
    equal(page.get::<abi::kvm_sregs>(field::SYNCED_SREGS).interrupt_bitmap, [1 << 0x20, 0, 0, 0])?;
    page.put(Exit::IMMEDIATE_EXIT, 0u8);
    equal(guest.run()?, Exit::Hlt)?;
    equal(guest.vcpu.get_sregs()?.interrupt_bitmap, [0; 4])?;
    guest.ended(|end| {
        end.ram[VECTOR * 4..][..4].copy_from_slice(&[0x01, 0x10, 0, 0]);
        end.ram[0x3ffa..0x4000].copy_from_slice(&[0x00, 0x10, 0, 0, 0x02, 0x02]); // IP, CS, FLAGS
        end.regs.rsp = 0x3ffa;
    })?;
    // __get_sregs only ever sets bits here; that it is handed zeroed memory holds for KVM_GET_SREGS alone.
    equal(page.get::<abi::kvm_sregs>(field::SYNCED_SREGS).interrupt_bitmap, [0; 4])
}
claim!(
    delivered_interrupts_are_gone,
    "KVM_SYNC_X86_SREGS shows no interrupt in interrupt_bitmap that the guest has taken by then",
    [Api("6.74 KVM_CAP_SYNC_REGS"), Api("4.13 KVM_GET_SREGS")],
    AtLeast(KVM_CAP_SYNC_REGS, 7),
    Has(KVM_CAP_IMMEDIATE_EXIT),
);

fn dirty_regs_are_taken_once(value: u8) -> Outcome {
    let guest = RealMode::running(&[0xe6, 0x10, 0xe6, 0x10, 0xf4])?; // out 0x10, al, twice; hlt
    let page = guest.vcpu.run_page()?;
    let regs = abi::kvm_regs { rax: value.into(), ..guest.vcpu.get_regs()? };
    page.put(field::SYNCED_REGS, regs);
    page.put(field::DIRTY_REGS, u64::from(abi::KVM_SYNC_X86_REGS));
    equal(guest.run()?, out(0x10, &[value]))?;
    equal(page.get::<u64>(field::DIRTY_REGS), 0)?;
    page.put(field::SYNCED_REGS, abi::kvm_regs { rax: (!value).into(), ..regs });
    equal(guest.run()?, out(0x10, &[value]))?;
    equal(guest.run_to_halt(0)?, vec![])?;
    guest.ended(|end| end.regs.rax = value.into())
}
claim!(
    dirty_regs_are_taken_once,
    "KVM_RUN takes the registers that kvm_dirty_regs names from the run page, clears the bit, and takes no others",
    [Api("6.74 KVM_CAP_SYNC_REGS"), Code("sync_regs, arch/x86/kvm/x86.c")],
    AtLeast(KVM_CAP_SYNC_REGS, 7),
);

fn bad_sregs_are_refused() -> Outcome {
    let guest = RealMode::running(&[0x90, 0xf4])?; // nop; hlt
    let page = guest.vcpu.run_page()?;
    let sregs = guest.vcpu.get_sregs()?;
    page.put(field::SYNCED_SREGS, abi::kvm_sregs { cr4: 1 << 31, ..sregs });
    page.put(field::DIRTY_REGS, u64::from(abi::KVM_SYNC_X86_SREGS));
    unchanged(
        || Ok::<_, Stop>((guest.vcpu.get_regs()?, guest.vcpu.get_sregs()?)),
        || fails(EINVAL, guest.vcpu.value(KVM_RUN, 0)),
    )?;
    holds(page.get::<u64>(field::DIRTY_REGS) != 0, "kvm_dirty_regs still names what was refused")?;
    page.put(field::DIRTY_REGS, 0u64);
    equal(guest.run()?, Exit::Hlt)?;
    guest.ended(|_| ())
}
claim!(
    bad_sregs_are_refused,
    "KVM_RUN refuses special registers in the run page that KVM_SET_SREGS would refuse, and runs nothing",
    [Api("6.74 KVM_CAP_SYNC_REGS"), Code("sync_regs, arch/x86/kvm/x86.c")],
    AtLeast(KVM_CAP_SYNC_REGS, 7),
);
