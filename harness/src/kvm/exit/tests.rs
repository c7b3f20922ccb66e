//! The decoding over pages laid out by hand, each field where the interface has it.

use super::{EXIT_REASONS, Exit, Given, HypervExit, MsrExit, RunPage, TdxExit, XenExit};
use crate::kvm::{Mapping, abi};
use crate::process::memory_file;

/// Two pages, as a vCPU's run page and the page of port data behind it.
const LENGTH: usize = 0x2000;
/// Where the union lies.
const UNION: usize = 32;

/// A page with this reason, and with bytes that tell where they lie: byte `n` of the union holds `n + 1`.
fn page(reason: u32) -> Mapping {
    let file = memory_file("run").unwrap();
    file.set_len(LENGTH as u64).unwrap();
    let fd = std::os::fd::AsFd::as_fd(&file);
    let page = Mapping::of(fd, LENGTH, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED, 0).unwrap();
    page.put(8, reason);
    for at in 0..=254u8 {
        page.put(UNION + usize::from(at), at + 1);
    }
    page
}

fn word(at: u8) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|byte| at + 1 + u8::try_from(byte).unwrap()))
}

fn long(at: u8) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|byte| at + 1 + u8::try_from(byte).unwrap()))
}

#[test]
fn fields_lie_where_the_interface_has_them() {
    let msr = MsrExit { error: 1, reason: word(8), index: word(12), data: long(16) };
    let args = [8, 16, 24, 32, 40, 48].map(long);
    for (reason, expected) in [
        (0, Exit::Unknown { hardware_exit_reason: long(0) }),
        (1, Exit::Exception { exception: word(0), error_code: word(4) }),
        (3, Exit::Hypercall { nr: long(0), args, ret: long(56), flags: long(64) }),
        (4, Exit::Debug { exception: word(0), pc: long(8), dr6: long(16), dr7: long(24) }),
        (5, Exit::Hlt),
        (7, Exit::IrqWindowOpen),
        (8, Exit::Shutdown),
        (9, Exit::FailEntry { reason: long(0), cpu: word(8) }),
        (10, Exit::Intr),
        (11, Exit::SetTpr),
        (12, Exit::TprAccess { rip: long(0), is_write: word(8) }),
        (26, Exit::IoapicEoi { vector: 1 }),
        (29, Exit::Rdmsr(msr)),
        (30, Exit::Wrmsr(msr)),
        (31, Exit::DirtyRingFull),
        (32, Exit::ApResetHold),
        (33, Exit::BusLock),
        (37, Exit::Notify { flags: word(0) }),
        (39, Exit::MemoryFault { flags: long(0), gpa: long(8), size: long(16) }),
        (43, Exit::SnpReqCerts { gpa: long(0), npages: long(8), ret: long(16) }),
        (44, Exit::Other(44)),
    ] {
        assert_eq!(Exit::decode(&page(reason)), expected, "reason {reason}");
    }
}

#[test]
fn tdx_calls_have_their_answer_before_their_data() {
    let data = [24, 32, 40, 48, 56].map(long);
    let expected = Exit::Tdx(TdxExit { flags: long(0), nr: long(8), ret: long(16), data });
    assert_eq!(Exit::decode(&page(40)), expected);
}

#[test]
fn every_reason_of_another_architecture_is_named() {
    for reason in EXIT_REASONS.iter().filter(|reason| reason.given != Given::OnX86) {
        assert_eq!(Exit::decode(&page(reason.number)), Exit::Foreign(reason.name));
    }
}

#[test]
fn reasons_are_listed_without_a_gap() {
    let numbers: Vec<_> = EXIT_REASONS.iter().map(|reason| reason.number).collect();
    assert_eq!(numbers, (0..=43).collect::<Vec<_>>());
}

#[test]
fn port_data_lies_where_the_exit_says() {
    let page = page(2);
    page.put(UNION, [1u8, 2, 0x34, 0x12]);
    page.put(UNION + 4, 3u32);
    page.put(UNION + 8, 0x1000u64);
    page.put(0x1000, [1u8, 2, 3, 4, 5, 6]);
    let out = Exit::decode(&page);
    let data = vec![1, 2, 3, 4, 5, 6];
    assert_eq!(out, Exit::Io { out: true, size: 2, port: 0x1234, count: 3, data_offset: 0x1000, data });
    page.put(UNION, 0u8);
    let input = Exit::decode(&page);
    assert!(RunPage::of(&page).reply(&input, &[9; 6]));
    assert_eq!(page.copy(0x1000, 6), [9; 6]);
    assert!(!RunPage::of(&page).reply(&out, &[9]), "what the guest gives has no place for an answer");
    page.put(UNION + 8, 0x1fffu64);
    assert!(
        !RunPage::of(&page).reply(&Exit::decode(&page), &[9; 2]),
        "the answer would lie past the mapping"
    );
}

