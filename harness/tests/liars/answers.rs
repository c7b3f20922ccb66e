//! What claims ask the kernel is written down below them: whoever sends it, from whatever process, however that ends; and what a liar
//! saw counts for nothing.

use guests::payload;
use harness::kvm::{
    Compat, Descriptor, EINVAL, ENOTTY, KVM_CAP_DISABLE_QUIRKS, KVM_CHECK_EXTENSION, KVM_CREATE_VCPU,
    KVM_CREATE_VM, KVM_GET_API_VERSION, KVM_GET_CLOCK, KVM_GET_MP_STATE, KVM_NMI, KVM_RUN, Kvm, Vcpu, Vm,
};
use harness::process::{Ended, in_child};
use harness::{Guest, HostFault, Outcome, Stop, Subject, claim, equal, fails, succeeds, tells};
use reports::{Answers, Coverage, Interface, State, Verdict};
use rustix::process::{Signal, getpid, kill_process};

use crate::stage::{HONEST, entry, run_of, settings, tried};

crate::tests!(
    who_asks_nothing_is_answered_nothing;
    with_kvm:
        what_kvm_ioctls_sends_is_written_down,
        what_is_sent_by_hand_is_written_down,
        what_32_bit_callers_send_is_apart,
        a_forked_child_tells_as_well,
        a_killed_child_loses_nothing,
        a_killed_claim_loses_nothing,
        one_claim_does_not_tell_for_the_next,
        the_kernel_says_what_a_descriptor_is,
        why_a_guest_left_is_written_down,
        what_a_failing_claim_saw_does_not_count,
        what_a_sweep_saw_is_counted_apart,
);

fn answers(claim: &str) -> Answers {
    tried(&format!("answers::{claim}")).answers
}

fn who_asks_nothing_is_answered_nothing() {
    assert_eq!(tried(HONEST).answers, Answers::default());
}

fn by_kvm_ioctls() -> Outcome {
    let fault = |error| Stop::HostFault(HostFault(format!("kvm-ioctls: {error}")));
    let vm = kvm_ioctls::Kvm::new().and_then(|kvm| kvm.create_vm()).map_err(fault)?;
    let vcpu = vm.create_vcpu(3).map_err(fault)?;
    let cap = kvm_bindings::kvm_enable_cap { cap: KVM_CAP_DISABLE_QUIRKS.number, ..Default::default() };
    vm.enable_cap(&cap).map_err(fault)?;
    let again = vm.create_vcpu(3).map(drop).map_err(|error| error.errno());
    vcpu.get_mp_state().map_err(fault)?;
    equal(again, Err(libc::EEXIST))
}
claim!(by_kvm_ioctls, "kvm-ioctls makes a vCPU once", [Observed("everywhere")]);

fn what_kvm_ioctls_sends_is_written_down() {
    let seen = answers("by_kvm_ioctls");
    for (descriptor, command, answer) in [
        ("system", KVM_CREATE_VM, "ok"),
        ("vm", KVM_CREATE_VCPU, "ok"),
        ("vm", KVM_CREATE_VCPU, "EEXIST"),
        ("vcpu", KVM_GET_MP_STATE, "ok"),
    ] {
        assert!(seen.has(descriptor, command.name, answer), "{descriptor} {command:?} {answer}: {seen:?}");
    }
    assert!(!seen.has("vm", KVM_CREATE_VCPU.name, "EINVAL"), "{seen:?}");
    assert_eq!(seen.enabled.into_iter().collect::<Vec<_>>(), [KVM_CAP_DISABLE_QUIRKS.name]);
}

fn by_hand(kvm: Kvm) -> Outcome {
    equal(kvm.get_api_version()?, 12)?;
    fails(EINVAL, kvm.value(KVM_GET_API_VERSION, 7))
}
claim!(by_hand, "the version is asked for twice", [Observed("everywhere")]);

fn what_is_sent_by_hand_is_written_down() {
    let seen = answers("by_hand");
    let of_system = &seen.commands["system"];
    assert_eq!(of_system.keys().collect::<Vec<_>>(), [KVM_GET_API_VERSION.name]);
    assert_eq!(of_system[KVM_GET_API_VERSION.name].iter().collect::<Vec<_>>(), ["EINVAL", "ok"]);
    assert_eq!((seen.commands.len(), seen.compat.len()), (1, 0));
}

fn by_32_bits(kvm: Kvm) -> Outcome {
    equal(Compat.value(&kvm, KVM_GET_API_VERSION, 0)?, 12)
}
claim!(by_32_bits, "the version is asked for by 32 bits", [Observed("everywhere")], Compat32);

fn what_32_bit_callers_send_is_apart() {
    let entry = tried("answers::by_32_bits");
    let is_tried = entry.verdict == Verdict::Pass;
    assert!(is_tried || entry.verdict == Verdict::Skip, "{entry:?}");
    assert!(entry.answers.commands.is_empty(), "{entry:?}");
    assert_eq!(entry.answers.compat.contains_key("system"), is_tried, "{entry:?}");
}

fn by_a_child(vm: Vm) -> Outcome {
    let clock =
        || vm.send(KVM_CHECK_EXTENSION, harness::kvm::Argument::Value(0)).map_err(|refused| refused.errno);
    equal(in_child(clock)?, Ended::Returned(Err(harness::kvm::EIO)))
}
claim!(by_a_child, "a VM is nothing to a child", [Observed("everywhere")]);

fn a_forked_child_tells_as_well() {
    assert!(answers("by_a_child").has("vm", KVM_CHECK_EXTENSION.name, "EIO"));
}

