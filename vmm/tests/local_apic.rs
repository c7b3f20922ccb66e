//! The local APIC does what the SDM says.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use rstest::rstest;
use vmm::irq::{Command, Delivery, Destination, Effect, Event, LocalApic, TSC_DEADLINE};

/// Enabled by software, with nothing pending.
fn apic(id: u32) -> LocalApic {
    let mut apic = LocalApic::new(id);
    apic.write(0xf0, 0x1ff, 0);
    if id > 0 {
        apic.accept(Delivery::Startup, 0x10, false);
        assert_eq!(take(&mut apic), Some(Event::Startup(0x10)));
    }
    apic
}

fn take(apic: &mut LocalApic) -> Option<Event> {
    apic.next(true, None::<fn() -> u8>)
}

fn fixed(apic: &mut LocalApic, vector: u8) {
    apic.accept(Delivery::Fixed, vector, false);
}

#[test]
fn a_higher_class_interrupts_and_the_same_waits_for_the_end() {
    let mut apic = apic(0);
    fixed(&mut apic, 0x41);
    assert_eq!(take(&mut apic), Some(Event::Vector(0x41)));
    for vector in [0x4f, 0x52] {
        fixed(&mut apic, vector);
    }
    assert_eq!(take(&mut apic), Some(Event::Vector(0x52)));
    assert_eq!(apic.read(0xa0, 0), 0x50);
    assert_eq!((apic.write(0xb0, 0, 0), take(&mut apic)), (Effect::Nothing, None));
    apic.write(0xb0, 0, 0);
    assert_eq!(take(&mut apic), Some(Event::Vector(0x4f)));
    assert_eq!((apic.read(0x120, 0), apic.read(0x220, 0)), (0x8000, 0));
}

#[test]
fn the_task_priority_holds_up_its_class_and_is_cr8() {
    let mut apic = apic(0);
    apic.write(0x80, 0x45, 0);
    fixed(&mut apic, 0x4f);
    assert_eq!((take(&mut apic), apic.cr8(), apic.read(0xa0, 0)), (None, 4, 0x45));
    apic.set_cr8(4);
    assert_eq!(apic.read(0x80, 0), 0x45, "the processor knows the class alone");
    apic.set_cr8(3);
    assert_eq!((apic.read(0x80, 0), take(&mut apic)), (0x30, Some(Event::Vector(0x4f))));
}

#[test]
fn a_processor_that_is_closed_takes_nmi_alone() {
    let mut apic = apic(0);
    fixed(&mut apic, 0x41);
    apic.accept(Delivery::Nmi, 0, false);
    assert_eq!(apic.next(false, None::<fn() -> u8>), Some(Event::Nmi));
    assert_eq!(apic.next(false, None::<fn() -> u8>), None);
    assert!(apic.asks(false));
}

#[test]
fn the_end_of_a_level_is_told() {
    let mut apic = apic(0);
    apic.accept(Delivery::Fixed, 0x41, true);
    take(&mut apic);
    assert_eq!(apic.read(0x1a0, 0), 2);
    assert_eq!(apic.write(0xb0, 0, 0), Effect::End(0x41));
    assert_eq!(apic.write(0xb0, 0, 0), Effect::Nothing);
}

#[test]
fn the_pair_of_i8259_comes_through_lint0_of_the_first_processor() {
    let mut first = apic(0);
    assert_eq!(first.next(true, Some(|| 0x08)), Some(Event::Vector(0x08)));
    assert_eq!(first.read(0x100, 0), 0, "it is not in service here");
    first.write(0x350, 0x1_0700, 0);
    assert_eq!(first.next(true, Some(|| 0x08)), None);
    assert_eq!(apic(1).next(true, Some(|| 0x08)), None);
}

#[test]
fn init_waits_for_a_start_unless_it_is_the_first_processor() {
    let mut other = apic(1);
    fixed(&mut other, 0x41);
    other.accept(Delivery::Init, 0, false);
    assert_eq!((take(&mut other), take(&mut other)), (Some(Event::Init), None));
    assert!(other.waits_for_startup() && !other.asks(false));
    other.accept(Delivery::Startup, 0x9a, false);
    assert_eq!((take(&mut other), take(&mut other)), (Some(Event::Startup(0x9a)), None));
    other.accept(Delivery::Startup, 0x9b, false);
    assert_eq!(take(&mut other), None, "it runs already");
    let mut first = apic(0);
    first.accept(Delivery::Init, 0, false);
    assert_eq!((take(&mut first), first.waits_for_startup()), (Some(Event::Init), false));
}