#[test]
fn mmio_has_as_many_bytes_as_it_says() {
    let page = page(6);
    page.put(UNION + 16, 3u32);
    let data = vec![9, 10, 11];
    assert_eq!(Exit::decode(&page), Exit::Mmio { write: true, address: long(0), data });
    page.put(UNION + 20, 0u8);
    let read = Exit::decode(&page);
    assert_eq!(read, Exit::Mmio { write: false, address: long(0), data: vec![0; 3] });
    assert!(RunPage::of(&page).reply(&read, &[7, 8, 9]));
    assert_eq!(page.copy(UNION + 8, 3), [7, 8, 9]);
}

#[test]
fn counted_data_ends_with_the_room_for_it() {
    for (reason, count) in [(17, 0u32), (17, 3), (24, 1), (17, 17), (24, u32::MAX)] {
        let page = page(reason);
        page.put(UNION + 4, count);
        let seen = match Exit::decode(&page) {
            Exit::InternalError { suberror: kind, data } | Exit::SystemEvent { event: kind, data } => {
                (kind, data)
            }
            other => panic!("{other:?}"),
        };
        let words = (0..u8::try_from(count.min(16)).unwrap()).map(|index| long(8 + 8 * index)).collect();
        assert_eq!(seen, (word(0), words));
    }
}

#[test]
fn instruction_bytes_are_told_where_the_flag_says_so() {
    let page = page(17);
    page.put(UNION, 1u32);
    page.put(UNION + 4, 8u32);
    page.put(UNION + 8, 1u64);
    page.put(UNION + 16, [3u8, 0xd9, 0x06, 0x00, 0x90]);
    assert_eq!(Exit::decode(&page).instruction(), Some(vec![0xd9, 0x06, 0x00]));
    page.put(UNION + 4, 2u32);
    assert_eq!(Exit::decode(&page).instruction(), None);
    page.put(UNION + 4, 8u32);
    page.put(UNION + 8, 0u64);
    assert_eq!(Exit::decode(&page).instruction(), None);
}

#[test]
fn hyperv_exits_have_kinds() {
    for (kind, expected) in [
        (1u32, HypervExit::Synic { msr: word(8), control: long(16), evt_page: long(24), msg_page: long(32) }),
        (2, HypervExit::Hypercall { input: long(8), result: long(16), params: [24, 32].map(long) }),
        (
            3,
            HypervExit::Syndbg {
                msr: word(8),
                control: long(16),
                status: long(24),
                send_page: long(32),
                recv_page: long(40),
                pending_page: long(48),
            },
        ),
        (4, HypervExit::Other(4)),
    ] {
        let page = page(27);
        page.put(UNION, kind);
        assert_eq!(Exit::decode(&page), Exit::Hyperv(expected));
    }
}

#[test]
fn xen_exits_have_kinds() {
    let page = page(34);
    page.put(UNION, 1u32);
    let params = [32, 40, 48, 56, 64, 72].map(long);
    let expected =
        XenExit::Hypercall { longmode: word(8), cpl: word(12), input: long(16), result: long(24), params };
    assert_eq!(Exit::decode(&page), Exit::Xen(expected));
    page.put(UNION, 2u32);
    assert_eq!(Exit::decode(&page), Exit::Xen(XenExit::Other(2)));
}

#[test]
fn answers_lie_where_the_interface_takes_them() {
    for (reason, kind, at) in
        [(3, 0u32, 56), (27, 2, 16), (27, 3, 24), (29, 0, 16), (34, 1, 24), (40, 0, 16), (43, 0, 16)]
    {
        let page = page(reason);
        page.put(UNION, kind);
        assert!(RunPage::of(&page).answer(&Exit::decode(&page), 0x1122_3344_5566_7788));
        assert_eq!(page.get::<u64>(UNION + at), 0x1122_3344_5566_7788, "reason {reason}");
    }
    for reason in [5, 8, 30] {
        let page = page(reason);
        assert!(!RunPage::of(&page).answer(&Exit::decode(&page), 1), "reason {reason} takes no answer");
    }
    for (reason, takes) in [(29, true), (30, true), (2, false)] {
        let page = page(reason);
        assert_eq!(RunPage::of(&page).put_msr_error(&Exit::decode(&page), 0xee), takes);
        assert_eq!(page.get::<u8>(UNION) == 0xee, takes);
    }
}

#[test]
fn the_page_has_its_fields_where_the_interface_has_them() {
    let mapped = page(5);
    let page = RunPage::of(&mapped);
    mapped.put(0, [1u8, 2]);
    mapped.put(12, [3u8, 4, 5, 6]);
    mapped.put(16, 7u64);
    mapped.put(24, 8u64);
    mapped.put(288, 9u64);
    mapped.put(296, 10u64);
    assert_eq!((page.request_interrupt_window(), page.immediate_exit(), page.reason()), (1, 2, 5));
    assert_eq!((page.ready_for_interrupt_injection(), page.if_flag(), page.flags()), (3, 4, 0x0605));
    assert_eq!((page.cr8(), page.apic_base(), page.valid_regs(), page.dirty_regs()), (7, 8, 9, 10));
    let regs = abi::kvm_regs { rax: 0x11, ..Default::default() };
    page.put_regs(regs);
    assert_eq!((mapped.get::<u64>(304), page.regs()), (0x11, regs));
    assert_eq!(Exit::IMMEDIATE_EXIT, 1);
}