fn dies(vcpu: &Vcpu) {
    let _ = vcpu.value(KVM_NMI, 0);
    let _ = kill_process(getpid(), Signal::KILL);
}

fn by_a_child_that_is_killed(kvm: Kvm) -> Outcome {
    let ended = in_child(|| {
        // A VM of its own: another process's is refused it.
        if let Ok(vm) = kvm.create_vm(0)
            && let Ok(vcpu) = vm.create_vcpu(0)
        {
            dies(&vcpu);
        }
    })?;
    equal(ended, Ended::Killed(libc::SIGKILL))
}
claim!(by_a_child_that_is_killed, "a child is killed", [Observed("everywhere")]);

fn a_killed_child_loses_nothing() {
    let entry = tried("answers::by_a_child_that_is_killed");
    assert_eq!(entry.verdict, Verdict::Pass);
    assert!(entry.answers.has("vcpu", KVM_NMI.name, "ok"), "{entry:?}");
}

fn and_is_killed(vcpu: Vcpu) -> Outcome {
    dies(&vcpu);
    equal(1, 1)
}
claim!(and_is_killed, "nobody is killed", [Observed("nowhere")]);

fn a_killed_claim_loses_nothing() {
    let entry = tried("answers::and_is_killed");
    assert_eq!(entry.verdict, Verdict::Crash);
    assert!(entry.answers.has("vcpu", KVM_NMI.name, "ok"), "{entry:?}");
}

fn one_claim_does_not_tell_for_the_next() {
    let run = run_of(&["answers::and_is_killed", "answers::by_hand", HONEST], &settings());
    assert!(entry(&run, "answers::and_is_killed").answers.has("vm", KVM_CREATE_VCPU.name, "ok"));
    assert!(!entry(&run, "answers::by_hand").answers.commands.contains_key("vm"));
    assert!(entry(&run, HONEST).answers.is_empty());
}

fn under_a_false_name(vm: Vm) -> Outcome {
    let system = Kvm::from_fd(vm.duplicate()?);
    succeeds(system.value(KVM_CHECK_EXTENSION, 0))?;
    fails(ENOTTY, system.value(KVM_GET_API_VERSION, 0))
}
claim!(under_a_false_name, "a VM is called /dev/kvm", [Observed("nowhere")]);

fn the_kernel_says_what_a_descriptor_is() {
    let seen = answers("under_a_false_name");
    assert!(seen.has("vm", KVM_CHECK_EXTENSION.name, "ok"), "{seen:?}");
    assert!(seen.has("vm", KVM_GET_API_VERSION.name, "ENOTTY"), "{seen:?}");
    assert!(!seen.commands["system"].contains_key(KVM_CHECK_EXTENSION.name), "{seen:?}");
}

fn a_guest_leaves() -> Outcome {
    let subject = Subject {
        name: "bare KVM",
        about: "tells what it sees",
        tell: |image, replies| Guest::of(image)?.tell(replies),
    };
    let payload =
        payload("hello::hello::long").ok_or_else(|| Stop::HostFault(HostFault("no payload".into())))?;
    tells(&subject, payload)
}
claim!(a_guest_leaves, "a guest reads, writes and halts", [Observed("everywhere")]);

fn why_a_guest_left_is_written_down() {
    let seen = answers("a_guest_leaves");
    let reasons: Vec<_> = seen.exits.keys().collect();
    assert_eq!(reasons, ["KVM_EXIT_HLT", "KVM_EXIT_IO"]);
    assert_eq!(seen.exits["KVM_EXIT_IO"].times, 2);
    assert!(seen.exits.values().all(|exits| exits.fastest_ns.is_some()), "{seen:?}");
    assert!(seen.has("vcpu", KVM_RUN.name, "ok"));
}

fn lies_about_the_clock(vm: Vm) -> Outcome {
    succeeds(vm.read::<harness::kvm::abi::kvm_clock_data>(KVM_GET_CLOCK))?;
    equal("what was seen", "anything else")
}
claim!(lies_about_the_clock, "the clock is something else", [Observed("nowhere")]);

fn what_a_failing_claim_saw_does_not_count() {
    let run = run_of(&["answers::lies_about_the_clock", "answers::by_hand"], &settings());
    let interface = Interface::shipped().expect("the data");
    let coverage = Coverage::of(interface, [&run]);
    let state = |name: &str| {
        let pair = interface.pairs().find(|pair| pair.name == name).expect("such a pair");
        coverage.pair(pair)
    };
    assert_eq!(state(KVM_GET_CLOCK.name), State::Unproven);
    assert_eq!(state(KVM_GET_API_VERSION.name), State::Tried);
}

fn sends_everything(vm: Vm) -> Outcome {
    for command in harness::kvm::COMMANDS {
        let _ = vm.send(*command, harness::kvm::Argument::Value(0));
    }
    equal(1, 1)
}
claim!(sends_everything, "everything is sent to a VM", [Observed("everywhere")]);

fn what_a_sweep_saw_is_counted_apart() {
    let run = run_of(&["answers::sends_everything", "answers::by_hand"], &settings());
    assert!(entry(&run, "answers::sends_everything").answers.is_sweep());
    assert!(!entry(&run, "answers::by_hand").answers.is_sweep());
    let interface = Interface::shipped().expect("the data");
    let coverage = Coverage::of(interface, [&run]);
    let create = interface.pairs().find(|pair| pair.name == KVM_CREATE_VCPU.name).expect("such a pair");
    assert_eq!((coverage.pair(create), coverage.sweeps()), (State::Swept, 1));
}