#[rstest]
#[case::one_shot(0x0_0040, 0xb, 100, &[(99, 1, None), (100, 0, Some(0x40)), (1000, 0, None)])]
#[case::divided(0x0_0040, 0x0, 100, &[(199, 1, None), (200, 0, Some(0x40))])]
#[case::by_128(0x0_0040, 0xa, 1, &[(127, 1, None), (128, 0, Some(0x40))])]
#[case::periodic(0x2_0040, 0xb, 100, &[(100, 100, Some(0x40)), (150, 50, None), (200, 100, Some(0x40)), (999, 1, Some(0x40))])]
#[case::masked(0x1_0040, 0xb, 100, &[(100, 0, None)])]
fn the_timer_runs_out(
    #[case] lvt: u32,
    #[case] divide: u32,
    #[case] initial: u32,
    #[case] expected: &[(u64, u32, Option<u8>)],
) {
    let mut apic = apic(0);
    apic.write(0x3e0, divide, 0);
    apic.write(0x320, lvt, 0);
    apic.write(0x380, initial, 0);
    for &(now, count, vector) in expected {
        apic.poll(now);
        assert_eq!((apic.read(0x390, now), take(&mut apic)), (count, vector.map(Event::Vector)), "at {now}");
        apic.write(0xb0, 0, now);
    }
}

#[test]
fn the_deadline_is_used_up() {
    let mut apic = apic(0);
    apic.write(0x320, 0x4_0040, 0);
    apic.write(0x380, 100, 0);
    assert_eq!((apic.read(0x390, 0), apic.deadline()), (0, None));
    apic.write_msr(TSC_DEADLINE, 12_345, 0, 70).unwrap();
    assert_eq!((apic.deadline(), apic.read_msr(TSC_DEADLINE, 0)), (Some(70), Ok(12_345)));
    apic.poll(70);
    assert_eq!(take(&mut apic), Some(Event::Vector(0x40)));
    assert_eq!((apic.deadline(), apic.read_msr(TSC_DEADLINE, 0)), (None, Ok(0)));
}

#[rstest]
#[case::to_another(0x0c_4041, 0x0100_0000, Destination::Others, Delivery::Fixed)]
#[case::oneself(0x04_4041, 0, Destination::Oneself, Delivery::Fixed)]
#[case::physical(0x4041, 0x0100_0000, Destination::Physical(1), Delivery::Fixed)]
#[case::broadcast(0x4541, 0xff00_0000, Destination::Physical(u32::MAX), Delivery::Init)]
#[case::logical(0x4941, 0x0300_0000, Destination::Logical(3), Delivery::Lowest)]
fn the_command_register_sends(
    #[case] low: u32,
    #[case] high: u32,
    #[case] to: Destination,
    #[case] delivery: Delivery,
) {
    let mut apic = apic(0);
    apic.write(0x310, high, 0);
    let sent = Command { to, delivery, vector: 0x41, is_level: false, deasserts: false };
    assert_eq!(apic.write(0x300, low, 0), Effect::Send(sent));
}

#[rstest]
#[case::own(Destination::Physical(2), None, true)]
#[case::of_another(Destination::Physical(3), None, false)]
#[case::all(Destination::Physical(u32::MAX), None, true)]
#[case::flat(Destination::Logical(0x06), None, true)]
#[case::flat_of_others(Destination::Logical(0xfb), None, false)]
#[case::oneself(Destination::Oneself, Some(2), true)]
#[case::others(Destination::Others, Some(2), false)]
fn a_message_is_for_whom_it_names(#[case] to: Destination, #[case] sender: Option<u32>, #[case] is: bool) {
    let mut apic = apic(2);
    apic.write(0xd0, 0x0400_0000, 0);
    assert_eq!(apic.is_addressed(to, sender), is);
}

#[test]
fn clusters_have_four() {
    let mut apic = apic(2);
    apic.write(0xe0, 0x0fff_ffff, 0);
    apic.write(0xd0, 0x2400_0000, 0);
    let is = |bits| apic.is_addressed(Destination::Logical(bits), None);
    assert_eq!([is(0x24), is(0x2b), is(0x14), is(0xf4)], [true, false, false, true]);
}

