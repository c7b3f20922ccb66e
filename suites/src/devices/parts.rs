//! A device's state, part by part, with names that do not depend on whose it is.

use std::collections::BTreeMap;

use serde_json::Value;

/// Parts of a state by their names.
pub(super) type Parts = BTreeMap<String, u64>;

pub(super) fn put(parts: &mut Parts, name: &str, value: u64) {
    parts.insert(name.to_owned(), value);
}

/// The parts of our machine's devices that the kernel's have as well.
pub(super) fn of_ours(states: &[(String, Value)]) -> Parts {
    let mut parts = Parts::new();
    for (device, state) in states {
        match device.as_str() {
            "i8259" => {
                for (index, name) in ["first", "second"].into_iter().enumerate() {
                    pic(&mut parts, name, &state["chips"][index]);
                }
            }
            "ioapic" => ioapic(&mut parts, state),
            "i8254" => {
                for number in 0..3 {
                    let is_open = number != 2 || state["speaker"].as_u64().is_some_and(|bits| bits & 1 != 0);
                    counter(&mut parts, number, &state["counters"][number], is_open);
                }
            }
            "local-apic" => local_apic(&mut parts, &state[0]),
            _ => {}
        }
    }
    parts
}

/// A number or a truth value.
fn number(state: &Value, field: &str) -> u64 {
    let value = &state[field];
    value.as_u64().or_else(|| value.as_bool().map(u64::from)).unwrap_or(0)
}

fn pic(parts: &mut Parts, name: &str, chip: &Value) {
    let is_level = if number(chip, "is_level") != 0 { 0xff } else { number(chip, "elcr") };
    let requests = number(chip, "lines") & is_level | number(chip, "edges") & !is_level;
    let step = ["Ready", "Icw2", "Icw3", "Icw4"].iter().position(|step| chip["step"] == **step);
    let mut put = |field: &str, value: u64| put(parts, &format!("{name} i8259 {field}"), value);
    put("requests", requests);
    put("step", step.map_or(u64::MAX, |step| step as u64));
    for (field, own) in [
        ("mask", "mask"),
        ("in service", "in_service"),
        ("rotation", "rotation"),
        ("base", "base"),
        ("reads in service", "reads_in_service"),
        ("polls", "polls"),
        ("special mask", "is_special_mask"),
        ("auto EOI", "auto_eoi"),
        ("rotates on auto EOI", "rotates_on_auto_eoi"),
        ("special fully nested", "is_special_fully_nested"),
        ("wants ICW4", "wants_icw4"),
        ("ELCR", "elcr"),
    ] {
        put(field, number(chip, own));
    }
}

fn ioapic(parts: &mut Parts, state: &Value) {
    put(parts, "IOAPIC selected", number(state, "selected"));
    put(parts, "IOAPIC id", number(state, "id"));
    for pin in 0..24 {
        let entry = state["redirections"][pin].as_u64().unwrap_or(0);
        put(parts, &format!("IOAPIC pin {pin}"), entry);
    }
}

fn counter(parts: &mut Parts, index: usize, state: &Value, is_open: bool) {
    let mut put = |field: &str, value: u64| put(parts, &format!("i8254 counter {index} {field}"), value);
    let access = number(state, "access");
    let reads_high = number(state, "reads_high") != 0;
    let is_latched = !state["latched_count"].is_null();
    let is_bcd = number(state, "is_bcd") != 0;
    put("mode", number(state, "mode"));
    put("is BCD", is_bcd.into());
    put("access", access);
    put("gate", is_open.into());
    put("status latched", (!state["latched_status"].is_null()).into());
    // The kernel counts the states of a counter that takes two bytes: 3 for the lower and 4 for the upper.
    let two = access == 3;
    put("reads next", if two && reads_high && !is_latched { 4 } else { access });
    put("writes next", if two && !state["low"].is_null() { 4 } else { access });
    // Of a latched count of two bytes, 3 says that both are still there, and 2 that the upper is.
    let latched = if two && reads_high { 2 } else { access };
    put("count latched", if is_latched { latched } else { 0 });
    let count = if state["next"].is_null() { &state["count"] } else { &state["next"][0] };
    if let Some(count) = count.as_u64() {
        put("count", if is_bcd { digits(count) } else { count });
    }
}

/// A number in decimal digits of four bits each, as it was written.
fn digits(count: u64) -> u64 {
    (0..5).map(|place| (count / 10_u64.pow(place) % 10) << (4 * place)).sum()
}

fn local_apic(parts: &mut Parts, state: &Value) {
    let mut put = |at: usize, value: u64| put(parts, &format!("local APIC {at:#x}"), value);
    put(0x80, number(state, "tpr"));
    put(0xd0, number(state, "ldr"));
    put(0xe0, number(state, "dfr"));
    put(0xf0, number(state, "svr"));
    put(0x280, state["errors"][0].as_u64().unwrap_or(0));
    put(0x300, number(state, "icr") & 0xffff_ffff);
    put(0x310, number(state, "icr") >> 32);
    for (index, at) in (0x320..0x380).step_by(0x10).enumerate() {
        put(at, state["lvt"][index].as_u64().unwrap_or(0));
    }
    for (field, from) in [("isr", 0x100), ("tmr", 0x180), ("irr", 0x200)] {
        for word in 0..8 {
            put(from + 0x10 * word, state[field][word].as_u64().unwrap_or(0));
        }
    }
    put(0x380, number(&state["timer"], "initial"));
    put(0x3e0, number(&state["timer"], "divide"));
}