#[test]
fn x2apic_has_registers_of_its_own() {
    let mut apic = apic(18);
    apic.set_base(0xfee0_0c00);
    assert_eq!((apic.read_msr(0x802, 0), apic.read_msr(0x80d, 0)), (Ok(18), Ok(0x1_0004)));
    assert!(apic.is_addressed(Destination::Logical(0x1_000c), None));
    assert_eq!(apic.read(0x20, 0), u32::MAX, "there is no page any more");
    assert!(apic.write_msr(0x80e, 0, 0, 0).is_err() && apic.read_msr(0x80b, 0).is_err());
    assert!(apic.write_msr(0x80b, 1, 0, 0).is_err() && apic.write_msr(0x808, 1 << 32, 0, 0).is_err());
    let sent = apic.write_msr(0x830, 0x7_0000_4041, 0, 0).unwrap();
    assert!(matches!(sent, Effect::Send(Command { to: Destination::Physical(7), vector: 0x41, .. })));
    let sent = apic.write_msr(0x83f, 0x55, 0, 0).unwrap();
    assert!(matches!(sent, Effect::Send(Command { to: Destination::Oneself, vector: 0x55, .. })));
}

#[test]
fn illegal_vectors_and_registers_are_errors() {
    let mut apic = apic(0);
    apic.write(0x370, 0xfe, 0);
    fixed(&mut apic, 0x0f);
    assert_eq!(take(&mut apic), Some(Event::Vector(0xfe)));
    assert_eq!(apic.write(0x300, 0x4_0005, 0), Effect::Nothing);
    apic.read(0x40, 0);
    assert_eq!(apic.read(0x280, 0), 0);
    apic.write(0x280, 0, 0);
    assert_eq!(apic.read(0x280, 0), 0xe0);
    apic.write(0x280, 0, 0);
    assert_eq!(apic.read(0x280, 0), 0);
}

#[test]
fn disabling_by_software_masks_the_table() {
    let mut apic = apic(0);
    apic.write(0x320, 0x40, 0);
    apic.write(0xf0, 0xff, 0);
    assert_eq!(apic.read(0x320, 0), 0x1_0040);
    apic.write(0x320, 0x40, 0);
    assert_eq!(apic.read(0x320, 0), 0x1_0040);
    fixed(&mut apic, 0x41);
    assert_eq!(take(&mut apic), None);
}

#[test]
fn an_init_leaves_x2apic_with_its_logical_id() {
    let mut apic = apic(18);
    apic.set_base(0xfee0_0c00);
    apic.accept(Delivery::Init, 0, false);
    assert_eq!(take(&mut apic), Some(Event::Init));
    assert_eq!((apic.read_msr(0x80d, 0), apic.read_msr(0x802, 0)), (Ok(0x1_0004), Ok(18)));
}

#[test]
fn a_count_that_has_run_out_stays_at_zero_in_another_mode() {
    let mut apic = apic(0);
    for (register, value) in [(0x3e0, 0xb), (0x320, 0x40), (0x380, 100)] {
        apic.write(register, value, 0);
    }
    apic.poll(100);
    take(&mut apic);
    apic.write(0xb0, 0, 100);
    apic.write(0x320, 0x2_0040, 150);
    apic.poll(1000);
    assert_eq!((apic.read(0x390, 1000), apic.deadline(), take(&mut apic)), (0, None, None));
    apic.write(0x380, 100, 1000);
    assert_eq!((apic.read(0x390, 1010), apic.deadline()), (90, Some(1100)));
}

#[test]
fn another_divisor_leaves_what_is_left() {
    let mut apic = apic(0);
    for (register, value) in [(0x3e0, 0xb), (0x320, 0x40), (0x380, 100)] {
        apic.write(register, value, 0);
    }
    apic.write(0x3e0, 0x0, 60);
    assert_eq!((apic.read(0x390, 60), apic.deadline()), (40, Some(140)), "by two from now on");
    apic.write(0x3e0, 0x3, 80);
    assert_eq!((apic.read(0x390, 80), apic.deadline()), (30, Some(80 + 30 * 16)));
}

#[test]
fn there_is_no_deadline_in_the_other_modes() {
    let mut apic = apic(0);
    apic.write(0x320, 0x40, 0);
    apic.write_msr(TSC_DEADLINE, 12_345, 0, 70).unwrap();
    assert_eq!((apic.read_msr(TSC_DEADLINE, 0), apic.deadline()), (Ok(0), None));
    apic.write(0x320, 0x4_0040, 0);
    assert_eq!((apic.read_msr(TSC_DEADLINE, 0), apic.deadline()), (Ok(0), None));
}

#[test]
fn a_message_to_oneself_leaves_the_command_register_alone() {
    let mut apic = apic(0);
    apic.set_base(0xfee0_0d00);
    apic.write_msr(0x830, 0x7_0000_4041, 0, 0).unwrap();
    apic.write_msr(0x83f, 0x55, 0, 0).unwrap();
    assert_eq!(apic.read_msr(0x830, 0), Ok(0x7_0000_4041));
}
